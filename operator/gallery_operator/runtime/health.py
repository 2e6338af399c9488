"""Liveness, readiness and metrics over HTTP.

Liveness fails only when nothing but a restart helps: the event loop or all workers hang, or the list of objects has not
been read for a long time. Readiness of the leader also wants a first list and running watches.
"""

import asyncio
import logging
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gallery_operator import metrics
from gallery_operator.runtime.workqueue import WorkQueue

_log = logging.getLogger(__name__)


@dataclass
class Health:
    """Facts that the probes look at.

    Attributes:
        queue: The work queue.
        reconcile_timeout: Longest time a reconcile may take, in seconds.
        resync_seconds: Interval of the periodic list, in seconds.
        leader: Whether this process holds the lease.
        listed_at: Loop time of the last complete list, or None.
        watching: Whether the kinds are being watched.
    """

    queue: WorkQueue
    reconcile_timeout: float
    resync_seconds: float
    leader: bool = False
    listed_at: float | None = None
    watching: bool = False
    started_at: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    def live(self) -> tuple[bool, str]:
        """Return whether the process is worth keeping, and why not."""
        slack = 60.0
        if not self.leader:
            return True, "standby"
        running = self.queue.longest_running_seconds()
        if running > self.reconcile_timeout + slack:
            return False, f"a worker has been busy with one object for {running:.0f} s"
        waiting = self.queue.oldest_seconds()
        if waiting > 2 * self.reconcile_timeout + slack:
            return False, f"an object has waited for {waiting:.0f} s"
        age = asyncio.get_running_loop().time() - (self.listed_at or self.started_at)
        if age > 3 * self.resync_seconds + slack:
            return False, f"no complete list of the objects for {age:.0f} s"
        return True, "ok"

    def ready(self) -> tuple[bool, str]:
        """Return whether the process does its work, and why not.

        A standby is ready: it could take over at once, and a rollout or a drained node must not wait for it to lead.
        """
        if not self.leader:
            return True, "standby"
        if self.listed_at is None:
            return False, "the objects have not been listed yet"
        if not self.watching:
            return False, "not watching yet"
        return self.live()


class HealthServer:
    """Serves ``/healthz``, ``/readyz`` and ``/metrics``."""

    def __init__(self, health: Health, health_port: int, metrics_port: int, host: str = "0.0.0.0") -> None:  # noqa: S104 - a pod's probes come from outside
        self._health = health
        self._ports = (health_port, metrics_port)
        self._host = host
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: A port is taken.
        """
        probes = web.Application()
        probes.router.add_get("/healthz", self._healthz)
        probes.router.add_get("/readyz", self._readyz)
        numbers = web.Application()
        numbers.router.add_get("/metrics", self._metrics)
        for application, port in zip((probes, numbers), self._ports, strict=True):
            runner = web.AppRunner(application, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, self._host, port).start()
            self._runners.append(runner)

    async def stop(self) -> None:
        """Stop listening."""
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return self._answer(*self._health.live())

    async def _readyz(self, _request: web.Request) -> web.Response:
        return self._answer(*self._health.ready())

    async def _metrics(self, _request: web.Request) -> web.Response:
        metrics.QUEUE_OLDEST_SECONDS.set(self._health.queue.oldest_seconds())
        metrics.QUEUE_DEPTH.clear()
        for kind, depth in self._health.queue.depth().items():
            metrics.QUEUE_DEPTH.labels(kind=kind).set(depth)
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @staticmethod
    def _answer(good: bool, why: str) -> web.Response:
        return web.Response(text=why + "\n", status=200 if good else 503)
