"""How the operator signs in to Entra ID: read from a Secret or from the environment. Pure.

Three kinds, chosen by what is there and never by trying: workload identity, client secret, client certificate. There
is no default chain and no metadata service (IMDS): a chain may end at the node's identity, which is somebody else's.
The key names are those of Azure Service Operator.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import SecretBytes, SecretStr

TENANT_ID = "AZURE_TENANT_ID"
CLIENT_ID = "AZURE_CLIENT_ID"
CLIENT_SECRET = "AZURE_CLIENT_SECRET"  # noqa: S105 - the name of a key
CLIENT_CERTIFICATE = "AZURE_CLIENT_CERTIFICATE"
CLIENT_CERTIFICATE_PASSWORD = "AZURE_CLIENT_CERTIFICATE_PASSWORD"  # noqa: S105 - the name of a key
SUBSCRIPTION_ID = "AZURE_SUBSCRIPTION_ID"
FEDERATED_TOKEN_FILE = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105 - the name of a key

_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")  # a tenant may also be named by a domain
# Fingerprints are keyed so that one seen in a memory dump or a log cannot be tested against guessed secrets.
_FINGERPRINT_KEY = secrets.token_bytes(32)


class CredentialError(ValueError):
    """A credential is incomplete or ambiguous. The message names the key, never a value."""


@dataclass(frozen=True)
class WorkloadIdentity:
    """A projected service account token, exchanged for a token of Entra ID. The file is re-read by the SDK."""

    token_file: Path


@dataclass(frozen=True)
class ClientSecret:
    """A secret of an application."""

    secret: SecretStr


@dataclass(frozen=True)
class ClientCertificate:
    """A certificate of an application with its private key, PEM or PKCS#12."""

    certificate: SecretBytes
    password: SecretStr | None = None


@dataclass(frozen=True)
class AzureCli:
    """Whoever is signed in with ``az login``: for commands on a person's machine, never for the operator."""


@dataclass(frozen=True)
class DefaultChain:
    """Whoever azure-identity finds, in its own order: for commands on a person's machine, never for the operator."""


