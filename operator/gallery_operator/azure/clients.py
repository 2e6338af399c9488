"""The SDK's clients: how they are made, shared and kept. The only place that builds one.

All of them share one aiohttp session with one TLS context. azure-core would otherwise build a context for every request
when a CA file is given, and never reuse a connection (measured: 2.4 times slower, 17 times the memory). No client owns
the session, so dropping one from the cache closes nothing that a running call still uses.
"""

import asyncio
import importlib
import ssl
from collections import OrderedDict
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import aiohttp
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline import policies
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import (
    AzureCliCredential,
    CertificateCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    WorkloadIdentityCredential,
)
from azure.mgmt.core.policies import AsyncARMChallengeAuthenticationPolicy
from azure.storage.blob.aio import BlobServiceClient

from gallery_operator import __version__
from gallery_operator.azure.credentials import (
    AzureCli,
    ClientCertificate,
    ClientSecret,
    CredentialSpec,
    DefaultChain,
    WorkloadIdentity,
)
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.settings import AzureSettings

CONNECT_TIMEOUT = 10
"""Seconds to open a connection."""
READ_TIMEOUT = 60
"""Seconds without a byte of the answer."""
USER_AGENT = f"gallery-operator/{__version__}"
_MAX_CLIENTS = 64
_MAX_CONNECTIONS = 64
_MAX_ENDPOINTS = 1024

_Value = TypeVar("_Value")


