"""Leader election: never two holders, takeover, lost renewals, hung requests; in invented time."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from tests.unit.runtime.clockloop import run

from gallery_operator.kube import KubeError, KubeReason
from gallery_operator.runtime.lease import LeaderLease, LeaseSettings

Body = dict[str, Any]


class Server:
    """The part of the API that the election uses."""

    def __init__(self) -> None:
        self.lease: Body | None = None
        self.version = 0
        self.broken: dict[str, str] = {}
        """What is wrong for whom: ``down`` or ``hung``."""

    async def weather(self, who: str) -> None:
        await asyncio.sleep(0)
        if self.broken.get(who) == "down":
            raise KubeError(KubeReason.UNAVAILABLE, "down")
        if self.broken.get(who) == "hung":
            await asyncio.sleep(1e6)


class Client:
    """A gateway of one process."""

    def __init__(self, server: Server, who: str) -> None:
        self.server, self.who = server, who

    async def get(self, kind: str, namespace: str, name: str) -> Body | None:
        await self.server.weather(self.who)
        return copy.deepcopy(self.server.lease)

    async def create(self, kind: str, body: Body) -> Body:
        await self.server.weather(self.who)
        if self.server.lease is not None:
            raise KubeError(KubeReason.ALREADY_EXISTS, "exists")
        return self._store(body)

    async def replace(self, kind: str, body: Body) -> Body:
        await self.server.weather(self.who)
        if body["metadata"]["resourceVersion"] != str(self.server.version):
            raise KubeError(KubeReason.CONFLICT, "changed")
        return self._store(body)

    def _store(self, body: Body) -> Body:
        self.server.version += 1
        self.server.lease = copy.deepcopy(body)
        self.server.lease["metadata"]["resourceVersion"] = str(self.server.version)
        return copy.deepcopy(self.server.lease)


@pytest.fixture(autouse=True)
def _no_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    # The watchdog is a thread in real time; it would end this process.
    monkeypatch.setattr(LeaderLease, "_watch_the_loop", lambda self: None)


def lease(server: Server, who: str, lost: list[str] | None = None) -> LeaderLease:
    told = lost if lost is not None else []
    return LeaderLease(Client(server, who), LeaseSettings("ns", "op", who), lambda: told.append(who))  # type: ignore[arg-type]


def test_second_waits_until_the_first_gives_back() -> None:
    async def play() -> None:
        server = Server()
        first, second = lease(server, "a"), lease(server, "b")
        await first.acquire()
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(300)
        assert first.held
        assert not waiting.done()
        await first.release()
        assert not first.held
        began = asyncio.get_running_loop().time()
        await waiting
        assert asyncio.get_running_loop().time() - began <= 2.1
        assert second.held
        assert server.lease is not None
        assert server.lease["spec"]["leaseTransitions"] == 1
        await second.release()
        assert server.lease["spec"]["holderIdentity"] == ""

    run(play)


@pytest.mark.parametrize("how", ["down", "hung"])
def test_holder_that_cannot_renew_stops_before_another_takes_over(how: str) -> None:
    async def play() -> None:
        server, lost = Server(), []  # type: ignore[var-annotated]
        first, second = lease(server, "a", lost), lease(server, "b")
        await first.acquire()
        loop = asyncio.get_running_loop()
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(10)
        server.broken["a"] = how
        broken_at = loop.time()
        while not lost:
            assert not waiting.done(), "two holders"
            await asyncio.sleep(0.1)
        assert not first.held
        assert loop.time() - broken_at <= 12.5
        await waiting
        assert 13.0 <= loop.time() - broken_at <= 20.0

    run(play)


def test_passing_trouble_does_not_cost_the_lease() -> None:
    async def play() -> None:
        server, lost = Server(), []  # type: ignore[var-annotated]
        first = lease(server, "a", lost)
        await first.acquire()
        for _ in range(5):
            server.broken["a"] = "down"
            await asyncio.sleep(6)
            server.broken.clear()
            await asyncio.sleep(4)
        assert first.held
        assert lost == []
        await first.release()

    run(play)


def test_holder_sees_that_another_has_taken_over() -> None:
    async def play() -> None:
        server, lost = Server(), []  # type: ignore[var-annotated]
        first = lease(server, "a", lost)
        await first.acquire()
        assert server.lease is not None
        server.lease["spec"]["holderIdentity"] = "b"
        server.lease["spec"]["renewTime"] = "other"
        await asyncio.sleep(3)
        assert lost == ["a"]

    run(play)


def test_one_of_many_wins_a_fresh_lease() -> None:
    async def play() -> None:
        server = Server()
        all_ = [lease(server, str(n)) for n in range(5)]
        tasks = [asyncio.create_task(each.acquire()) for each in all_]
        await asyncio.sleep(60)
        assert sum(each.held for each in all_) == 1
        for task in tasks:
            task.cancel()
        for each in all_:
            await each.release()

    run(play)
