"""What the examples of promotion, retention, soft delete and restore must have done in Azure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.support.e2e.examples.run import Applied, Json, example
from tests.support.e2e.examples.versions import publishing, storage
from tests.support.e2e.examples.world import COMPUTE, arm
from tests.support.e2e.sandbox import LOCATION

_API = "api-version=2025-03-03"
_DAYS = {"1.0.0": 80, "1.1.0": 70, "1.2.0": 60, "1.3.0": 50, "1.4.0": 40, "1.5.0": 3, "1.6.0": 2}


@example("version-promotion.yaml")
def promotion(applied: Applied) -> None:
    """A candidate is not the latest; one field makes it so."""
    (found,) = applied.ready("version-promotion.yaml")
    candidate = found["status"]["resourceId"]
    assert publishing(applied.body(candidate))["excludeFromLatest"] is True
    change = {"spec": {"excludeFromLatest": False}}
    applied.cluster.kube.patch("ImageVersion", applied.sandbox.namespace, "debian-12-8-0", change)
    applied.ready("version-promotion.yaml")
    assert publishing(applied.body(candidate))["excludeFromLatest"] is False


@example("gallery-soft-delete.yaml")
def soft_delete(applied: Applied) -> None:
    """Deleted versions of the gallery stay for a week."""
    gallery, definition = applied.bodies("gallery-soft-delete.yaml")
    assert gallery["properties"]["softDeletePolicy"] == {"isSoftDeleteEnabled": True, "retentionPeriodInDays": 7}
    assert definition["id"].startswith(f"{gallery['id']}/images/")


@example("version-restore.yaml")
def restore(applied: Applied) -> None:
    """A version that somebody made and deleted is there again, as it was."""
    _, definition = applied.bodies("gallery-soft-delete.yaml")
    version = f"{definition['id']}/versions/12.6.9"
    source = f"{COMPUTE}/snapshots/debian-12"
    properties = {
        "storageProfile": {"osDiskImage": {"source": {"id": source}}},
        "publishingProfile": {"targetRegions": [{"name": LOCATION}]},
    }
    content = {"location": LOCATION, "tags": {"made-by": "hand"}, "properties": properties}
    arm(applied.cluster, ("PUT", f"{version}?{_API}", content), ("DELETE", f"{version}?{_API}", None))
    applied.sandbox.wait("the version to be deleted", lambda: applied.azure.resource(version) is None, seconds=60)
    applied.apply("version-restore.yaml")
    body = applied.only("version-restore.yaml")
    assert body["id"] == version
    assert storage(body)["osDiskImage"]["source"]["id"] == source, "it was made anew"
    assert body["tags"]["made-by"] == "hand"
    owner = "gallery-operator.dev-name"
    # It is Ready before: the image is in its region, and marking it as ours is an update.
    applied.sandbox.wait(
        "the version to be ours", lambda: applied.body(version)["tags"].get(owner) == "debian-12-6-9", seconds=60
    )


@example("definition-retention.yaml")
def retention(applied: Applied) -> None:
    """What is neither among the newest five nor young is listed with a day's notice, and does not go before."""
    (found,) = applied.ready("definition-retention.yaml")
    definition = found["status"]["resourceId"]
    for number, days in _DAYS.items():
        _published(applied, f"{definition}/versions/{number}", days)
    request = {"metadata": {"annotations": {"gallery-operator.dev/reconcile-requested-at": "now"}}}
    applied.cluster.kube.patch("GalleryImageDefinition", applied.sandbox.namespace, "debian-12-nightly", request)

    wanted = dict.fromkeys(("1.0.0", "1.1.0"), "DeleteVersion")

    def listed() -> bool:
        status = applied.sandbox.status("GalleryImageDefinition", "debian-12-nightly")
        due: list[Json] = (status.get("retention") or {}).get("due") or []
        return {each["version"]: each["action"] for each in due} == wanted

    applied.sandbox.wait("the two oldest versions, and no other, to be listed as due", listed, seconds=120)
    assert all(applied.body(f"{definition}/versions/{number}") for number in _DAYS), (
        "one went before its notice was over"
    )
    arm(applied.cluster, *(("DELETE", f"{definition}/versions/{number}?{_API}", None) for number in _DAYS))


def _published(applied: Applied, version: str, days: int) -> None:
    """Put a version into Azure as this operator has made it some days ago; its object is gone."""
    time = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.1234567+00:00")
    region = {"name": "West Europe", "regionalReplicaCount": 1, "storageAccountType": "Standard_LRS"}
    tags = {
        "gallery-operator.dev-cluster": "e2e",
        "gallery-operator.dev-namespace": applied.sandbox.namespace,
        "gallery-operator.dev-kind": "ImageVersion",
        "gallery-operator.dev-name": "gone",
    }
    properties = {
        "provisioningState": "Succeeded",
        "publishingProfile": {"targetRegions": [region], "publishedDate": time, "excludeFromLatest": False},
        "storageProfile": {"osDiskImage": {"sizeInGB": 1, "hostCaching": "ReadWrite"}},
        "safetyProfile": {"allowDeletionOfReplicatedLocations": False},
    }
    body = {"id": version, "location": LOCATION, "tags": tags, "properties": properties}
    applied.azure.request("PUT", "/_control/resources", {"body": body, "disks": [{"sizeGB": 1}]})