class _Cache(Generic[_Value]):
    """Keeps the most recently used values; what is dropped is left to the garbage collector."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[tuple[str, ...], _Value] = OrderedDict()

    def get(self, key: tuple[str, ...], make: Callable[[], _Value]) -> _Value:
        value = self._values.get(key)
        if value is None:
            value = self._values[key] = make()
            while len(self._values) > self._size:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        return value

    def __len__(self) -> int:
        return len(self._values)


class Clients:
    """Clients of one process, by credential and subscription or storage endpoint. Belongs to one event loop."""

    def __init__(self, settings: AzureSettings, *, size: int = _MAX_CLIENTS) -> None:
        self.settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._compute_module: Any = None
        self._credentials: _Cache[AsyncTokenCredential] = _Cache(size)
        self._compute: _Cache[Any] = _Cache(size)
        self._blobs: _Cache[BlobServiceClient] = _Cache(size)
        self._trusted_endpoints: OrderedDict[str, None] = OrderedDict()

    async def open(self) -> None:
        """Load the SDK (about 90 MiB, one to two seconds, in a thread) and make the session.

        Raises:
            OSError: The CA bundle cannot be read.
            ssl.SSLError: The CA bundle holds no certificate.
        """
        bundle = self.settings.ca_bundle
        context = await asyncio.to_thread(ssl.create_default_context, cafile=str(bundle) if bundle else None)
        self._compute_module = await asyncio.to_thread(importlib.import_module, "azure.mgmt.compute.aio")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=_MAX_CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # azure-core does it
            trust_env=True,  # HTTPS_PROXY, NO_PROXY
        )

    async def close(self) -> None:
        """Close the session, and with it every connection. Harmless when called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
            await asyncio.sleep(0)  # lets the TLS transports report that they are closed

    def compute(self, spec: CredentialSpec, subscription_id: str) -> Any:
        """Return the ``azure.mgmt.compute.aio.ComputeManagementClient`` of a credential and subscription.

        Its pipeline has no retry policy (azure-core would sleep as long as ``Retry-After`` says, an hour if need be),
        no redirects (a bearer token would follow them), no registration of resource providers (it asks for rights over
        the subscription) and no logging of requests (their queries and bodies hold secrets).

        Raises:
            AzureError: UNAUTHENTICATED: the certificate in the credential cannot be read.
        """
        return self._compute.get(
            (spec.fingerprint, subscription_id.lower()), lambda: self._make_compute(spec, subscription_id)
        )

    def blob_service(self, spec: CredentialSpec, endpoint: str) -> BlobServiceClient:
        """Return the client of a credential and a blob endpoint such as ``https://account.blob.core.windows.net``.

        Raises:
            AzureError: UNAUTHENTICATED: the certificate in the credential cannot be read. INVALID: the endpoint is
                neither Azure's nor one that Resource Manager named: a token must not go to a host that a user chose.
        """
        if not self.is_trusted(endpoint):
            raise AzureError(
                ErrorKind.INVALID,
                "UntrustedBlobEndpoint",
                f"{endpoint} is not a blob endpoint of Azure, and no storage account was seen that has it",
                "Name the storage account by its resource id, and take the endpoint from there.",
                "blobs.url",
            )
        return self._blobs.get((spec.fingerprint, endpoint), lambda: self._make_blob_service(spec, endpoint))

    def trust_blob_endpoint(self, endpoint: str) -> None:
        """Allow an endpoint that Resource Manager named, such as that of a private cloud."""
        self._trusted_endpoints[endpoint] = None
        self._trusted_endpoints.move_to_end(endpoint)
        if len(self._trusted_endpoints) > _MAX_ENDPOINTS:
            self._trusted_endpoints.popitem(last=False)

    def is_trusted(self, endpoint: str) -> bool:
        """Whether a token for storage may be sent to a blob endpoint."""
        return endpoint in self._trusted_endpoints or self.settings.is_blob_host(urlsplit(endpoint).hostname or "")

    def _transport(self) -> AioHttpTransport:
        if self._session is None:
            raise RuntimeError("the Azure gateway is not open: use it as an async context manager")
        return AioHttpTransport(
            session=self._session,
            session_owner=False,
            connection_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
        )

    def _make_compute(self, spec: CredentialSpec, subscription_id: str) -> Any:
        credential = self._credential(spec)
        scope = self.settings.resource_manager_scope
        moniker = f"mgmt-compute/{version('azure-mgmt-compute')}"
        return self._compute_module.ComputeManagementClient(
            credential,
            subscription_id,
            base_url=self.settings.resource_manager_endpoint,
            credential_scopes=[scope],
            transport=self._transport(),
            policies=[
                policies.RequestIdPolicy(),
                policies.HeadersPolicy(),
                policies.UserAgentPolicy(user_agent=USER_AGENT, sdk_moniker=moniker),
                policies.ContentDecodePolicy(),
                AsyncARMChallengeAuthenticationPolicy(credential, scope),
            ],
        )

    def _make_blob_service(self, spec: CredentialSpec, endpoint: str) -> BlobServiceClient:
        options: dict[str, Any] = {}
        if self.settings.storage_api_version:
            options["api_version"] = self.settings.storage_api_version
        return BlobServiceClient(
            endpoint,
            credential=self._credential(spec),
            transport=self._transport(),
            user_agent=USER_AGENT,
            retry_total=0,  # the work queue retries
            **options,
        )

    def _credential(self, spec: CredentialSpec) -> AsyncTokenCredential:
        return self._credentials.get((spec.fingerprint,), lambda: self._make_credential(spec))

    def _make_credential(self, spec: CredentialSpec) -> AsyncTokenCredential:
        common: dict[str, Any] = {
            "authority": self.settings.authority_host,
            "disable_instance_discovery": True,  # the authority was set by whoever runs the operator
            "transport": self._transport(),
            "retry_total": 0,
            "user_agent": USER_AGENT,
        }
        match spec.proof:
            case WorkloadIdentity(token_file):
                return WorkloadIdentityCredential(
                    tenant_id=spec.tenant_id, client_id=spec.client_id, token_file_path=str(token_file), **common
                )
            case AzureCli():
                return AzureCliCredential()
            case DefaultChain():
                return DefaultAzureCredential(**common)
            case ClientSecret(secret):
                return ClientSecretCredential(spec.tenant_id, spec.client_id, secret.get_secret_value(), **common)
            case ClientCertificate(certificate, password):
                try:
                    return CertificateCredential(
                        spec.tenant_id,
                        spec.client_id,
                        certificate_data=certificate.get_secret_value(),
                        password=password.get_secret_value() if password else None,
                        **common,
                    )
                except (ValueError, TypeError):  # TypeError: a password for a key that has none, or the reverse
                    # "from None": nothing of the key may end in a traceback
                    raise AzureError(
                        ErrorKind.UNAUTHENTICATED,
                        "CertificateUnusable",
                        "AZURE_CLIENT_CERTIFICATE is not a PEM or PKCS#12 certificate with its private key, or "
                        "AZURE_CLIENT_CERTIFICATE_PASSWORD does not fit it",
                        "Put certificate and private key together into AZURE_CLIENT_CERTIFICATE.",
                        "credential",
                    ) from None
