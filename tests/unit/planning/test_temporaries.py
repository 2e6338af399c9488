"""Whose what is left is, and when it is called abandoned."""

from __future__ import annotations

from typing import Any

import pytest

from gallery_operator.planning.names import staging_disk_name
from gallery_operator.planning.temporaries import Temporary, abandoned, of_azure, of_cluster

UID = "5e9cbf6c-0000-0000-0000-000000000001"


def disk(name: str | None = None, **tags: str) -> dict[str, Any]:
    found = {"cluster": "test", "namespace": "team", "name": "os", "kind": "VhdImport", "uid": UID, **tags}
    return {
        "id": f"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/{name or 'x'}",
        "name": name or staging_disk_name("team", "os", UID),
        "tags": {f"gallery-operator.dev-{key}": value for key, value in found.items() if value},
    }


def test_a_staging_disk_of_ours() -> None:
    found = of_azure([disk()], "test")
    assert [(each.kind, each.owner_uid, each.owner) for each in found] == [("StagingDisk", UID, "VhdImport team/os")]


def test_names_are_compared_as_azure_does() -> None:
    assert of_azure([disk(staging_disk_name("team", "os", UID).upper())], "test")


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"id": "x", "name": "y"}, "no tags"),
        ({"id": "x", "name": "y", "tags": {"cost-centre": "7"}}, "somebody else's tags"),
        (disk(cluster="another"), "another cluster's"),
        (disk(kind="ImageVersion"), "another kind's"),
        (disk(uid=""), "no uid: made by hand"),
        (disk("debian"), "an import's result, which deletionPolicy Retain may leave"),
        (disk(uid="5e9cbf6c-0000-0000-0000-000000000002"), "its name does not follow from its tags"),
        (disk(namespace="unserved"), "its name does not follow from its tags"),
    ],
)
def test_what_is_none_of_ours(other: dict[str, Any], why: str) -> None:
    assert of_azure([other], "test") == [], why


def test_of_namespaces_that_are_not_served_nothing_is_known() -> None:
    assert of_azure([disk()], "test", ["elsewhere"]) == []
    assert len(of_azure([disk()], "test", ["team"])) == 1


def test_objects_of_the_cluster_name_their_import() -> None:
    owner = {"kind": "VhdImport", "name": "os", "uid": UID, "controller": True}
    meta = {"namespace": "team", "name": "os-prepare-1", "ownerReferences": [owner]}
    found = of_cluster("Job", [{"metadata": meta}, {"metadata": {"namespace": "team", "name": "theirs"}}])
    assert found == [Temporary("Job", "team/os-prepare-1", UID, "VhdImport team/os")]


def test_only_what_is_alone_twice_is_abandoned() -> None:
    here, gone = Temporary("Job", "a/1", "alive", "x"), Temporary("Job", "a/2", "dead", "x")
    first, suspected = abandoned([here, gone], {"alive"}, [])
    assert (first, suspected) == ([], [gone])
    assert abandoned([here, gone], {"alive"}, suspected) == ([gone], [gone])
    assert abandoned([here], {"alive"}, suspected) == ([], [])
    # It had only not been listed yet.
    assert abandoned([here, gone], {"alive", "dead"}, suspected) == ([], [])
