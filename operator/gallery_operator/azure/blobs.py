"""Blobs as targets of an upload and as sources of a disk: a signed URL for one blob, its properties, its removal.

The operator's identity signs with a user delegation key (never with the account's key), for one blob, for a limited
time and for what is needed only. Needed roles: Storage Blob Delegator on the account, and on the account or the
container Storage Blob Data Contributor for a target, Storage Blob Data Reader for a source.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from azure.core import exceptions as core
from azure.storage.blob import BlobSasPermissions, UserDelegationKey, generate_blob_sas
from azure.storage.blob.aio import BlobClient
from pydantic import SecretStr

from gallery_operator.azure.calls import call
from gallery_operator.azure.clients import Clients
from gallery_operator.azure.credentials import CredentialSpec
from gallery_operator.azure.errors import AzureError, ErrorKind

MAX_SAS_SECONDS = 6 * 24 * 3600
"""Longest life of a signed URL: a user delegation key lives seven days at most, and ours begins before now."""
_SKEW = timedelta(minutes=15)
_MIN_KEY_LIFE = timedelta(hours=6)
_MAX_KEYS = 256


@dataclass(frozen=True)
class BlobName:
    """Where a blob is.

    Attributes:
        endpoint: Blob endpoint of the account, without trailing slash.
        account: Name of the storage account.
        container: Name of the container.
        name: Name of the blob, not percent-encoded; may hold slashes.
    """

    endpoint: str
    account: str
    container: str
    name: str

    @classmethod
    def parse(cls, url: str) -> "BlobName":
        """Read the URL of a blob.

        Args:
            url: ``https://<account>.blob.<suffix>/<container>/<name>`` (also with a zone, ``.z12.blob.``), or, for a
                host that has no ``blob`` label, path style: ``https://<host>/<account>/<container>/<name>``.

        Returns:
            Its parts.

        Raises:
            AzureError: INVALID: anything else, such as http, a query (a signature does not belong into a spec), or no
                name.
        """
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
            netloc = f"{host}:{parts.port}" if parts.port else host
        except ValueError:
            raise _invalid_url() from None
        segments = [unquote(segment) for segment in parts.path.lstrip("/").split("/")]
        labels = host.split(".")
        path_style = "blob" not in labels[1:]
        expected = 3 if path_style else 2
        if (
            parts.scheme != "https"
            or not host
            or parts.query
            or parts.fragment
            or parts.username is not None
            or len(segments) < expected
            or not all(segments[:expected])
            or any(segment in {".", ".."} for segment in segments)
        ):
            raise _invalid_url()
        if path_style:
            account, container, *rest = segments
            return cls(f"https://{netloc}/{account}", account, container, "/".join(rest))
        container, *rest = segments
        return cls(f"https://{netloc}", labels[0], container, "/".join(rest))

    @property
    def url(self) -> str:
        """The blob's URL, percent-encoded, without a query."""
        return f"{self.endpoint}/{quote(self.container)}/{quote(self.name)}"


def _invalid_url() -> AzureError:
    # The URL itself is not repeated: what is wrong with it may be the signature it holds.
    return AzureError(
        ErrorKind.INVALID,
        "InvalidBlobUrl",
        "a blob URL is https://<account>.blob.<suffix>/<container>/<name>, without user name, query or fragment",
        "Correct storage account, container and blob name.",
        "blobs.url",
    )


@dataclass(frozen=True)
class BlobProperties:
    """What is known of a blob.

    Attributes:
        size: Length in bytes.
        metadata: Metadata, names in the casing of the service's answer.
        etag: Changes with every write.
        leased: Whether somebody holds a lease (an upload is running, or ended without letting go).
        blob_type: ``PageBlob``, ``BlockBlob`` or ``AppendBlob``.
        last_modified: Time of the last write.
        archived: It cannot be read before it is rehydrated.
        folder: It stands for a folder of an account with hierarchical namespace.
    """

    size: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    etag: str = ""
    leased: bool = False
    blob_type: str = "PageBlob"
    last_modified: datetime | None = None
    archived: bool = False
    folder: bool = False


@dataclass(frozen=True)
class Revision:
    """Which state of a blob is meant; the current one by default.

    Attributes:
        version_id: A version.
        snapshot: A snapshot; at most one of the two.
    """

    version_id: str | None = None
    snapshot: str | None = None

    @property
    def query(self) -> str:
        """The part of the blob's URL that names it; empty for the current one."""
        if self.version_id is not None:
            return f"versionid={quote(self.version_id)}"
        return f"snapshot={quote(self.snapshot)}" if self.snapshot is not None else ""


CURRENT = Revision()


@dataclass(frozen=True)
class _Key:
    key: UserDelegationKey = field(repr=False)
    expires: datetime


class DelegationKeys:
    """User delegation keys of the process, kept while they are good for what is asked."""

    def __init__(self) -> None:
        self._keys: OrderedDict[tuple[str, str], _Key] = OrderedDict()

    async def get(self, clients: Clients, credential: CredentialSpec, endpoint: str, until: datetime) -> _Key:
        """Return a key that is valid beyond ``until``."""
        cache_key = (credential.fingerprint, endpoint)
        known = self._keys.get(cache_key)
        if known is not None and known.expires >= until:
            self._keys.move_to_end(cache_key)
            return known
        now = datetime.now(UTC).replace(microsecond=0)
        # Long enough to serve other uploads too; at most seven days from its start, says the service.
        expires = min(max(until + timedelta(hours=1), now + _MIN_KEY_LIFE), now - _SKEW + timedelta(days=7))
        service = clients.blob_service(credential, endpoint)
        key = await call("blobs.userDelegationKey", lambda: service.get_user_delegation_key(now - _SKEW, expires))
        fresh = self._keys[cache_key] = _Key(key, expires)
        while len(self._keys) > _MAX_KEYS:
            self._keys.popitem(last=False)
        return fresh


