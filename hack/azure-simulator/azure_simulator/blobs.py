"""Client of the blob service that holds the bytes of simulated disks (Azurite).

Only what the simulator needs. Addresses are in path style (`https://host:port/account/container/blob`), which
Azurite serves for any host name.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

import aiohttp

from . import sas
from .vhd import FOOTER_BYTES, MIB

__all__ = ["BlobError", "BlobInfo", "BlobPath", "BlobStore", "Blobs"]

_VERSION = "2021-12-02"
_READ_BYTES = 4 * MIB


class BlobError(Exception):
    """The blob service did not do what was asked; the text names the blob and the service's answer."""


@dataclass(frozen=True, slots=True)
class BlobPath:
    """Where a blob is: account, container, name."""

    account: str
    container: str
    name: str

    @property
    def path(self) -> str:
        """Path part of the URL, percent-encoded."""
        return f"/{self.account}/{self.container}/{quote(self.name)}"


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """Properties of a blob: its type (`PageBlob`, `BlockBlob`, ...) and its length in bytes."""

    kind: str
    size: int


class Blobs(Protocol):
    """What the rest of the simulator asks of a blob service."""

    def url(self, path: BlobPath) -> str:
        """Return a blob's URL as clients see it, without a signature."""
        ...

    def locate(self, url: str) -> BlobPath | None:
        """Return the place of a blob URL, or None if it is not in this service."""
        ...

    def grant_url(self, path: BlobPath, policy: str) -> str:
        """Return a URL with a service SAS that refers to the stored access policy `policy`."""
        ...

    async def info(self, path: BlobPath) -> BlobInfo | None:
        """Return a blob's properties, or None if there is no such blob."""
        ...

    async def tail(self, path: BlobPath, size: int) -> bytes:
        """Return the last 512 bytes of a blob of `size` bytes."""
        ...

    async def create(self, path: BlobPath, size: int, tail: bytes = b"") -> None:
        """Create a container and in it an empty page blob of `size` bytes; `tail` is written to its end."""
        ...

    async def copy(self, source: BlobPath, target: BlobPath) -> None:
        """Copy a blob into a new container, and wait for it."""
        ...

    async def make_container(self, account: str, container: str) -> None:
        """Make a container, unless it is there."""
        ...

    async def grant(self, path: BlobPath, policy: str, *, write: bool, seconds: float) -> None:
        """Store an access policy on the blob's container, valid for `seconds` of wall time."""
        ...

    async def revoke(self, path: BlobPath) -> None:
        """Remove every access policy from the blob's container."""
        ...

    async def delete_container(self, account: str, container: str) -> None:
        """Delete a container and what is in it; nothing happens if there is none."""
        ...

    async def sha256(self, path: BlobPath) -> str:
        """Return the SHA-256 of a whole blob, holes read as zeros, in hex."""
        ...


