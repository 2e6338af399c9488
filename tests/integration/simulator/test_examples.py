"""Microsoft's published examples of creating galleries and definitions are accepted.

The examples are not part of the repository. `GALLERY_OPERATOR_AZURE_EXAMPLES` names their folder; without it, and
without the folder beside the checkout, these tests are skipped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.support.azure import GROUP, ROOT, SUBSCRIPTION, AzureStand

from .plain import client

FOLDER = Path(
    os.environ.get("GALLERY_OPERATOR_AZURE_EXAMPLES")
    or ROOT.parent / "shared" / "data" / "azure-specs" / "examples-current" / "2026-03-03" / "galleryExamples"
)
API = "api-version=2026-03-03"
GALLERIES = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/galleries"


def body_of(name: str) -> Any:
    path = FOLDER / f"{name}.json"
    if not path.exists():
        pytest.skip("the published examples are not here; set GALLERY_OPERATOR_AZURE_EXAMPLES to their folder")
    arguments = json.loads(path.read_text())["args"]
    return next(argument for argument in arguments if isinstance(argument, dict))


@pytest.mark.parametrize(
    "name",
    [
        "Gallery_Create",
        "Gallery_Create_WithManagedIdentity",
        "Gallery_Create_WithSharingProfile",
        "CommunityGallery_Create",
    ],
)
def test_gallery_examples(azure: AzureStand, name: str) -> None:
    body = body_of(name)
    answer = client(azure)("PUT", f"{GALLERIES}/example?{API}", body)
    assert answer.status == 201, answer.body
    assert answer.body["location"] == "westus"


@pytest.mark.parametrize("name", ["GalleryImage_Create", "GalleryImage_UpdateFeatures"])
def test_definition_examples(azure: AzureStand, name: str) -> None:
    send, body = client(azure), body_of(name)
    assert send("PUT", f"{GALLERIES}/example?{API}", {"location": "West US"}).status == 201
    body.setdefault("location", "West US")
    answer = send("PUT", f"{GALLERIES}/example/images/linux?{API}", body)
    assert answer.status == 201, answer.body
    again = send("PUT", f"{GALLERIES}/example/images/linux?{API}", body)
    assert again.status == 200, again.body
