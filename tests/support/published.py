"""Microsoft's published examples of requests, and our objects that stand for them.

The examples are not part of the repository. ``GALLERY_OPERATOR_AZURE_EXAMPLES`` names the folder with those of
galleries; without it, and without the folder beside the checkout, tests that need them are skipped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(
    os.environ.get("GALLERY_OPERATOR_AZURE_EXAMPLES")
    or ROOT.parent / "shared" / "data" / "azure-specs" / "examples-current" / "2026-03-03" / "galleryExamples"
)
VERSIONS = (
    "GalleryImageVersion_Create",
    "GalleryImageVersion_Create_WithAdditionalReplicaSets",
    "GalleryImageVersion_Create_WithCVMDataDiskEncryption",
    "GalleryImageVersion_Create_WithCommunityImageVersionAsSource",
    "GalleryImageVersion_Create_WithImageVersionAsSource",
    "GalleryImageVersion_Create_WithSecretsProvisioningSettings",
    "GalleryImageVersion_Create_WithShallowReplicationMode",
    "GalleryImageVersion_Create_WithSnapshotsAsSource",
    "GalleryImageVersion_Create_WithStorageAccountStrategy",
    "GalleryImageVersion_Create_WithTargetExtendedLocations",
    "GalleryImageVersion_Create_WithVHD",
    "GalleryImageVersion_Create_WithVHD_UefiSettings",
    "GalleryImageVersion_Create_WithVmAsSource",
)
"""Every published example that creates a version."""


def body_of(name: str) -> Json:
    """Return the body of a published request; skips the test where the examples are not."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        pytest.skip("the published examples are not here; set GALLERY_OPERATOR_AZURE_EXAMPLES to their folder")
    arguments = json.loads(path.read_text())["args"]
    return next(argument for argument in arguments if isinstance(argument, dict))


def source_of(storage: Json) -> Json:
    """Return ``spec.source`` of an ImageVersion that asks for a ``storageProfile``."""
    whole = storage.get("source")
    if whole is None:
        source: Json = {"osDisk": _disk(storage["osDiskImage"])}
        if "dataDiskImages" in storage:
            source["dataDisks"] = [{"lun": each["lun"], **_disk(each)} for each in storage["dataDiskImages"]]
        return source
    ((name, value),) = whole.items()
    if name == "id":
        name = "galleryImageVersionId" if "/galleries/" in value else "managedImageId"
    return {name: value}


def _disk(wire: Json) -> Json:
    source = wire["source"]
    if "uri" in source:
        disk: Json = {"blob": {"storageAccountId": source["storageAccountId"], "uri": source["uri"]}}
    else:
        disk = {"snapshotId" if "/snapshots/" in source["id"] else "diskId": source["id"]}
    return {**disk, "hostCaching": wire["hostCaching"]} if "hostCaching" in wire else disk
