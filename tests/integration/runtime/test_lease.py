"""Leader election on a real API server: one holder, handed over, taken over."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.apiserver import ApiServer

from gallery_operator.kube import KubeGateway
from gallery_operator.runtime.lease import LeaderLease, LeaseSettings


def lease(kube: KubeGateway, namespace: str, who: str, lost: list[str]) -> LeaderLease:
    settings = LeaseSettings(namespace, "op", who, duration=3.0, deadline=2.0, retry=0.2)
    return LeaderLease(kube, settings, lambda: lost.append(who))


async def test_one_holds_the_other_waits_and_follows(
    apiserver: ApiServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LeaderLease, "_watch_the_loop", lambda self: None)  # it would end this process
    lost: list[str] = []
    async with KubeGateway(str(apiserver.kubeconfig)) as kube:
        first, second = lease(kube, namespace, "a", lost), lease(kube, namespace, "b", lost)
        await first.acquire()
        waiting = asyncio.create_task(second.acquire())
        loop = asyncio.get_running_loop()
        end = loop.time() + 4.0  # longer than the lease holds without renewal
        while loop.time() < end:
            assert first.held
            assert not waiting.done()
            await asyncio.sleep(0.1)
        await first.release()
        await asyncio.wait_for(waiting, 2.0)
        # A holder that dies gives nothing back: the next waits until it has run out.
        assert second._task is not None
        second._task.cancel()
        third = lease(kube, namespace, "c", lost)
        began = loop.time()
        await asyncio.wait_for(third.acquire(), 10.0)
        assert loop.time() - began >= 2.5
        body = await kube.get("Lease", namespace, "op")
        assert body is not None
        assert body["spec"]["holderIdentity"] == "c"
        assert body["spec"]["leaseTransitions"] == 2
        await third.release()
    assert lost == []
