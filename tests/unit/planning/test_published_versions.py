"""What we send for an object is what Microsoft's published examples send, field by field."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.published import FOLDER, VERSIONS, body_of, source_of

from gallery_operator.api import ImageVersion
from gallery_operator.planning.sources import disks_of, part_of, profile_of_disks, profile_of_image


def version_of(body: dict[str, Any], name: str = "1.0.0") -> ImageVersion:
    """Our object for a published request, as far as its source is concerned."""
    found = ImageVersion.from_wire(
        {
            "metadata": {"name": "example", "namespace": "n"},
            "spec": {
                "definitionRef": {"name": "d"},
                "version": name,
                "source": source_of(body["properties"]["storageProfile"]),
                "targetRegions": [{"name": body["location"]}],
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
