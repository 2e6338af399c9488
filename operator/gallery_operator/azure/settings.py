"""Which cloud, which certificates, which pace: read once from the environment. Pure.

The names of the first three variables are Azure Service Operator's; sovereign clouds need nothing else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

AUTHORITY_HOST = "AZURE_AUTHORITY_HOST"
ENDPOINT = "AZURE_RESOURCE_MANAGER_ENDPOINT"
AUDIENCE = "AZURE_RESOURCE_MANAGER_AUDIENCE"
CA_BUNDLE = "SSL_CERT_FILE"
STORAGE_API_VERSION = "GALLERY_OPERATOR_STORAGE_API_VERSION"
RATE_FACTOR = "GALLERY_OPERATOR_AZURE_RATE_FACTOR"

_PUBLIC_ENDPOINT = "https://management.azure.com"
# Endpoint to (authority, audience): azure-core's AzureClouds as azure-mgmt-core's get_arm_endpoints reads them.
_CLOUDS = {
    _PUBLIC_ENDPOINT: ("https://login.microsoftonline.com", "https://management.azure.com"),
    "https://management.usgovcloudapi.net": (
        "https://login.microsoftonline.us",
        "https://management.core.usgovcloudapi.net",
    ),
    "https://management.chinacloudapi.cn": ("https://login.chinacloudapi.cn", "https://management.chinacloudapi.cn"),
}


_BLOB_SUFFIXES = (
    ".blob.core.windows.net",
    ".blob.storage.azure.net",
    ".blob.core.usgovcloudapi.net",
    ".blob.core.chinacloudapi.cn",
)


class SettingsError(ValueError):
    """An environment variable has an unusable value. The message names the variable."""


@dataclass(frozen=True)
class AzureSettings:
    """Where Azure is and how fast the operator may go.

    Attributes:
        authority_host: Entra ID, such as ``https://login.microsoftonline.com``; no trailing slash.
        resource_manager_endpoint: Resource Manager, such as ``https://management.azure.com``; no trailing slash.
        audience: For whom tokens are asked; no trailing slash.
        ca_bundle: PEM file with the CAs to trust instead of the system's, or None.
        storage_api_version: Version sent to the blob service, or None for the SDK's own (an emulator may be older).
        rate_factor: Multiplies every rate in :data:`gallery_operator.azure.throttle.LIMITS`; 1.0 is about a fifth to
            three quarters of what Azure publishes, depending on the operation.
    """

    authority_host: str = "https://login.microsoftonline.com"
    resource_manager_endpoint: str = _PUBLIC_ENDPOINT
    audience: str = "https://management.azure.com"
    ca_bundle: Path | None = None
    storage_api_version: str | None = None
    rate_factor: float = 1.0

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> "AzureSettings":
        """Read the settings.

        Args:
            env: Environment variables. With only ``AZURE_RESOURCE_MANAGER_ENDPOINT``, a known cloud fills in the
                other two; an unknown one is its own audience and must name its authority.

        Returns:
            The settings; Azure's public cloud when nothing is set. An empty variable counts as absent.

        Raises:
            SettingsError: A variable is malformed.
        """
        endpoint = _https(env, ENDPOINT) or _PUBLIC_ENDPOINT
        cloud_authority, cloud_audience = _CLOUDS.get(endpoint.lower(), (None, endpoint))
        authority = _https(env, AUTHORITY_HOST) or cloud_authority
        if authority is None:
            raise SettingsError(f"{AUTHORITY_HOST} must be set when {ENDPOINT} is not one of Azure's known clouds")
        audience = env.get(AUDIENCE, "").strip().rstrip("/") or cloud_audience
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://\S+", audience):
            raise SettingsError(f"{AUDIENCE} is not a URI such as https://management.azure.com")
        api_version = env.get(STORAGE_API_VERSION, "").strip() or None
        if api_version is not None and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", api_version):
            raise SettingsError(f"{STORAGE_API_VERSION} is not a version such as 2026-06-06")
        bundle = env.get(CA_BUNDLE, "").strip()
        return cls(
            authority_host=authority,
            resource_manager_endpoint=endpoint,
            audience=audience,
            ca_bundle=Path(bundle) if bundle else None,
            storage_api_version=api_version,
            rate_factor=_factor(env),
        )

    def is_blob_host(self, host: str) -> bool:
        """Whether only the cloud itself can serve a host, so that a token for storage may be sent there.

        Args:
            host: Host name of a blob endpoint, without port.

        Returns:
            In Azure's clouds: whether it ends as blob endpoints do. In another: whether it is Resource Manager's own
            host, or ``<account>.blob.`` or one label before Resource Manager's domain.
        """
        manager = (urlsplit(self.resource_manager_endpoint).hostname or "").lower()
        host = host.lower()
        if self.resource_manager_endpoint.lower() in _CLOUDS:
            return host.endswith(_BLOB_SUFFIXES)
        domain = manager.partition(".")[2]
        is_name = "." in domain and not domain.rpartition(".")[2].isdecimal()
        labels = host.removesuffix(f".{domain}").split(".") if is_name and host.endswith(f".{domain}") else []
        return host == manager or len(labels) == 1 or (len(labels) == 2 and labels[1] == "blob")

    @property
    def resource_manager_scope(self) -> str:
        """The scope of tokens for Resource Manager."""
        return f"{self.audience}/.default"


def _https(env: Mapping[str, str], name: str) -> str | None:
    value = env.get(name, "").strip().rstrip("/")
    if not value:
        return None
    try:
        parts = urlsplit(value)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        raise SettingsError(f"{name} is not a URL") from None
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.query or not port_is_number:
        # A bearer token goes there: never in clear text.
        raise SettingsError(f"{name} must be a URL that begins with https:// and holds no user name and no query")
    return value


def _factor(env: Mapping[str, str]) -> float:
    text = env.get(RATE_FACTOR, "").strip()
    if not text:
        return 1.0
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 1000:
        raise SettingsError(f"{RATE_FACTOR} must be a number from 0.01 to 1000")
    return value
