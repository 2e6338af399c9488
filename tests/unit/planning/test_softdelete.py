"""What can be restored, and for whom."""

from __future__ import annotations

from typing import Any

import pytest

from gallery_operator.api import ImageVersion
from gallery_operator.api.lifecycle import SOFT_DELETED_LIMIT
from gallery_operator.planning.ownership import owner_tags
from gallery_operator.planning.softdelete import deleted, match, refusal, restore_body, status

DOCUMENT: dict[str, Any] = {  # as Azure's published example has it
    "location": "West US",
    "name": "1.0.0",
    "properties": {
        "consumptionEndTime": "2024-11-16T13:01:05Z",
        "hardDeletionTargetTime": "2024-11-23T13:01:05Z",
        "softDeletedArtifactType": "Images",
        "softDeletedTime": "2024-10-17T13:01:05+00:00",
    },
}


def version(name: str = "v", **spec: Any) -> ImageVersion:
    base = {
        "definitionRef": {"name": "d"},
        "version": "1.0.0",
        "source": {"osDisk": {"vhdImportRef": {"name": "i"}}},
        "targetRegions": [{"name": "westeurope"}],
    }
    meta = {"name": name, "namespace": "n", "uid": "u"}
    return ImageVersion.model_validate({"metadata": meta, "spec": {**base, **spec}})


def test_the_list_is_read_and_bounded() -> None:
    found = deleted([{**DOCUMENT, "name": f"1.0.{n}"} for n in range(SOFT_DELETED_LIMIT + 5)] + [{"name": "0.0.1"}])
    told = status(found)
    assert told is not None
    assert told.count == SOFT_DELETED_LIMIT + 6
    assert len(told.versions) == SOFT_DELETED_LIMIT
    assert told.to_wire()["versions"][0] == {
        "version": "1.0.0",
        "softDeletedTime": "2024-10-17T13:01:05Z",
        "consumptionEndTime": "2024-11-16T13:01:05Z",
        "hardDeletionTargetTime": "2024-11-23T13:01:05Z",
    }
    assert found[-1].version.version == "0.0.1"  # no date: nothing says that it goes soon
    assert status([]) is None
    assert match(found, "01.0.7") is not None
    assert match(found, "2.0.0") is None


OURS, THEIRS = owner_tags(version(), "c"), owner_tags(version("other"), "c")


@pytest.mark.parametrize(
    ("tags", "spec", "had", "reason"),
    [
        (None, {}, False, "SoftDeleted"),
        (None, {}, True, None),
        (None, {"adoptionPolicy": "Adopt"}, False, None),
        ({"cost": "42"}, {}, False, "SoftDeleted"),
        (OURS, {}, False, None),
        (OURS, {"restorePolicy": "Refuse"}, True, "SoftDeleted"),
        (THEIRS, {"adoptionPolicy": "Adopt"}, True, "OwnedByAnother"),
    ],
)
def test_only_what_is_ours_or_to_be_adopted_comes_back(
    tags: dict[str, str] | None, spec: dict[str, Any], had: bool, reason: str | None
) -> None:
    (found,) = deleted([{**DOCUMENT, "tags": tags} if tags is not None else DOCUMENT])
    refused = refusal(version(**spec), found, "c", had=had)
    assert (refused.reason if refused else None) == reason
    if refused is not None:
        assert "2024-11-23T13:01:05Z" in refused.message
        assert "choose another version number" in refused.message


def test_the_body_is_the_published_one() -> None:
    (found,) = deleted([{**DOCUMENT, "tags": {"cost": "42"}}])
    assert restore_body(found, None) == {"properties": {"restore": True, "storageProfile": {}}}
    assert restore_body(found, {"a": "b"})["tags"] == {"cost": "42", "a": "b"}
