"""A blob service that remembers sizes and footers only: for replaying traffic, where no byte of a disk is looked at.

Any `https://<account>.<anything>/<container>/<blob>` is in it, so that recorded addresses need no mapping.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from .blobs import BlobError, BlobInfo, BlobPath
from .vhd import FOOTER_BYTES

__all__ = ["MemoryBlobs"]

_HOST = "blob.core.windows.net"


@dataclass(frozen=True, slots=True)
class _Blob:
    size: int
    tail: bytes


class MemoryBlobs:
    """See `Blobs`, whose methods these are."""

    def __init__(self) -> None:
        """Start empty."""
        self._blobs: dict[BlobPath, _Blob] = {}

    async def close(self) -> None:
        """Nothing is open."""

    def url(self, path: BlobPath) -> str:
        """See `Blobs.url`."""
        return f"https://{path.account}.{_HOST}/{path.container}/{path.name}"

    def locate(self, url: str) -> BlobPath | None:
        """See `Blobs.locate`."""
        parts = urlsplit(url)
        path = unquote(parts.path).strip("/")
        container, _, name = path.partition("/")
        if not parts.hostname or not name:
            return None
        return BlobPath(parts.hostname.split(".")[0].lower(), container, name)

    def grant_url(self, path: BlobPath, policy: str) -> str:
        """See `Blobs.grant_url`."""
        return f"{self.url(path)}?sv=2018-03-28&sr=b&si={policy}&sig=none"

    async def info(self, path: BlobPath) -> BlobInfo | None:
        """See `Blobs.info`."""
        found = self._blobs.get(path)
        return BlobInfo("PageBlob", found.size) if found else None

    async def tail(self, path: BlobPath, size: int) -> bytes:
        """See `Blobs.tail`."""
        return self._get(path).tail

    async def create(self, path: BlobPath, size: int, tail: bytes = b"") -> None:
        """See `Blobs.create`."""
        self._blobs[path] = _Blob(size, tail.rjust(FOOTER_BYTES, b"\0"))

    async def copy(self, source: BlobPath, target: BlobPath) -> None:
        """See `Blobs.copy`."""
        self._blobs[target] = self._get(source)

    async def make_container(self, account: str, container: str) -> None:
        """See `Blobs.make_container`."""

    async def grant(self, path: BlobPath, policy: str, *, write: bool, seconds: float) -> None:
        """See `Blobs.grant`."""
        self._get(path)

    async def revoke(self, path: BlobPath) -> None:
        """See `Blobs.revoke`."""

    async def delete_container(self, account: str, container: str) -> None:
        """See `Blobs.delete_container`."""
        for path in [path for path in self._blobs if (path.account, path.container) == (account, container)]:
            del self._blobs[path]

    async def sha256(self, path: BlobPath) -> str:
        """See `Blobs.sha256`; of what is remembered."""
        found = self._get(path)
        return hashlib.sha256(f"{found.size}".encode() + found.tail).hexdigest()

    def _get(self, path: BlobPath) -> _Blob:
        try:
            return self._blobs[path]
        except KeyError:
            raise BlobError(f"there is no blob {path.path}") from None