@dataclass(frozen=True)
class CredentialSpec:
    """Who the operator is for Azure, and how it proves it. Holds secrets only in types whose repr hides them.

    Attributes:
        tenant_id: Id or domain of the tenant.
        client_id: Id of the application or the managed identity.
        proof: Which kind, with its secret.
        subscription_id: Default subscription for what does not name one, or None.
    """

    tenant_id: str
    client_id: str
    proof: WorkloadIdentity | ClientSecret | ClientCertificate | AzureCli | DefaultChain = field(repr=False)
    subscription_id: str | None = None

    @cached_property
    def fingerprint(self) -> str:
        """A stand-in for the credential as a cache key: changes with the secret, says nothing about it.

        Differs from process to process, and does not depend on the default subscription.
        """
        match self.proof:
            case WorkloadIdentity(token_file):
                parts = [b"workload", str(token_file).encode()]
            case ClientSecret(secret):
                parts = [b"secret", secret.get_secret_value().encode()]
            case ClientCertificate(certificate, password):
                parts = [b"certificate", certificate.get_secret_value()]
                parts.append(password.get_secret_value().encode() if password else b"")
            case AzureCli():
                parts = [b"cli"]
            case DefaultChain():
                parts = [b"chain"]
        digest = hmac.new(_FINGERPRINT_KEY, digestmod=hashlib.sha256)
        for part in (self.tenant_id.lower().encode(), self.client_id.lower().encode(), *parts):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()[:32]

    @classmethod
    def from_secret(cls, data: Mapping[str, bytes], *, token_file: Path | None = None) -> "CredentialSpec":
        """Read the credential in the data of a Kubernetes Secret (already base64-decoded).

        A Secret cannot name a token file: it would name a file of the operator's pod. Whoever may write a Secret
        without a client secret may act as any identity that trusts the operator's service account, so that is only
        allowed when the caller passes ``token_file``.

        Args:
            data: The keys of the Secret: ``AZURE_TENANT_ID``, ``AZURE_CLIENT_ID``, and ``AZURE_CLIENT_SECRET`` or
                ``AZURE_CLIENT_CERTIFICATE`` (``AZURE_CLIENT_CERTIFICATE_PASSWORD``); ``AZURE_SUBSCRIPTION_ID`` may
                be there. Others are ignored, spaces and line ends around values too.
            token_file: The operator's own federated token file, if Secrets may use workload identity with it.

        Returns:
            The credential.

        Raises:
            CredentialError: A key is missing, empty, malformed, or there are two kinds of proof.
        """
        if CLIENT_SECRET in data and CLIENT_CERTIFICATE in data:
            raise CredentialError(f"{CLIENT_SECRET} and {CLIENT_CERTIFICATE} are both set; keep one of them")
        return cls._read(data, token_file)

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> "CredentialSpec":
        """Read the operator's own credential from its environment.

        A secret or a certificate set on purpose comes before the token file, which the workload identity webhook
        injects whenever the pod has its label.

        Args:
            env: Environment variables, named as the keys of :meth:`from_secret` plus ``AZURE_FEDERATED_TOKEN_FILE``.

        Returns:
            The credential.

        Raises:
            CredentialError: A variable is missing, empty or malformed.
        """
        token_file = env.get(FEDERATED_TOKEN_FILE, "").strip()
        encoded = {name: value.encode("utf-8", "surrogateescape") for name, value in env.items()}
        return cls._read(encoded, Path(token_file) if token_file else None)

    @classmethod
    def of_azure_cli(cls, subscription_id: str | None) -> "CredentialSpec":
        """Return the credential of whoever is signed in with ``az login``.

        Args:
            subscription_id: Default subscription, or None.
        """
        return cls(tenant_id="", client_id="", proof=AzureCli(), subscription_id=subscription_id)

    @classmethod
    def of_default_chain(cls) -> "CredentialSpec":
        """Return the credential of whoever azure-identity's ``DefaultAzureCredential`` finds."""
        return cls(tenant_id="", client_id="", proof=DefaultChain())

    @classmethod
    def _read(cls, data: Mapping[str, bytes], token_file: Path | None) -> "CredentialSpec":
        tenant = _required(data, TENANT_ID, _TENANT, "the id (or domain) of a tenant")
        client = _required(data, CLIENT_ID, _GUID, "a GUID")
        subscription = _optional(data, SUBSCRIPTION_ID)
        if subscription is not None and not _GUID.fullmatch(subscription):
            raise CredentialError(f"{SUBSCRIPTION_ID} is not a GUID")
        proof: WorkloadIdentity | ClientSecret | ClientCertificate
        if (secret := _optional(data, CLIENT_SECRET)) is not None:
            proof = ClientSecret(SecretStr(secret))
        elif data.get(CLIENT_CERTIFICATE, b"").strip():
            password = _optional(data, CLIENT_CERTIFICATE_PASSWORD)
            proof = ClientCertificate(
                SecretBytes(data[CLIENT_CERTIFICATE]), SecretStr(password) if password is not None else None
            )
        elif token_file is not None:
            proof = WorkloadIdentity(token_file)
        else:
            raise CredentialError(
                f"neither {CLIENT_SECRET} nor {CLIENT_CERTIFICATE} is set, and workload identity "
                f"({FEDERATED_TOKEN_FILE}) is not available here; set one of them"
            )
        return cls(tenant_id=tenant, client_id=client, proof=proof, subscription_id=subscription)


def _optional(data: Mapping[str, bytes], key: str) -> str | None:
    value = data.get(key)
    if value is None:
        return None
    try:
        text = value.decode("utf-8").strip()
    except UnicodeDecodeError:
        # "from None": the original exception holds the bytes
        raise CredentialError(f"{key} is not UTF-8 text") from None
    return text or None


def _required(data: Mapping[str, bytes], key: str, pattern: re.Pattern[str], what: str) -> str:
    value = _optional(data, key)
    if value is None:
        raise CredentialError(f"{key} is missing or empty")
    if not pattern.fullmatch(value):
        raise CredentialError(f"{key} is not {what}")
    return value
