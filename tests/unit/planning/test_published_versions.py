"""What we send for an object is what Microsoft's published examples send, field by field."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.published import FOLDER, VERSIONS, body_of, source_of

from gallery_operator.api import ImageVersion
from gallery_operator.planning.publishing import wanted_regions
from gallery_operator.planning.sources import disks_of, part_of, profile_of_disks, profile_of_image
from gallery_operator.planning.version import create_body, update_body

# What we send differently, and why.
ALWAYS_SENT = {
    "properties.publishingProfile.replicationMode": "said, although Full is the default: it can never be changed",
    "properties.publishingProfile.excludeFromLatest": "said, so that taking it out of the spec takes it out of Azure",
    "properties.safetyProfile": "said, as the spec's default differs from Azure's (regions can be removed)",
}
"""Fields that may be there in one body and not in the other."""
SPELT = {
    "/diskEncryptionSet/": "/diskEncryptionSets/",  # the examples' ids name a resource type that does not exist
}
COUNTED = "properties.publishingProfile.targetRegions[].regionalReplicaCount"
"""Said, where the example leaves it to Azure: a count that leaves the spec must go back to one."""


def spelt(value: Any) -> Any:
    """The example with ids that can be."""
    if isinstance(value, dict):
        return {name: spelt(each) for name, each in value.items()}
    if isinstance(value, list):
        return [spelt(each) for each in value]
    if isinstance(value, str):
        for wrong, right in SPELT.items():
            value = value.replace(wrong, right)
    return value


def version_of(body: dict[str, Any], name: str = "1.0.0") -> ImageVersion:
    """Our object for a published request."""
    properties = spelt(body["properties"])
    profile = properties["publishingProfile"]
    found = ImageVersion.from_wire(
        {
            "metadata": {"name": "example", "namespace": "n"},
            "spec": {
                **profile,
                "definitionRef": {"name": "d"},
                "version": name,
                "source": source_of(properties["storageProfile"]) if properties["storageProfile"] else None,
                "safetyProfile": properties.get("safetyProfile") or {},
                "securityProfile": properties.get("securityProfile"),
            },
        }
    )
    assert isinstance(found, ImageVersion)
    return found


def test_every_published_example_is_here() -> None:
    if FOLDER.exists():
        assert {file.stem for file in FOLDER.glob("GalleryImageVersion_Create*.json")} == set(VERSIONS)


@pytest.mark.parametrize("name", VERSIONS)
def test_source(name: str) -> None:
    body = body_of(name)
    source = version_of(body).spec.source
    parts = [part for part in map(part_of, disks_of(source)) if part is not None]
    sent = profile_of_disks(parts) if parts else profile_of_image(source)
    assert sent == body["properties"]["storageProfile"]


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Where two documents differ, by path; the items of a list are compared in order."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            place
            for name in sorted({*ours, *theirs})
            for place in (
                differences(ours[name], theirs[name], f"{path}.{name}".lstrip("."))
                if name in ours and name in theirs
                else [f"{path}.{name}".lstrip(".")]
            )
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [place for one, two in zip(ours, theirs, strict=True) for place in differences(one, two, f"{path}[]")]
    return [] if ours == theirs else [path]


def uefi(version: ImageVersion) -> dict[str, Any] | None:
    """Settings with the keys that the object holds itself, as ``reconcilers/publishing.py`` sends them."""
    profile = version.spec.security_profile
    return None if profile is None or profile.uefi_settings is None else profile.uefi_settings.to_wire()


@pytest.mark.parametrize("name", VERSIONS)
def test_whole_body_of_a_create(name: str) -> None:
    body = spelt(body_of(name))
    version = version_of(body)
    sent = create_body(version, body["location"], body["properties"]["storageProfile"], {}, uefi(version))
    del sent["tags"]
    for key in ("dbx", "db", "kek"):  # lists that are empty by default
        added = ((sent["properties"].get("securityProfile") or {}).get("uefiSettings") or {}).get(
            "additionalSignatures"
        )
        if added and not added[key]:
            del added[key]
    unexplained = set(differences(sent, body)) - set(ALWAYS_SENT)
    counted = name.endswith("WithStorageAccountStrategy")
    assert unexplained == ({COUNTED} if counted else set())


def test_every_difference_that_is_explained_is_met() -> None:
    met: set[str] = set()
    for name in VERSIONS:
        body = spelt(body_of(name))
        version = version_of(body)
        sent = create_body(version, body["location"], body["properties"]["storageProfile"], {}, uefi(version))
        met |= set(differences(sent, body))
    assert set(ALWAYS_SENT) <= met


@pytest.mark.parametrize("name", ["GalleryImageVersion_Update", "GalleryImageVersion_Update_WithoutSourceId"])
def test_whole_body_of_an_update(name: str) -> None:
    """The examples are PATCHes; we PUT what they change, with what Azure has besides, and without the source."""
    body = spelt(body_of(name))
    wanted = {**body, "properties": {**body["properties"], "storageProfile": {}}}
    version = version_of(wanted)
    existing = {"location": "West US", "properties": {"publishingProfile": {"targetRegions": [{"name": "West US"}]}}}
    sent = update_body(version, existing, wanted_regions(version, existing), {})
    theirs = {**wanted, "location": "West US", "tags": {}}
    assert set(differences(sent, theirs)) <= set(ALWAYS_SENT)
    assert (
        sent["properties"]["publishingProfile"]["targetRegions"]
        == (body["properties"]["publishingProfile"]["targetRegions"])
    )
