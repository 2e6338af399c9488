"""Azure by an identity: the operator's gateway, on an event loop in a thread of its own, as the upload is threads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import SecretStr

from gallery_operator.azure.credentials import CLIENT_CERTIFICATE, CLIENT_ID, CredentialSpec
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.gateway import AzureGateway
from gallery_operator.azure.settings import AzureSettings

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

PATIENCE = 300.0
"""How long a request is repeated that time may mend, in seconds."""
_PASSING = frozenset({ErrorKind.RETRY, ErrorKind.THROTTLED, ErrorKind.CONFLICT, ErrorKind.DEPENDENTS})
_FIRST_DELAY, _MOST_DELAY = 0.5, 15.0


def credential_of(environment: Mapping[str, str]) -> CredentialSpec:
    """Return who gives the command.

    The operator's own variables where they hold a certificate, which azure-identity reads from a file only; else
    whoever azure-identity finds (variables, workload identity, managed identity, ``az login``).

    Raises:
        CredentialError: The variables are incomplete.
    """
    if environment.get(CLIENT_ID) and environment.get(CLIENT_CERTIFICATE):
        return CredentialSpec.from_environment(environment)
    return CredentialSpec.of_default_chain()


class Cloud:
    """The gateway, open while the block runs. A context manager.

    Attributes:
        gateway: For coroutines that :meth:`run` runs.
        credential: Who asks.
    """

    def __init__(self, settings: AzureSettings, credential: CredentialSpec) -> None:
        self.gateway = AzureGateway(settings)
        self.credential = credential
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="azure", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self.gateway.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run a coroutine and wait for its end."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def ask(self, request: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Send a request until it works or cannot.

        Raises:
            AzureError: It cannot work, or did not within :data:`PATIENCE`.
        """
        return self.run(persist(request))

    async def _close(self) -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await self.gateway.__aexit__(None, None, None)


async def persist(request: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """Send a request until it works or cannot; see :meth:`Cloud.ask`."""
    until = time.monotonic() + PATIENCE
    delay = _FIRST_DELAY
    while True:
        try:
            return await request()
        except AzureError as error:
            wait = max(delay, error.retry_after or 0.0)
            if error.kind not in _PASSING or time.monotonic() + wait > until:
                raise
            log.info("%s is tried again in %.1f s: %s", error.operation, wait, error)
            await asyncio.sleep(wait)
            delay = min(delay * 2, _MOST_DELAY)


class Renewal:
    """Issues a SAS, and another one when four fifths of its time are over. A context manager.

    Args:
        cloud: Where it runs.
        issue: Issues one, valid for the seconds it is given.
        put: Hands it to the worker.
        seconds: How long one lives.
    """

    def __init__(
        self, cloud: Cloud, issue: Callable[[int], Awaitable[SecretStr]], put: Callable[[str], None], seconds: int
    ) -> None:
        self._cloud = cloud
        self._issue = issue
        self._put = put
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        self._put(self._cloud.ask(lambda: self._issue(self._seconds)).get_secret_value())
        self._task = self._cloud.run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cloud.run(self._stop())

    async def _start(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._keep())

    async def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._seconds * 4 / 5)
            try:
                self._put((await persist(lambda: self._issue(self._seconds))).get_secret_value())
                log.info("the target has a new SAS")
            except AzureError as error:
                # The old one is still good for a while; the next round tries again.
                log.warning("no new SAS could be had: %s", error)
