"""ARM documents become manifests: nothing invented, nothing lost without a note."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.api import Gallery, GalleryImageDefinition, ImageVersion
from gallery_operator.export import manifests
from gallery_operator.export.manifests import ExportOptions, object_name
from gallery_operator.planning.compare import differences
from gallery_operator.planning.definition import body as definition_body
from gallery_operator.planning.gallery import body as gallery_body

Json = dict[str, Any]
_GROUP = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg"
GALLERY = f"{_GROUP}/providers/Microsoft.Compute/galleries/My_Gallery.1"
EXAMPLES = Path(
    os.environ.get("GALLERY_OPERATOR_EXAMPLES")
    or Path(__file__).parents[4] / "shared/data/azure-specs/examples-current"
)


def gallery(**properties: Any) -> Json:
    return {
        "id": GALLERY,
        "name": "My_Gallery.1",
        "location": "West Europe",
        "tags": {"team": "x", "gallery-operator.dev-name": "other"},
        "properties": {"provisioningState": "Succeeded", "identifier": {"uniqueName": "u"}, **properties},
    }


def version(storage: Json, **publishing: Any) -> Json:
    return {
        "id": f"{GALLERY}/images/debian/versions/1.2.3",
        "name": "1.2.3",
        "location": "westeurope",
        "properties": {
            "publishingProfile": {
                "targetRegions": [
                    {"name": "West Europe", "regionalReplicaCount": 2, "storageAccountType": "Standard_ZRS"}
                ],
                "replicaCount": 1,
                "publishedDate": "2026-01-01T00:00:00.1234567+00:00",
                **publishing,
            },
            "storageProfile": storage,
            "safetyProfile": {"allowDeletionOfReplicatedLocations": False, "reportedForPolicyViolation": False},
        },
    }


def test_a_gallery() -> None:
    found = manifests.gallery(gallery(description="for all"), ExportOptions("images"))
    assert found.notes == ()
    spec = found.body["spec"]
    assert found.body["metadata"]["namespace"] == "images"
    assert spec["galleryName"] == "My_Gallery.1"
    assert spec["tags"] == {"team": "x"}
    assert spec["location"] == "westeurope"
    assert (spec["managementPolicy"], spec["deletionPolicy"]) == ("Observe", "Retain")
    parsed = Gallery.from_wire(found.body)
    assert isinstance(parsed, Gallery)
    assert differences(gallery_body(parsed, {}, gallery(description="for all")), gallery(description="for all")) == ()


def test_a_managed_export_adopts_and_never_deletes() -> None:
    spec = manifests.gallery(gallery(), ExportOptions("n", "Manage")).body["spec"]
    assert (spec["adoptionPolicy"], spec["deletionPolicy"]) == ("Adopt", "Retain")


def test_what_cannot_be_written_is_noted() -> None:
    found = manifests.gallery(gallery(novelty={"a": 1}), ExportOptions("n"))
    assert found.notes == ("novelty cannot be written here: {'a': 1}",)


def test_what_azure_has_and_our_rules_refuse_is_noted() -> None:
    found = manifests.gallery(gallery(description="x" * 2000), ExportOptions("n"))
    assert "description" not in found.body["spec"]
    assert len(found.notes) == 1
    assert found.notes[0].startswith("description is not accepted here")
    assert len(found.notes[0]) < 400


_DISK = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute"


@pytest.mark.parametrize(
    ("storage", "source"),
    [
        (
            {
                "osDiskImage": {"sizeInGB": 30, "hostCaching": "ReadWrite", "source": {"id": f"{_DISK}/disks/os"}},
                "dataDiskImages": [{"lun": 1, "source": {"id": f"{_DISK}/snapshots/data"}}],
            },
            {
                "osDisk": {"hostCaching": "ReadWrite", "diskId": f"{_DISK}/disks/os"},
                "dataDisks": [{"lun": 1, "snapshotId": f"{_DISK}/snapshots/data"}],
            },
        ),
        ({"osDiskImage": {"sizeInGB": 30}}, None),
        ({}, None),
    ],
)
def test_sources(storage: Json, source: Json | None) -> None:
    body = manifests.version(version(storage), "debian", ExportOptions("n")).body
    assert body["spec"].get("source") == source
    assert ImageVersion.from_wire(body)


def test_a_version() -> None:
    found = manifests.version(
        version({}, excludeFromLatest=True, endOfLifeDate="2030-01-01T00:00:00+00:00"), "debian", ExportOptions("n")
    )
    assert found.name == "debian-1.2.3"
    spec = found.body["spec"]
    assert spec["targetRegions"] == [
        {"name": "westeurope", "regionalReplicaCount": 2, "storageAccountType": "Standard_ZRS"}
    ]
    assert spec["excludeFromLatest"] is True
    assert spec["safetyProfile"] == {"allowDeletionOfReplicatedLocations": False}
    assert found.notes == ()


@pytest.mark.parametrize(
    ("azure_name", "name"),
    [("debian-12", "debian-12"), ("debian.12", "debian.12"), ("Debian", "debian")],
)
def test_object_names_that_fit_stay(azure_name: str, name: str) -> None:
    assert object_name(azure_name) == name


@given(st.from_regex(r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,78}[A-Za-z0-9])?$", fullmatch=True))
def test_every_azure_name_has_an_object_name(azure_name: str) -> None:
    import re

    name = object_name(azure_name)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", name), name
    assert len(name) <= 253


@given(
    st.lists(st.from_regex(r"^[a-z0-9]([a-z_.-]{0,3}[a-z0-9])?$", fullmatch=True), min_size=2, max_size=30, unique=True)
)
def test_two_azure_names_have_two_object_names(names: list[str]) -> None:
    assert len({object_name(each) for each in names}) == len(names)


def published(folder: str, pattern: str) -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in sorted((EXAMPLES / folder).glob(pattern))] or [
        pytest.param(None, marks=pytest.mark.skip(reason="the published examples are not on this machine"))
    ]


def documents(path: Path) -> list[Json]:
    text = path.read_text().replace("{subscription-id}", "00000000-0000-0000-0000-000000000001")
    return [each for each in json.loads(text)["responses"] if isinstance(each, dict) and "id" in each]


@pytest.mark.parametrize("path", published("2026-03-03/galleryExamples", "GalleryImage_Get*.json"))
def test_published_definitions(path: Path) -> None:
    for document in documents(path):
        assert (
            manifests.why_not(document) == f"{document['name']} is for Windows, and this operator brings Linux images"
        )
        document["properties"]["osType"] = "Linux"
        assert manifests.why_not(document) is None
        found = manifests.definition(document, "g", ExportOptions("n"))
        parsed = GalleryImageDefinition.from_wire(found.body)
        assert isinstance(parsed, GalleryImageDefinition)
        told = differences(definition_body(parsed, document["location"], {}, document), document)
        # Azure said Standard by saying nothing; it is always sent.
        assert [each.field for each in told] in ([], ["features[SecurityType]"])


@pytest.mark.parametrize("path", published("2026-03-03/galleryExamples", "GalleryImageVersion_Get*.json"))
def test_published_versions(path: Path) -> None:
    for document in documents(path):
        found = manifests.version(document, "d", ExportOptions("n"))
        assert ImageVersion.from_wire(found.body)


@pytest.mark.parametrize("path", published("2026-03-03/galleryExamples", "Gallery_Get*.json"))
def test_published_galleries(path: Path) -> None:
    for document in documents(path):
        assert Gallery.from_wire(manifests.gallery(document, ExportOptions("n")).body)
