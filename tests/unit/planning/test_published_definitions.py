"""What we send for a definition is what Microsoft's published examples send, field by field."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.published import FOLDER, body_of

from gallery_operator.api import GalleryImageDefinition
from gallery_operator.planning.definition import body as body_to_send

EXAMPLES = ("GalleryImage_Create", "GalleryImage_Update", "GalleryImage_UpdateFeatures")
# What we send besides, and why.
ADDED = {
    "architecture": "said, although x64 is the default: it can never be changed",
    "features": "SecurityType is always said: Azure's default depends on the API version",
}


def definition_of(properties: dict[str, Any]) -> GalleryImageDefinition:
    """Our object for a published request; the examples are of Windows, this operator brings Linux."""
    spec = {name: value for name, value in properties.items() if name != "allowUpdateImage"}
    found = GalleryImageDefinition.from_wire(
        {
            "metadata": {"name": "example", "namespace": "n"},
            "spec": {**spec, "osType": "Linux", "galleryRef": {"name": "g"}},
        }
    )
    assert isinstance(found, GalleryImageDefinition)
    return found


def test_every_published_example_is_here() -> None:
    if FOLDER.exists():
        found = {file.stem for pattern in ("Create", "Update") for file in FOLDER.glob(f"GalleryImage_{pattern}*.json")}
        assert found == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_whole_body(name: str) -> None:
    published = body_of(name)
    theirs = {**published["properties"], "osType": "Linux"}
    before = {**theirs, "features": [], "provisioningState": "Succeeded"}
    existing = None if name.endswith("Create") else {"location": "West US", "properties": before}
    sent = body_to_send(definition_of(theirs), "West US", {}, existing)
    assert sent["location"] == published.get("location", "West US")
    ours = sent["properties"]
    assert {field: ours[field] for field in theirs} == theirs
    assert set(ours) - set(theirs) <= set(ADDED)
