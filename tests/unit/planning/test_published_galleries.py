"""Every published example that makes or shares a gallery: our object for it gives the same request body."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.support.apiserver import ROOT

from gallery_operator.api import Gallery
from gallery_operator.api.sharing import SharingProfile
from gallery_operator.planning.gallery import body
from gallery_operator.planning.sharing import Observed, ShareCall, next_step, observe, reset_body

FOLDER = Path(os.environ.get("GALLERY_OPERATOR_EXAMPLES") or ROOT.parent / "shared/data/azure-specs/examples-current")
COMMUNITY = {
    "permissions": "Community",
    "communityGalleryInfo": {
        "publisherUri": "uri",
        "publisherContact": "pir@microsoft.com",
        "eula": "eula",
        "publicNamePrefix": "PirPublic",
    },
}
IDENTITY = (
    "/subscriptions/{subscription-id}/resourceGroups/myResourceGroup/providers/Microsoft.ManagedIdentity/"
    "userAssignedIdentities/myIdentity"
)
CREATED: dict[str, dict[str, Any]] = {
    "Gallery_Create": {},
    "Gallery_Create_WithSharingProfile": {"sharingProfile": {"permissions": "Groups"}},
    "Gallery_Create_WithManagedIdentity": {
        "identity": {"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": [IDENTITY]}
    },
    "Gallery_Create_SoftDeletionEnabled": {
        "softDeletePolicy": {"isSoftDeleteEnabled": True, "retentionPeriodInDays": 7, "gracePeriodInDays": 30}
    },
    "CommunityGallery_Create": {"sharingProfile": COMMUNITY},
}
"""Name of the example to what our spec says besides description and place."""
DIRECT = {
    "permissions": "Groups",
    "groups": {
        "subscriptions": ["34a4ab42-0d72-47d9-bd1a-aed207386dac", "380fd389-260b-41aa-bad9-0a83108c370b"],
        "tenants": ["c24c76aa-8897-4027-9b03-8f7928b54ff6"],
    },
}
SHARED: dict[str, tuple[dict[str, Any], Observed]] = {
    "Gallery_AddToSharingProfile": (DIRECT, Observed("Groups")),
    "Gallery_EnableCommunityGallery": (COMMUNITY, Observed("Community", info=COMMUNITY["communityGalleryInfo"])),
    "Gallery_ResetSharingProfile": ({"permissions": "Private"}, Observed("Groups")),
}
"""Name of the example to the profile that we want, and what Azure has."""


def _examples() -> dict[str, Path]:
    return {path.stem: path for path in FOLDER.glob("*/galleryExamples/*.json")}


pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the published examples are not here")


def _request(name: str) -> dict[str, Any]:
    arguments = json.loads(_examples()[name].read_text())["args"]
    return next(each for each in arguments if isinstance(each, dict))


@pytest.mark.parametrize("name", CREATED)
def test_created(name: str) -> None:
    gallery = Gallery.model_validate(
        {
            "metadata": {"name": "my", "namespace": "images"},
            "spec": {
                "galleryName": "myGalleryName",
                "resourceGroup": "myResourceGroup",
                "location": "West US",
                "description": "This is the gallery description.",
                **CREATED[name],
            },
        }
    )
    sent = body(gallery, {}, None)
    assert sent.pop("tags") == {}  # ours name the owner
    assert sent == _request(name)


@pytest.mark.parametrize("name", SHARED)
def test_shared(name: str) -> None:
    profile, have = SHARED[name]
    step = next_step(SharingProfile.model_validate(profile), have)
    assert isinstance(step, ShareCall)
    assert step.body == _request(name)


def test_every_example_that_changes_a_gallery_is_covered() -> None:
    changing = {
        name
        for name, path in _examples().items()
        if json.loads(path.read_text()).get("operation") in {"BeginCreateOrUpdate", "BeginUpdate"}
        and json.loads(path.read_text()).get("client") in {"Galleries", "GallerySharingProfile"}
    }
    # A PATCH; we send the whole gallery.
    assert changing - {"Gallery_Update"} == CREATED.keys() | SHARED.keys()
    assert _request("Gallery_ResetSharingProfile") == reset_body()


def test_the_published_answers_are_understood() -> None:
    answer = json.loads(_examples()["Gallery_Get_WithExpandSharingProfileGroups"].read_text())["responses"][0]
    have = observe(answer)
    assert have.permissions == "Groups"
    assert next_step(SharingProfile.model_validate(DIRECT), have) is None
