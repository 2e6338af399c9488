"""Soft delete, restore, retention, promotion and quota, on a real API server against the simulator."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.reconcilers.stage import Json, Stage, ready
from tests.support.azure import LOCATION

SOFT = {"isSoftDeleteEnabled": True, "retentionPeriodInDays": 7, "gracePeriodInDays": 3}
RETAIN = "gallery-operator.dev/retain"


def condition(body: Json | None, kind: str) -> Json:
    """A condition of an object, or an empty dict."""
    conditions = ((body or {}).get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def put_version(
    stage: Stage, number: str, *, days: float = 100, owner: str | None = "gone", state: str = "Succeeded", **more: Any
) -> str:
    """Put a version into Azure as it is, as if it had been published days ago; returns its id."""
    resource_id = f"{stage.definition_id}/versions/{number}"
    tags = (
        {}
        if owner is None
        else {
            "gallery-operator.dev-cluster": "test",
            "gallery-operator.dev-namespace": stage.namespace,
            "gallery-operator.dev-kind": "ImageVersion",
            "gallery-operator.dev-name": owner,
        }
    )
    published = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.1234567+00:00")
    region = {"name": "West Europe", "regionalReplicaCount": 1, "storageAccountType": "Standard_LRS"}
    publishing = {"targetRegions": [region], "publishedDate": published, "excludeFromLatest": False, "replicaCount": 1}
    body = {
        "id": resource_id,
        "name": number,
        "location": LOCATION,
        "tags": tags | more.pop("tags", {}),
        "properties": {
            "provisioningState": state,
            "publishingProfile": {**publishing, **more},
            "storageProfile": {"osDiskImage": {"sizeInGB": 1, "hostCaching": "ReadWrite"}},
            "safetyProfile": {"allowDeletionOfReplicatedLocations": False},
        },
    }
    stage.azure.request("PUT", "/_control/resources", {"body": body, "disks": [{"sizeGB": 1}]})
    return resource_id


def due(stage: Stage) -> dict[str, Json]:
    """What the definition lists as due, by version."""
    retention = stage.status("GalleryImageDefinition", "debian").get("retention") or {}
    return {each["version"]: each for each in retention.get("due") or []}


async def soft_base(stage: Stage) -> None:
    stage.disk()
    stage.gallery(softDeletePolicy=SOFT)
    stage.definition()
    await stage.ready("Gallery", "platform")
    await stage.ready("GalleryImageDefinition", "debian")


async def deleted_softly(stage: Stage, **spec: Any) -> None:
    stage.version(**spec)
    await stage.ready("ImageVersion", "v1")
    stage.delete("ImageVersion", "v1")
    await stage.gone("ImageVersion", "v1")


async def test_soft_delete_is_switched_on_and_off(stage: Stage) -> None:
    await soft_base(stage)
    policy = (stage.in_azure(stage.gallery_id) or {})["properties"]["softDeletePolicy"]
    assert policy == SOFT
    assert (await stage.ready("Gallery", "platform"))["status"]["softDeletePolicy"] == SOFT
    stage.patch("Gallery", "platform", {"spec": {"softDeletePolicy": {"isSoftDeleteEnabled": False}}})
    body = await stage.ready("Gallery", "platform")
    assert body["status"]["softDeletePolicy"]["isSoftDeleteEnabled"] is False
    await stage.quiet()
    before = stage.kubernetes_writes() + stage.azure.counts()["writes"]
    await asyncio.sleep(4.0)  # more than one comparison with Azure
    assert stage.kubernetes_writes() + stage.azure.counts()["writes"] == before


async def test_deleted_version_is_listed_and_restored_for_who_adopts_it(stage: Stage) -> None:
    await soft_base(stage)
    await deleted_softly(stage, tags={"cost": "42"})
    stage.nudge("GalleryImageDefinition", "debian")
    await stage.until(lambda: stage.status("GalleryImageDefinition", "debian").get("softDeleted"))
    listed = stage.status("GalleryImageDefinition", "debian")["softDeleted"]
    assert (listed["count"], listed["versions"][0]["version"]) == (1, "1.0.0")
    assert set(listed["versions"][0]) == {"version", "softDeletedTime", "consumptionEndTime", "hardDeletionTargetTime"}
    # A new object of the number: nothing in Azure's list says whose it was.
    stage.version()
    body = await stage.reason("ImageVersion", "v1", "SoftDeleted")
    assert stage.stalled(body)
    assert "adoptionPolicy" in ready(body)["message"]
    stage.patch("ImageVersion", "v1", {"spec": {"adoptionPolicy": "Adopt"}})
    await stage.ready("ImageVersion", "v1")
    tags = (stage.in_azure(stage.version_id) or {})["tags"]
    assert tags["gallery-operator.dev-name"] == "v1"
    assert tags["cost"] == "42"
    await stage.until(lambda: "Restoring" in {each["reason"] for each in stage.events("v1")})
    stage.nudge("GalleryImageDefinition", "debian")
    await stage.until(lambda: "softDeleted" not in stage.status("GalleryImageDefinition", "debian"))


async def test_version_deleted_behind_the_operators_back_is_restored(stage: Stage) -> None:
    await soft_base(stage)
    stage.version()
    body = await stage.ready("ImageVersion", "v1")
    stage.azure.clear_counts()
    stage.arm("DELETE", stage.version_id)
    await stage.until(lambda: stage.in_azure(stage.version_id) is None)
    await stage.until(lambda: "Restoring" in {each["reason"] for each in stage.events("v1")})
    body = await stage.ready("ImageVersion", "v1")
    assert body["status"]["regionsReady"] == "1/1"
    # Restored, not made anew.
    counts = stage.azure.counts()["counts"]
    assert [each["method"] for each in counts if each["path"].endswith("/versions/{}") and each["method"] == "PATCH"]


async def test_restore_is_refused_and_deletion_for_good(stage: Stage) -> None:
    await soft_base(stage)
    await deleted_softly(stage)
    stage.version(restorePolicy="Refuse", adoptionPolicy="Adopt", bypassSoftDelete=True)
    body = await stage.reason("ImageVersion", "v1", "SoftDeleted")
    assert "restorePolicy is Refuse" in ready(body)["message"]
    stage.patch("ImageVersion", "v1", {"spec": {"restorePolicy": "Restore"}})
    await stage.ready("ImageVersion", "v1")
    stage.delete("ImageVersion", "v1")
    await stage.gone("ImageVersion", "v1")
    kinds = [each["id"].lower() for each in stage.azure.state()["resources"]]
    assert not any("/versions/" in each for each in kinds)


async def test_definition_with_soft_deleted_versions_says_what_it_waits_for(stage: Stage) -> None:
    await soft_base(stage)
    await deleted_softly(stage)
    stage.delete("GalleryImageDefinition", "debian")
    body = await stage.reason("GalleryImageDefinition", "debian", "HasSoftDeletedVersions")
    assert "1.0.0" in ready(body)["message"]
    assert "softDeletePolicy" in ready(body)["message"]
    stage.patch("Gallery", "platform", {"spec": {"softDeletePolicy": {"isSoftDeleteEnabled": False}}})
    await stage.until(
        lambda: not (stage.status("Gallery", "platform").get("softDeletePolicy") or SOFT)["isSoftDeleteEnabled"]
    )
    await stage.gone("GalleryImageDefinition", "debian")


async def test_retention_reports_and_touches_nothing(stage: Stage) -> None:
    await stage.base()
    for number in ("1.0.0", "1.1.0", "1.2.0"):
        put_version(stage, number, days=100 - 10 * float(number[2]))
    stage.patch("GalleryImageDefinition", "debian", {"spec": {"retention": {"keepVersions": 2, "notice": "0s"}}})
    await stage.until(lambda: due(stage))
    assert {name: each["action"] for name, each in due(stage).items()} == {"1.0.0": "Report"}
    await stage.quiet()
    before = stage.kubernetes_writes() + stage.azure.counts()["writes"]
    await asyncio.sleep(4.0)  # more than one comparison with Azure
    assert stage.kubernetes_writes() + stage.azure.counts()["writes"] == before
    assert stage.in_azure(f"{stage.definition_id}/versions/1.0.0") is not None
    told = [each["message"] for each in stage.events("debian") if each["reason"] == "RetentionDue"]
    assert told == ["No retention rule keeps 1.0.0. Nothing happens by itself."]


async def test_retention_deletes_what_nobody_declares_after_the_notice(stage: Stage) -> None:
    await stage.base()
    put_version(stage, "1.0.0", days=90)
    put_version(stage, "1.1.0", days=80, owner=None)
    put_version(stage, "1.2.0", days=70, tags={"gallery-operator.dev-retain": "true"})
    put_version(stage, "1.3.0", days=60, state="Failed")
    put_version(stage, "1.4.0", days=50)
    put_version(stage, "2.0.0", days=40)
    rule = {"mode": "DeleteVersions", "keepVersions": 1, "notice": "3s"}
    stage.patch("GalleryImageDefinition", "debian", {"spec": {"retention": rule}})
    await stage.until(lambda: due(stage))
    seen = due(stage)
    assert set(seen) == {"1.0.0", "1.3.0", "1.4.0"}
    assert {each["action"] for each in seen.values()} == {"DeleteVersion"}
    assert all(stage.in_azure(f"{stage.definition_id}/versions/{each}") for each in seen)
    await stage.until(lambda: not any(stage.in_azure(f"{stage.definition_id}/versions/{each}") for each in seen))
    await stage.until(lambda: not due(stage))
    left = {"1.1.0", "1.2.0", "2.0.0"}
    assert all(stage.in_azure(f"{stage.definition_id}/versions/{each}") for each in left)
    assert ready(stage.get("GalleryImageDefinition", "debian"))["status"] == "True"
    # What nobody's is goes only when somebody says so.
    stage.patch("GalleryImageDefinition", "debian", {"spec": {"retention": {"unmanagedVersions": "Delete"}}})
    await stage.until(lambda: stage.in_azure(f"{stage.definition_id}/versions/1.1.0") is None)
    await stage.until(
        lambda: {each["reason"] for each in stage.events("debian")} >= {"RetentionDue", "RetentionDeleting"}
    )


@pytest.mark.parametrize("objects", [False, True])
async def test_retention_of_versions_with_an_object(stage: Stage, objects: bool) -> None:
    await stage.base()
    stage.version("old", version="1.0.0")
    stage.version("pinned", version="1.0.1")
    await stage.ready("ImageVersion", "old")
    await stage.ready("ImageVersion", "pinned")
    stage.patch("ImageVersion", "pinned", {"metadata": {"annotations": {RETAIN: "true"}}})
    stage.version("new", version="2.0.0")
    await stage.ready("ImageVersion", "new")
    rule = {"mode": "DeleteVersions", "keepVersions": 1, "notice": "2s", "deleteObjects": objects}
    stage.patch("GalleryImageDefinition", "debian", {"spec": {"retention": rule}})
    await stage.until(lambda: due(stage))
    assert {(each["object"], each["action"]) for each in due(stage).values()} == {
        ("old", "DeleteObject" if objects else "Report")
    }
    if objects:
        await stage.gone("ImageVersion", "old")
        await stage.until(lambda: stage.in_azure(stage.version_id) is None)
    else:
        stage.nudge("ImageVersion", "old")
        await stage.until(
            lambda: (stage.status("ImageVersion", "old").get("retention") or {}).get("action") == "Report"
        )
        await stage.until(lambda: "RetentionDue" in {each["reason"] for each in stage.events("old")})
        await stage.quiet()
        await asyncio.sleep(4.0)
        assert stage.in_azure(stage.version_id) is not None
        # No longer due: the object says so, too.
        stage.patch("GalleryImageDefinition", "debian", {"spec": {"retention": None}})
        await stage.until(lambda: "retention" not in stage.status("GalleryImageDefinition", "debian"))
        stage.nudge("ImageVersion", "old")
        await stage.until(lambda: "retention" not in stage.status("ImageVersion", "old"))
    assert stage.get("ImageVersion", "pinned") is not None
    assert stage.get("ImageVersion", "new") is not None


async def test_deletion_that_azure_refuses_is_told_and_holds_up_nothing(stage: Stage) -> None:
    await stage.base()
    put_version(stage, "1.0.0", days=90)
    put_version(stage, "1.1.0", days=80)
    put_version(stage, "2.0.0", days=40)
    stage.azure.add_fault(
        method="DELETE", path="/versions/1.0.0", status=403, code="ScopeLocked", message="There is a lock.", count=None
    )
    rule = {"mode": "DeleteVersions", "keepVersions": 1, "notice": "1s"}
    stage.patch("GalleryImageDefinition", "debian", {"spec": {"retention": rule}})
    await stage.until(
        lambda: condition(stage.get("GalleryImageDefinition", "debian"), "RetentionBlocked"),
        lambda: stage.status("GalleryImageDefinition", "debian"),
    )
    await stage.until(lambda: stage.in_azure(f"{stage.definition_id}/versions/1.1.0") is None)
    body = stage.get("GalleryImageDefinition", "debian")
    assert "1.0.0: There is a lock" in condition(body, "RetentionBlocked")["message"]
    assert ready(body)["status"] == "True"
    stage.azure.request("DELETE", "/_control/faults")
    await stage.until(lambda: stage.in_azure(f"{stage.definition_id}/versions/1.0.0") is None)
    await stage.until(lambda: not condition(stage.get("GalleryImageDefinition", "debian"), "RetentionBlocked"))


async def test_killed_at_any_time_retention_goes_on_where_status_says(idle_stage: Stage) -> None:
    stage = idle_stage
    await stage.start()
    await stage.base()
    for number in range(8):
        put_version(stage, f"1.0.{number}", days=90 - number)
    put_version(stage, "2.0.0", days=1)
    rule = {"mode": "DeleteVersions", "keepVersions": 1, "notice": "2s"}
    stage.patch("GalleryImageDefinition", "debian", {"spec": {"retention": rule}})
    await stage.until(lambda: len(due(stage)) == 8)
    since = {each["version"]: each["since"] for each in due(stage).values()}
    await stage.stop()
    await stage.start()
    left = 9
    for _ in range(3):
        await asyncio.sleep(0.7)
        await stage.stop()
        told = due(stage)
        assert all(each["since"] == since[name] for name, each in told.items())
        found = sum("/versions/" in each["id"] for each in stage.azure.state()["resources"])
        assert found <= left
        left = found
        await stage.start()
    await stage.until(lambda: sum("/versions/" in each["id"] for each in stage.azure.state()["resources"]) == 1)
    assert stage.in_azure(f"{stage.definition_id}/versions/2.0.0") is not None


async def test_promotion_is_the_edit_of_one_field(stage: Stage) -> None:
    await stage.base()
    stage.version("stable", version="1.0.0")
    stage.version("candidate", version="1.1.0", excludeFromLatest=True)
    await stage.ready("ImageVersion", "stable")
    await stage.ready("ImageVersion", "candidate")
    await stage.until(lambda: stage.status("GalleryImageDefinition", "debian").get("versions") == 2)
    await stage.until(lambda: stage.status("GalleryImageDefinition", "debian").get("latestVersion") == "1.0.0")
    stage.patch("ImageVersion", "candidate", {"spec": {"excludeFromLatest": False}})
    await stage.until(lambda: stage.status("GalleryImageDefinition", "debian").get("latestVersion") == "1.1.0")
    stage.patch("ImageVersion", "candidate", {"spec": {"excludeFromLatest": True}})
    await stage.until(lambda: stage.status("GalleryImageDefinition", "debian").get("latestVersion") == "1.0.0")


async def test_end_of_life_is_told_when_it_comes(stage: Stage) -> None:
    await stage.base()
    end = (datetime.now(UTC) + timedelta(seconds=12)).strftime("%Y-%m-%dT%H:%M:%SZ")
    stage.version(endOfLifeDate=end)
    await stage.ready("ImageVersion", "v1")
    await stage.until(lambda: stage.status("GalleryImageDefinition", "debian").get("nextEndOfLife"))
    assert stage.status("GalleryImageDefinition", "debian")["nextEndOfLife"]["version"] == "1.0.0"
    await stage.until(
        lambda: condition(stage.get("ImageVersion", "v1"), "EndOfLife"), lambda: stage.status("ImageVersion", "v1")
    )
    assert ready(stage.get("ImageVersion", "v1"))["status"] == "True"
    await stage.until(lambda: "nextEndOfLife" not in stage.status("GalleryImageDefinition", "debian"))


async def test_quota_is_told_before_the_wall_and_explained_at_it(stage: Stage) -> None:
    stage.azure.request("PUT", "/_control/quotas", {"GalleryImage": 5, "GalleryImageVersion": 1})
    await stage.base()
    stage.version()
    await stage.ready("ImageVersion", "v1")
    stage.version("v2", version="2.0.0")
    body = await stage.reason("ImageVersion", "v2", "OperationNotAllowed")
    assert stage.stalled(body)
    assert "retention" in ready(body)["message"]
    # Read once an hour: a new process reads it anew.
    await stage.stop()
    await stage.start()
    await stage.until(lambda: condition(stage.get("Gallery", "platform"), "QuotaNearlyUsed"))
    gallery = stage.get("Gallery", "platform")
    assert condition(gallery, "QuotaNearlyUsed")["reason"] == "QuotaAlmostExhausted"
    assert ready(gallery)["status"] == "True"
    assert {(each["resource"], each["used"], each["limit"], each["source"]) for each in gallery["status"]["quota"]} == {
        ("Galleries", 1, 100, "Azure"),
        ("ImageDefinitions", 1, 5, "Azure"),
        ("ImageVersions", 1, 1, "Azure"),
    }
    await stage.until(lambda: "QuotaAlmostExhausted" in {each["reason"] for each in stage.events("platform")})
    stage.azure.clear_counts()
    await asyncio.sleep(4.0)
    assert not [each for each in stage.azure.counts()["counts"] if each["path"].endswith("/usages")]


async def test_where_azure_tells_no_quota_it_is_counted(stage: Stage) -> None:
    stage.azure.add_fault(
        method="GET", path="/usages", status=403, code="AuthorizationFailed", message="No right.", count=None
    )
    await stage.base()
    body = await stage.ready("Gallery", "platform")
    await stage.until(lambda: stage.status("Gallery", "platform").get("quota"))
    assert {each["source"] for each in stage.status("Gallery", "platform")["quota"]} == {"Counted"}
    assert ready(body)["status"] == "True"