class BlobStore:
    """The blob service behind an HTTP(S) endpoint."""

    def __init__(
        self,
        endpoint: str,
        keys: Mapping[str, str],
        *,
        public_endpoint: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        """Remember where the service is; nothing is sent yet.

        Args:
            endpoint: URL this process connects to, such as `https://azurite.azure-simulator.svc:10000`.
            keys: account key (base64) by account name.
            public_endpoint: URL that clients see, if another.
            ca_file: PEM file with the CA of the service's certificate; the system's CAs if None.
        """
        self._endpoint = endpoint.rstrip("/")
        self._public = (public_endpoint or endpoint).rstrip("/")
        self._keys = dict(keys)
        self._ssl = ssl.create_default_context(cafile=ca_file)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def url(self, path: BlobPath) -> str:
        """See `Blobs.url`."""
        return self._public + path.path

    def locate(self, url: str) -> BlobPath | None:
        """See `Blobs.locate`."""
        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}".lower() != self._public.lower():
            return None
        pieces = parts.path.lstrip("/").split("/", 2)
        if len(pieces) != 3 or pieces[0] not in self._keys:
            return None
        return BlobPath(pieces[0], pieces[1], unquote(pieces[2]))

    def grant_url(self, path: BlobPath, policy: str) -> str:
        """See `Blobs.grant_url`."""
        key = self._keys[path.account]
        return f"{self.url(path)}?{sas.policy_sas(path.account, key, path.container, path.name, policy)}"

    async def info(self, path: BlobPath) -> BlobInfo | None:
        """See `Blobs.info`."""
        status, headers, _ = await self._send("HEAD", path.path, path.account, allow=(200, 404))
        if status == 404:
            return None
        return BlobInfo(headers["x-ms-blob-type"], int(headers["Content-Length"]))

    async def tail(self, path: BlobPath, size: int) -> bytes:
        """See `Blobs.tail`."""
        return await self._read(path, max(0, size - FOOTER_BYTES), size)

    async def create(self, path: BlobPath, size: int, tail: bytes = b"") -> None:
        """See `Blobs.create`."""
        await self.make_container(path.account, path.container)
        headers = {"x-ms-blob-type": "PageBlob", "x-ms-blob-content-length": str(size)}
        await self._send("PUT", path.path, path.account, headers=headers, allow=(201,))
        if tail:
            start = size - len(tail)
            headers = {"x-ms-page-write": "update", "x-ms-range": f"bytes={start}-{size - 1}"}
            await self._send(
                "PUT", path.path, path.account, query="comp=page", headers=headers, data=tail, allow=(201,)
            )

    async def copy(self, source: BlobPath, target: BlobPath) -> None:
        """See `Blobs.copy`."""
        await self.make_container(target.account, target.container)
        origin = f"{self._endpoint}{source.path}?{self._signature(source.account)}"
        _, headers, _ = await self._send(
            "PUT", target.path, target.account, headers={"x-ms-copy-source": origin}, allow=(201, 202)
        )
        state = headers.get("x-ms-copy-status", "success")
        while state == "pending":
            await asyncio.sleep(0.05)
            _, headers, _ = await self._send("HEAD", target.path, target.account, allow=(200,))
            state = headers.get("x-ms-copy-status", "success")
        if state != "success":
            raise BlobError(f"copy of {self.url(source)} ended as {state}")

    async def make_container(self, account: str, container: str) -> None:
        """See `Blobs.make_container`."""
        await self._send("PUT", f"/{account}/{container}", account, query="restype=container", allow=(201, 409))

    async def grant(self, path: BlobPath, policy: str, *, write: bool, seconds: float) -> None:
        """See `Blobs.grant`."""
        now = datetime.now(UTC)
        start = (now - timedelta(minutes=15)).strftime("%Y-%m-%dT%H:%M:%SZ")
        expiry = (now + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = (
            '<?xml version="1.0" encoding="utf-8"?><SignedIdentifiers><SignedIdentifier>'
            f"<Id>{policy}</Id><AccessPolicy><Start>{start}</Start><Expiry>{expiry}</Expiry>"
            f"<Permission>{'rw' if write else 'r'}</Permission></AccessPolicy>"
            "</SignedIdentifier></SignedIdentifiers>"
        )
        await self._set_policies(path, body)

    async def revoke(self, path: BlobPath) -> None:
        """See `Blobs.revoke`."""
        await self._set_policies(path, '<?xml version="1.0" encoding="utf-8"?><SignedIdentifiers/>')

    async def delete_container(self, account: str, container: str) -> None:
        """See `Blobs.delete_container`."""
        await self._send("DELETE", f"/{account}/{container}", account, query="restype=container", allow=(202, 404))

    async def sha256(self, path: BlobPath) -> str:
        """See `Blobs.sha256`."""
        found = await self.info(path)
        if found is None:
            raise BlobError(f"there is no blob {self.url(path)}")
        digest = hashlib.sha256()
        position = 0
        for start, end in await self._ranges(path, found):
            await _hash_zeros(digest, start - position)
            for offset in range(start, end, _READ_BYTES):
                piece = await self._read(path, offset, min(end, offset + _READ_BYTES))
                await asyncio.to_thread(digest.update, piece)
            position = end
        await _hash_zeros(digest, found.size - position)
        return digest.hexdigest()

    async def _ranges(self, path: BlobPath, found: BlobInfo) -> list[tuple[int, int]]:
        if found.kind != "PageBlob":
            return [(0, found.size)]
        _, _, body = await self._send("GET", path.path, path.account, query="comp=pagelist", allow=(200,))
        return [
            (int(item.findtext("Start", "0")), int(item.findtext("End", "0")) + 1)
            for item in ET.fromstring(body).iter("PageRange")  # the service is our own, started by us
        ]

    async def _read(self, path: BlobPath, start: int, end: int) -> bytes:
        headers = {"x-ms-range": f"bytes={start}-{end - 1}"}
        _, _, body = await self._send("GET", path.path, path.account, headers=headers, allow=(200, 206))
        return body

    async def _set_policies(self, path: BlobPath, body: str) -> None:
        await self._send(
            "PUT",
            f"/{path.account}/{path.container}",
            path.account,
            query="restype=container&comp=acl",
            data=body.encode(),
            headers={"Content-Type": "application/xml"},
            allow=(200,),
        )

    def _signature(self, account: str) -> str:
        return sas.account_sas(account, self._keys[account], now=datetime.now(UTC))

    async def _send(
        self,
        method: str,
        place: str,
        account: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        data: bytes = b"",
        allow: tuple[int, ...],
    ) -> tuple[int, Mapping[str, str], bytes]:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=300)
            self._session = aiohttp.ClientSession(
                timeout=timeout, connector=aiohttp.TCPConnector(ssl=self._ssl), auto_decompress=False
            )
        url = f"{self._endpoint}{place}" + (f"?{query}" if query else "")
        date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
        sent = {"x-ms-version": _VERSION, "x-ms-date": date, **(headers or {})}
        if method == "PUT":
            sent["Content-Length"] = str(len(data))
        parameters = dict(pair.split("=", 1) for pair in query.split("&")) if query else {}
        sent["Authorization"] = sas.shared_key(
            method, place, parameters, sent, account=account, key=self._keys[account]
        )
        try:
            async with self._session.request(
                method, _encoded(url), headers=sent, data=data or None, skip_auto_headers=("Content-Type",)
            ) as answer:
                body = await answer.read()
                if answer.status in allow:
                    return answer.status, answer.headers, body
                code = answer.headers.get("x-ms-error-code", "")
                raise BlobError(f"{method} {self._endpoint}{place}: {answer.status} {code}")
        except (aiohttp.ClientError, TimeoutError) as error:
            # The error's own text may hold more of the request than a log should.
            raise BlobError(f"{method} {self._endpoint}{place}: {type(error).__name__}") from None


def _encoded(url: str) -> aiohttp.typedefs.StrOrURL:
    from yarl import URL  # a dependency of aiohttp; needed to keep the signature's encoding as it is

    return URL(url, encoded=True)


async def _hash_zeros(digest: hashlib._Hash, count: int) -> None:
    zeros = bytes(_READ_BYTES)
    while count > 0:
        step = min(count, _READ_BYTES)
        await asyncio.to_thread(digest.update, zeros[:step] if step < _READ_BYTES else zeros)
        count -= step
