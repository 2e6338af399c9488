"""A simulator for one recording, in this process: no blob service, no TLS, no files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import aiohttp
from aiohttp import web

from ..config import Config
from ..engine import Engine
from ..memory import MemoryBlobs
from ..server import build_app
from ..vhd import FOOTER_BYTES, GIB, build_footer
from .interaction import Answer

__all__ = ["Stage"]

_T = TypeVar("_T")


class Stage:
    """Use as a context manager; everything happens in the caller's thread."""

    def __init__(self, subscriptions: Sequence[str]) -> None:
        """Let these subscriptions exist."""
        self._loop = asyncio.new_event_loop()
        self._blobs = MemoryBlobs()
        config = Config(subscriptions=tuple(subscriptions), throttle=False, seed=1)
        self._engine = Engine(config, self._blobs)
        self._runner = web.AppRunner(build_app(self._engine), access_log=None)
        self._session: aiohttp.ClientSession | None = None
        self._base = ""

    def __enter__(self) -> Stage:
        self._run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._stop())
        self._loop.close()

    def send(self, method: str, path: str, body: Any) -> Answer:
        """Send a request to Resource Manager: method, path with query, JSON body or None."""
        return self._run(self._send(method, path, body))

    def put(self, body: Mapping[str, Any], disks: Sequence[Mapping[str, Any]] = ()) -> None:
        """Put a resource into the state as it is.

        Raises:
            ValueError: the simulator refuses it.
        """
        answer = self.send("PUT", "/_control/resources", {"body": dict(body), "disks": [dict(disk) for disk in disks]})
        if answer.status != 200:
            raise ValueError(f"{body.get('id')}: {answer.body}")

    def skip(self, seconds: float) -> None:
        """Jump forward by Azure seconds."""
        self.send("PUT", "/_control/clock", {"skip": seconds})

    def body(self, identity: str) -> dict[str, Any] | None:
        """Return what the simulator holds under an id, or None."""
        found = self._engine.store.get(identity)
        return found.body if found else None

    def has_account(self, name: str, location: str) -> bool:
        """Whether there is a storage account of a name in a location."""
        return any(
            found.type == "microsoft.storage/storageaccounts"
            and found.name.lower() == name
            and found.body.get("location") == location
            for found in self._engine.store.all()
        )

    def make_blob(self, url: str, gib: int) -> str | None:
        """Make a fixed VHD of so many GiB behind a URL and return its account, None if the URL is no blob's."""
        place = self._blobs.locate(url)
        if place is None:
            return None
        self._run(self._blobs.create(place, gib * GIB + FOOTER_BYTES, build_footer(gib * GIB)))
        return place.account

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self._loop.run_until_complete(work)

    async def _start(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._base = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._session = aiohttp.ClientSession()

    async def _stop(self) -> None:
        if self._session is not None:
            await self._session.close()
        await self._runner.cleanup()

    async def _send(self, method: str, path: str, body: Any) -> Answer:
        assert self._session is not None
        headers = {"Authorization": "Bearer replay", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        async with self._session.request(method, self._base + path, data=data, headers=headers) as answer:
            raw = await answer.read()
            lowered = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, lowered, json.loads(raw) if raw else None)