class Blobs:
    """Blobs as seen by one credential. Made by :meth:`AzureGateway.blobs`; cheap, keeps nothing itself."""

    def __init__(
        self,
        clients: Clients,
        keys: DelegationKeys,
        credential: CredentialSpec,
        look_up: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._clients = clients
        self._keys = keys
        self._credential = credential
        self._look_up = look_up

    async def upload_sas(self, blob_url: str, seconds: int) -> SecretStr:
        """Sign a URL that may read and write (create, pages, lease, metadata) this one blob over HTTPS, nothing else.

        Nothing is created, and neither the blob nor the container need exist.

        Args:
            blob_url: The blob, see :meth:`BlobName.parse`.
            seconds: How long it is valid from now, 1 to :data:`MAX_SAS_SECONDS`.

        Returns:
            The blob's URL with its signature.

        Raises:
            ValueError: ``seconds`` is out of range.
            AzureError: The identity may not sign, or the account does not answer.
        """
        # "write" includes creating the blob; "read" is for the page ranges that a resumed upload asks for
        return await self._sign(blob_url, seconds, BlobSasPermissions(read=True, write=True), CURRENT)

    async def read_sas(self, blob_url: str, seconds: int, revision: Revision = CURRENT) -> SecretStr:
        """Sign a URL that may read this one blob over HTTPS, nothing else.

        Args:
            blob_url: The blob, see :meth:`BlobName.parse`.
            seconds: How long it is valid from now, 1 to :data:`MAX_SAS_SECONDS`.
            revision: Which state of the blob; the signature is for that one alone.

        Returns:
            The blob's URL with its signature.

        Raises:
            ValueError: ``seconds`` is out of range.
            AzureError: The identity may not sign, or the account does not answer.
        """
        return await self._sign(blob_url, seconds, BlobSasPermissions(read=True), revision)

    async def _sign(self, blob_url: str, seconds: int, permission: BlobSasPermissions, revision: Revision) -> SecretStr:
        if not 0 < seconds <= MAX_SAS_SECONDS:
            raise ValueError(f"a signed URL lives 1 to {MAX_SAS_SECONDS} seconds, not {seconds}")
        blob = await self._parse(blob_url)
        now = datetime.now(UTC).replace(microsecond=0)
        expires = now + timedelta(seconds=seconds)
        key = await self._keys.get(self._clients, self._credential, blob.endpoint, expires)
        sas = generate_blob_sas(
            account_name=blob.account,
            container_name=blob.container,
            blob_name=blob.name,
            snapshot=revision.snapshot,
            version_id=revision.version_id,
            user_delegation_key=key.key,
            permission=permission,
            start=now - _SKEW,
            expiry=expires,
            protocol="https",
        )
        which = f"{revision.query}&" if revision.query else ""
        return SecretStr(f"{blob.url}?{which}{sas}")

    async def properties(self, blob_url: str, revision: Revision = CURRENT) -> BlobProperties | None:
        """Read a blob's properties.

        Args:
            blob_url: The blob, see :meth:`BlobName.parse`.
            revision: Which state of it.

        Returns:
            The properties, or None when the blob is not there.

        Raises:
            AzureError: DEPENDENCY when the container is not there; others as classified.
        """
        client = await self._client(blob_url, revision)
        try:
            found = await call("blobs.properties", client.get_blob_properties)
        except AzureError as error:
            if error.kind is ErrorKind.NOT_FOUND and error.code == "BlobNotFound":
                return None
            raise
        return BlobProperties(
            size=found.size,
            metadata=dict(found.metadata or {}),
            etag=str(found.etag or ""),
            leased=found.lease.state in {"leased", "breaking"},
            blob_type=str(getattr(found.blob_type, "value", found.blob_type)),
            last_modified=found.last_modified,
            archived=str(getattr(found.blob_tier, "value", found.blob_tier)) == "Archive",
            folder=str((found.metadata or {}).get("hdi_isfolder", "")).lower() == "true",
        )

    async def delete(self, blob_url: str) -> None:
        """Delete a blob; it is fine when blob or container are gone. Breaks the lease of an upload that let go of none.

        Raises:
            AzureError: DEPENDENTS when it has snapshots, FORBIDDEN when a policy keeps it; others as classified.
        """
        client = await self._client(blob_url)
        try:
            await self._delete(client)
        except AzureError as error:
            if error.code != "LeaseIdMissing":
                raise
        else:
            return
        await call("blobs.breakLease", lambda: _break_lease(client))
        await self._delete(client)

    async def _delete(self, client: BlobClient) -> None:
        try:
            await call("blobs.delete", client.delete_blob)
        except AzureError as error:
            if error.code not in {"BlobNotFound", "ContainerNotFound"}:
                raise

    async def _parse(self, blob_url: str) -> BlobName:
        blob = BlobName.parse(blob_url)
        if self._look_up is not None and not self._clients.is_trusted(blob.endpoint):
            await self._look_up()
        return blob

    async def _client(self, blob_url: str, revision: Revision = CURRENT) -> Any:
        blob = await self._parse(blob_url)
        service = self._clients.blob_service(self._credential, blob.endpoint)
        return service.get_blob_client(
            blob.container, blob.name, snapshot=revision.snapshot, version_id=revision.version_id
        )


async def _break_lease(client: BlobClient) -> None:
    from azure.storage.blob.aio import BlobLeaseClient

    try:
        await BlobLeaseClient(client).break_lease(lease_break_period=0)
    except core.ResourceExistsError as exc:
        if getattr(exc, "error_code", None) != "LeaseNotPresentWithLeaseOperation":  # it ended by itself
            raise
