"""What every reconciler gets: gateways, settings, hints and a clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gallery_operator.azure.credentials import CredentialSpec
from gallery_operator.azure.gateway import AzureGateway
from gallery_operator.kube import KubeGateway
from gallery_operator.planning.jobs import WorkerSettings
from gallery_operator.runtime.hints import Hints
from gallery_operator.runtime.progress import ProgressReader
from gallery_operator.runtime.quota import QuotaMemory


@dataclass(frozen=True)
class Settings:
    """Settings of the reconcilers.

    Attributes:
        cluster: Name of this cluster, for ownership tags.
        worker: How worker pods are made.
        poll_seconds: Shortest interval at which a running operation of Azure's is looked at.
        default_credential: The operator's own identity, or None when it has none.
        default_credential_problem: Why it has none, for the message.
        sas_seconds: Validity of an upload's SAS.
    """

    cluster: str
    worker: WorkerSettings
    poll_seconds: float = 15.0
    default_credential: CredentialSpec | None = None
    default_credential_problem: str = "the operator has no identity of its own"
    sas_seconds: int = 86_400


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Context:
    """Everything a reconciler may use.

    Attributes:
        kube: Kubernetes API.
        azure: Azure.
        settings: Settings.
        hints: What the watches have told; only a hint, never a fact.
        progress: Reads what running workers say.
        now: Clock.
        quota: When the use of which limits was read last.
    """

    kube: KubeGateway
    azure: AzureGateway
    settings: Settings
    hints: Hints
    progress: ProgressReader
    now: Callable[[], datetime] = field(default=_utc_now)
    quota: QuotaMemory = field(default_factory=QuotaMemory)
