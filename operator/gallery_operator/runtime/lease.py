"""Leader election by a ``coordination.k8s.io/v1`` Lease.

kopf has none (its peering pauses both of two equals), and the client library's keeps local time in the lease, does not
bound a hung request and never gives the lease back; so this one is small and our own. Rules, as client-go's: the holder
renews every ``retry`` seconds; another takes over only when it has watched the lease unchanged for ``duration`` seconds
by its own clock; a holder that could not renew for ``deadline`` seconds must stop at once.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gallery_operator import metrics
from gallery_operator.kube import KubeError, KubeGateway, KubeReason

_log = logging.getLogger(__name__)
LOST_LEASE_EXIT_CODE = 3


@dataclass(frozen=True)
class LeaseSettings:
    """Times of the election, in seconds.

    Attributes:
        namespace: Namespace of the Lease.
        name: Name of the Lease.
        identity: Who we are; unique per process.
        duration: How long the lease holds without renewal.
        deadline: After how long without a successful renewal the holder gives up; less than ``duration``.
        retry: Interval of attempts.
    """

    namespace: str
    name: str
    identity: str
    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0


class LeaderLease:
    """Acquires and keeps the Lease."""

    def __init__(self, kube: KubeGateway, settings: LeaseSettings, on_lost: Callable[[], None]) -> None:
        """Prepare the election.

        Args:
            kube: Gateway to the API.
            settings: Names and times.
            on_lost: Called at once, on the event loop, when the lease could not be kept; it must end the process.
        """
        self._kube = kube
        self._settings = settings
        self._on_lost = on_lost
        self._seen: tuple[str, str] | None = None
        self._seen_at = 0.0
        self._renewed_at: float | None = None
        self._watched_until: float | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def held(self) -> bool:
        """Whether the lease is held and fresh."""
        return self._renewed_at is not None and self._now() - self._renewed_at < self._settings.deadline

    async def acquire(self) -> None:
        """Wait until the lease is ours, then keep renewing it in the background."""
        waiting_logged = False
        while not await self._attempt():
            if not waiting_logged:
                _log.info("waiting for the lease %s/%s", self._settings.namespace, self._settings.name)
                waiting_logged = True
            await asyncio.sleep(self._settings.retry)
        metrics.LEADER.set(1)
        _log.info("lease %s/%s is held by %s", self._settings.namespace, self._settings.name, self._settings.identity)
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="lease")
        threading.Thread(target=self._watch_the_loop, name="lease-watchdog", daemon=True).start()

    async def release(self) -> None:
        """Stop renewing and give the lease back, so that the next process need not wait."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._renewed_at is None:
            return
        self._renewed_at = self._watched_until = None
        metrics.LEADER.set(0)
        try:
            lease = await self._kube.get("Lease", self._settings.namespace, self._settings.name)
            if lease is not None and lease.get("spec", {}).get("holderIdentity") == self._settings.identity:
                lease["spec"] = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                await self._kube.replace("Lease", lease)
        except KubeError as error:
            _log.warning("the lease could not be given back, it runs out by itself: %s", error)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._settings.retry)
            renewed = self._renewed_at if self._renewed_at is not None else self._now()
            left = self._settings.deadline - (self._now() - renewed)
            try:
                kept = left > 0 and await asyncio.wait_for(self._attempt(), timeout=left)
            except TimeoutError:
                kept = False
            if not kept and (self._now() - renewed >= self._settings.deadline or self._taken_over()):
                metrics.LEADER.set(0)
                _log.critical("the lease is lost; ending the process")
                self._renewed_at = None
                self._on_lost()
                return

    def _watch_the_loop(self) -> None:
        """End the process when the event loop hangs (or the process was stopped) for longer than the lease holds.

        A thread, because nothing on the loop runs then; another process may lead already.
        """
        while (until := self._watched_until) is not None:
            if time.monotonic() > until:
                os._exit(LOST_LEASE_EXIT_CODE)
            time.sleep(min(1.0, self._settings.retry))

    def _taken_over(self) -> bool:
        return self._seen is not None and self._seen[0] not in ("", self._settings.identity)

    async def _attempt(self) -> bool:
        try:
            lease = await self._kube.get("Lease", self._settings.namespace, self._settings.name)
            if lease is None:
                written = await self._kube.create(
                    "Lease",
                    {
                        "metadata": {"name": self._settings.name, "namespace": self._settings.namespace},
                        "spec": self._spec(None),
                    },
                )
            else:
                spec = lease.get("spec") or {}
                holder = spec.get("holderIdentity") or ""
                mark = (holder, f"{spec.get('renewTime')}/{spec.get('leaseTransitions')}")
                if mark != self._seen:
                    self._seen, self._seen_at = mark, self._now()
                duration = float(spec.get("leaseDurationSeconds") or self._settings.duration)
                if holder not in ("", self._settings.identity) and self._now() - self._seen_at < duration:
                    return False
                lease["spec"] = self._spec(spec)
                written = await self._kube.replace("Lease", lease)
        except KubeError as error:
            if error.reason not in (KubeReason.CONFLICT, KubeReason.ALREADY_EXISTS):
                _log.warning("lease: %s", error)
            return False
        spec = written.get("spec") or {}
        self._seen = (self._settings.identity, f"{spec.get('renewTime')}/{spec.get('leaseTransitions')}")
        self._seen_at = self._renewed_at = self._now()
        self._watched_until = time.monotonic() + self._settings.duration
        return True

    def _spec(self, old: dict[str, Any] | None) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        mine = old is not None and old.get("holderIdentity") == self._settings.identity
        transitions = int((old or {}).get("leaseTransitions") or 0)
        return {
            "holderIdentity": self._settings.identity,
            "leaseDurationSeconds": int(self._settings.duration),
            "acquireTime": (old or {}).get("acquireTime") if mine else now,
            "renewTime": now,
            "leaseTransitions": transitions if mine or old is None else transitions + 1,
        }

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
