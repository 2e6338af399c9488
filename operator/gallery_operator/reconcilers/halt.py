"""Leaving a reconcile early with an outcome, and what an error of a gateway means for the outcome."""

import re
from typing import Any

from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.kube import KubeError, KubeReason
from gallery_operator.planning.outcome import Outcome, Retry, Stalled, Waiting

_DEPENDENTS_SECONDS = 10.0
_DEPENDENCY_SECONDS = 30.0
_CONFLICT_SECONDS = 15.0


class Halt(Exception):  # noqa: N818 - it carries an outcome, it is not always an error
    """Ends a reconcile with an outcome, from any depth.

    Attributes:
        outcome: How it ended.
        status: Fields of ``status`` to report with it.
    """

    def __init__(self, outcome: Outcome, **status: Any) -> None:
        super().__init__(str(outcome))
        self.outcome = outcome
        self.status: dict[str, Any] = status


def camel(code: str) -> str:
    """Return a code as the reason of a condition: letters and digits, CamelCase."""
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", code) if part]
    joined = "".join(part[:1].upper() + part[1:] for part in parts)
    return joined if joined and joined[0].isalpha() else f"Azure{joined}"


def from_azure(error: AzureError) -> Outcome:
    """Say what an error of Azure's means for a reconcile.

    What only a person can mend stalls (and is looked at now and then: roles are granted outside the cluster); what is
    missing or busy waits; the rest is tried again with backoff.
    """
    text = f"{error.message.rstrip(' .')}. {error.next_step}".strip()
    reason = camel(error.code)
    match error.kind:
        case ErrorKind.INVALID | ErrorKind.FORBIDDEN | ErrorKind.UNAUTHENTICATED | ErrorKind.QUOTA:
            return Stalled(reason, text)
        case ErrorKind.DEPENDENTS:
            return Waiting("HasDependents", text, _DEPENDENTS_SECONDS)
        case ErrorKind.DEPENDENCY:
            return Waiting(reason, text, _DEPENDENCY_SECONDS)
        case ErrorKind.CONFLICT:
            return Waiting(reason, text, _CONFLICT_SECONDS)
        case _:
            return Retry(reason, text, error.retry_after or 0.0)


def from_kube(error: KubeError) -> Outcome:
    """Say what an error of the Kubernetes API means for a reconcile."""
    match error.reason:
        case KubeReason.FORBIDDEN:
            return Stalled("KubernetesForbidden", f"{error} Grant the operator's service account this right.")
        case KubeReason.INVALID:
            return Stalled("KubernetesRefused", f"The Kubernetes API refused a request: {error}")
        case _:
            return Retry("KubernetesUnavailable", str(error), error.retry_after or 0.0)
