"""Hints of the watches, who is woken by an event, the census, health, de-duplicated events."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from tests.unit.runtime.clockloop import run

from gallery_operator.api import Gallery
from gallery_operator.handlers.watches import EndlessBackoff, on_job, on_object, settings
from gallery_operator.kube import KubeError, KubeReason
from gallery_operator.runtime.census import Census
from gallery_operator.runtime.events import EventRecorder
from gallery_operator.runtime.health import Health
from gallery_operator.runtime.hints import Hints
from gallery_operator.runtime.workqueue import Key, WorkQueue

Json = dict[str, Any]
GALLERY = Key("Gallery", "n", "g")
DEFINITION = Key("GalleryImageDefinition", "n", "d")


def body(name: str, spec: Json | None = None, *, generation: int = 1, ready: str = "False", **meta: Any) -> Json:
    condition = {"type": "Ready", "status": ready, "reason": "X", "message": "m"}
    return {
        "metadata": {"name": name, "namespace": "n", "uid": f"u-{name}", "generation": generation, **meta},
        "spec": spec or {},
        "status": {"conditions": [condition]},
    }


PARENT = body("g", {"resourceGroup": "r"})
CHILD = body("d", {"galleryRef": {"name": "g"}})


def test_own_status_writes_wake_only_others() -> None:
    hints = Hints()
    assert hints.update(DEFINITION, CHILD).own
    assert not hints.update(DEFINITION, CHILD).own
    change = hints.update(DEFINITION, body("d", CHILD["spec"], ready="True"))
    assert (change.own, change.others) == (False, True)
    change = hints.update(DEFINITION, body("d", CHILD["spec"], generation=2, ready="True"))
    assert (change.own, change.others) == (True, True)
    asked = body(
        "d", CHILD["spec"], generation=2, ready="True", annotations={"gallery-operator.dev/reconcile-requested-at": "1"}
    )
    assert hints.update(DEFINITION, asked).own
    deleted = body("d", CHILD["spec"], generation=2, ready="True", deletionTimestamp="t")
    assert hints.update(DEFINITION, deleted).own


def test_references_follow_the_object() -> None:
    hints = Hints()
    hints.update(DEFINITION, CHILD)
    assert hints.referrers(GALLERY) == (DEFINITION,)
    assert hints.referred(DEFINITION) == (GALLERY,)
    hints.update(DEFINITION, body("d", {"galleryRef": {"name": "other"}}, generation=2))
    assert hints.referrers(GALLERY) == ()
    hints.remove(DEFINITION)
    assert hints.referrers(Key("Gallery", "n", "other")) == ()


def test_rivals_and_ghosts() -> None:
    hints = Hints()
    other = Key("Gallery", "n", "h")
    hints.update(GALLERY, PARENT)
    hints.update(other, body("h", {"resourceGroup": "R", "galleryName": "G"}))
    assert hints.rivals(GALLERY) == (other,)
    assert hints.retain("Gallery", [GALLERY]) == [other]
    assert hints.rivals(GALLERY) == ()
    assert not hints.note_if_new(GALLERY, PARENT)
    assert hints.note_if_new(other, PARENT)


def test_an_event_wakes_the_object_and_whom_it_concerns() -> None:
    async def play() -> None:
        queue, hints, census = WorkQueue(), Hints(), Census()

        async def woken() -> set[Key]:
            found = set()
            while queue.depth():
                key = await queue.get()
                found.add(key)
                queue.done(key)
            return found

        on_object(queue, hints, census, "Gallery", "ADDED", PARENT)
        assert await woken() == {GALLERY}
        on_object(queue, hints, census, "GalleryImageDefinition", "ADDED", CHILD)
        assert await woken() == {GALLERY, DEFINITION}
        on_object(queue, hints, census, "Gallery", "MODIFIED", PARENT)
        assert await woken() == set()
        on_object(queue, hints, census, "Gallery", "MODIFIED", body("g", PARENT["spec"], ready="True"))
        assert await woken() == {DEFINITION}
        on_object(queue, hints, census, "GalleryImageDefinition", "DELETED", CHILD)
        assert await woken() == {GALLERY, DEFINITION}
        owner = {"kind": "VhdImport", "apiVersion": "gallery-operator.dev/v1alpha1", "name": "i"}
        on_job(
            queue,
            {
                "metadata": {
                    "namespace": "n",
                    "ownerReferences": [owner, {"kind": "VhdImport", "apiVersion": "x/v1", "name": "j"}],
                }
            },
        )
        assert await woken() == {Key("VhdImport", "n", "i")}

    run(play)


def test_kopf_never_gives_up() -> None:
    delays = []
    for delay in EndlessBackoff():
        delays.append(delay)
        if len(delays) == 200:
            break
    assert max(delays) <= 30.0 * 1.3
    found = settings(trust_env=False)
    assert found.posting.enabled is False
    assert found.scanning.disabled is True


def test_census_counts_states_and_forgets() -> None:
    registry = CollectorRegistry()
    census = Census()
    registry.register(census)
    shared = body("g", ready="True")
    shared["status"]["conditions"].append({"type": "Shared", "status": "False", "reason": "RegionsFailed"})
    shared["status"]["sharing"] = {"permissions": "Groups", "regions": [{"region": "East US", "state": "Failed"}]}
    census.update(GALLERY, shared)
    stalled = body("d")
    stalled["status"]["conditions"].append({"type": "Stalled", "status": "True"})
    census.update(DEFINITION, stalled)
    version = body("v")
    version["status"] |= {
        "provisioningState": "Succeeded",
        "regions": [{"name": "westeurope", "state": "Completed", "replicas": 3}],
    }
    census.update(Key("ImageVersion", "n", "v"), version)
    census.update(Key("VhdImport", "n", "i"), {"metadata": {}})
    text = generate_latest(registry).decode()
    for line in (
        'gallery_operator_objects{kind="Gallery",state="ready"} 1.0',
        'gallery_operator_objects{kind="GalleryImageDefinition",state="stalled"} 1.0',
        'gallery_operator_imports{phase="Pending"} 1.0',
        'gallery_operator_versions{state="Succeeded"} 1.0',
        'gallery_operator_regions{region="westeurope",state="Completed"} 1.0',
        'gallery_operator_region_replicas{region="westeurope"} 3.0',
        'gallery_operator_shared{kind="Gallery",permissions="Groups",state="failed"} 1.0',
        'gallery_operator_sharing_regions{region="East US",state="Failed"} 1.0',
    ):
        assert line in text
    census.remove(GALLERY)
    assert 'kind="Gallery",' not in generate_latest(registry).decode()


def test_health_notices_what_only_a_restart_mends() -> None:
    async def play() -> None:
        queue = WorkQueue()
        health = Health(queue, reconcile_timeout=120.0, resync_seconds=600.0)
        assert health.live()[0]
        assert health.ready() == (True, "standby")
        health.leader = True
        assert not health.ready()[0]
        health.listed_at = asyncio.get_running_loop().time()
        assert not health.ready()[0]
        health.watching = True
        assert health.ready() == (True, "ok")
        queue.add(GALLERY)
        await queue.get()
        await asyncio.sleep(190)
        good, why = health.live()
        assert not good
        assert "busy" in why
        queue.done(GALLERY)
        assert health.live()[0]
        queue.add(GALLERY)
        await asyncio.sleep(310)
        assert "waited" in health.live()[1]
        await queue.get()
        queue.done(GALLERY)
        await asyncio.sleep(1500)
        assert "no complete list" in health.live()[1]
        health.leader = False
        assert health.live()[0]

    run(play)


class _Kube:
    def __init__(self) -> None:
        self.posted: list[Json] = []
        self.error: KubeError | None = None

    async def create(self, kind: str, document: Json) -> Json:
        if self.error is not None:
            raise self.error
        self.posted.append(document)
        return document


async def test_the_same_news_is_told_once() -> None:
    kube = _Kube()
    recorder = EventRecorder(kube, "me")  # type: ignore[arg-type]
    gallery = Gallery.from_wire(
        {
            "metadata": {"name": "g" * 199 + ".x", "namespace": "n", "uid": "u" * 36},
            "spec": {"resourceGroup": "r", "location": "w"},
        }
    )
    for _ in range(3):
        await recorder.post(gallery, "Warning", "Forbidden", "no https://x/y?sig=canary")
    await recorder.post(gallery, "Warning", "Forbidden", "another")
    assert len(kube.posted) == 2
    assert "canary" not in str(kube.posted)
    assert ".." not in kube.posted[0]["metadata"]["name"]
    assert len(kube.posted[0]["metadata"]["name"]) <= 253


@pytest.mark.parametrize("reason", [KubeReason.ALREADY_EXISTS, KubeReason.FORBIDDEN, KubeReason.UNAVAILABLE])
async def test_an_event_that_cannot_be_posted_disturbs_nothing(reason: KubeReason) -> None:
    kube = _Kube()
    kube.error = KubeError(reason, "x")
    recorder = EventRecorder(kube, "me")  # type: ignore[arg-type]
    gallery = Gallery.from_wire(
        {"metadata": {"name": "g", "namespace": "n"}, "spec": {"resourceGroup": "r", "location": "w"}}
    )
    await recorder.post(gallery, "Normal", "Ready", "x")
    kube.error = None
    await recorder.post(gallery, "Normal", "Ready", "x")
    assert len(kube.posted) == (0 if reason is KubeReason.ALREADY_EXISTS else 1)
