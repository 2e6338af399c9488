"""What an import makes in Azure: bodies against Azure's published examples, and what is refused beforehand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import published

from gallery_operator.api import VhdImport
from gallery_operator.api.destination import ManagedDisk, ManagedImage
from gallery_operator.contract import GuestProfile
from gallery_operator.planning.import_disk import (
    ImageDisk,
    disk_body,
    image_body,
    refusal,
    security_profile,
    size_limits,
)
from gallery_operator.planning.outcome import Stalled

FOLDER = published.FOLDER.parents[1]
SOURCE = {"url": {"url": "https://example.com/a"}}
STATE = {"vmGuestState": {"url": {"url": "https://example.com/a.vmgs"}}}
DISK = {"managedDisk": {"resourceGroup": "rg", "location": "westeurope"}}
IMAGE = {"managedImage": {"resourceGroup": "rg", "location": "westeurope"}}
CONFIDENTIAL = "ConfidentialVM_VMGuestStateOnlyEncryptedWithPlatformKey"


def vhd_import(source: Any = (), **spec: Any) -> VhdImport:
    body = {
        "metadata": {"name": "os", "namespace": "images", "uid": "u"},
        "spec": {"source": SOURCE | dict(source), **spec},
    }
    return VhdImport.model_validate(body)


def secured(kind: str) -> dict[str, Any]:
    return {"managedDisk": {**DISK["managedDisk"], "securityProfile": {"securityType": kind}}}


def guest(security: str | None = None, **changes: Any) -> GuestProfile:
    features = {} if security is None else {"SecurityType": security}
    return GuestProfile(features=features, **changes)


@pytest.mark.parametrize(
    ("spec", "declared", "kind"),
    [
        ({}, guest(), None),
        ({}, guest("TrustedLaunchSupported"), None),
        ({}, guest("ConfidentialVmSupported"), None),
        ({}, guest("TrustedLaunch"), "TrustedLaunch"),
        ({}, guest("ConfidentialVm"), CONFIDENTIAL),
        ({}, guest("ConfidentialVM"), CONFIDENTIAL),
        ({}, guest("TrustedLaunch", disk_role="data"), None),
        ({"destination": DISK}, guest("TrustedLaunch"), "TrustedLaunch"),
        ({"destination": secured("TrustedLaunch")}, guest(), "TrustedLaunch"),
        (
            {"destination": secured("ConfidentialVM_NonPersistedTPM")},
            guest("ConfidentialVm"),
            "ConfidentialVM_NonPersistedTPM",
        ),
        ({"destination": IMAGE}, guest("TrustedLaunch"), None),
    ],
)
def test_security_type_of_the_disk(spec: dict[str, Any], declared: GuestProfile, kind: str | None) -> None:
    found = security_profile(vhd_import(**spec), declared)
    assert (found or {}).get("securityType") == kind


@pytest.mark.parametrize(
    ("spec", "declared", "reason"),
    [
        ({"destination": IMAGE}, guest(), None),
        ({"destination": IMAGE}, guest(os_state="Specialized"), "SpecializedManagedImage"),
        ({"destination": IMAGE}, guest("TrustedLaunch"), "SecureManagedImage"),
        ({"destination": IMAGE}, guest("TrustedLaunchSupported"), None),
        ({"destination": DISK}, guest(os_state="Specialized"), None),
        ({}, guest("TrustedLaunch"), None),
        ({"source": STATE}, guest("TrustedLaunch"), None),
        ({"source": STATE}, guest("ConfidentialVm"), None),
        ({}, guest("ConfidentialVm"), "VMGuestStateMissing"),
        ({"destination": secured(CONFIDENTIAL)}, guest(), "VMGuestStateMissing"),
        ({"source": STATE}, guest(), "SecurityTypeMissing"),
        ({"source": STATE}, guest("TrustedLaunchSupported"), "SecurityTypeMissing"),
        ({"destination": secured("TrustedLaunch")}, guest(hyper_v_generation="V1"), "SecurityNeedsGeneration2"),
        ({}, guest("ConfidentialVm", disk_role="data"), None),
    ],
)
def test_what_can_never_work_is_refused(spec: dict[str, Any], declared: GuestProfile, reason: str | None) -> None:
    found = refusal(vhd_import(**spec), declared)
    assert (found.reason if found is not None else None) == reason
    assert found is None or isinstance(found, Stalled)


def test_disk_in_full() -> None:
    disk = ManagedDisk.model_validate(
        {
            "resourceGroup": "rg",
            "location": "westeurope",
            "sku": "Premium_LRS",
            "zones": ["2"],
            "diskEncryptionSetId": "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/diskEncryptionSets/k",
            "tags": {"team": "a"},
        }
    )
    declared = GuestProfile(
        architecture="Arm64",
        features={
            "IsHibernateSupported": "True",
            "IsAcceleratedNetworkSupported": "False",
            "DiskControllerTypes": "SCSI, NVMe",
        },
    )
    body = disk_body(vhd_import(), disk, declared, 64 * 1024**2, {"owner": "x"})
    assert body == {
        "location": "westeurope",
        "sku": {"name": "Premium_LRS"},
        "zones": ["2"],
        "tags": {"team": "a", "owner": "x"},
        "properties": {
            "creationData": {"createOption": "Upload", "uploadSizeBytes": 64 * 1024**2 + 512},
            "osType": "Linux",
            "hyperVGeneration": "V2",
            "supportsHibernation": True,
            "supportedCapabilities": {
                "architecture": "Arm64",
                "acceleratedNetwork": False,
                "diskControllerTypes": "SCSI, NVMe",
            },
            "encryption": {
                "type": "EncryptionAtRestWithCustomerKey",
                "diskEncryptionSetId": disk.disk_encryption_set_id,
            },
        },
    }
    data = disk_body(vhd_import(), disk, GuestProfile(disk_role="data"), 64 * 1024**2, {})["properties"]
    assert set(data) == {"creationData", "encryption"}


def example(name: str) -> dict[str, Any]:
    path: Path = FOLDER / name
    if not path.exists():
        pytest.skip(f"there is no {path}")
    body: dict[str, Any] = json.loads(path.read_text())["args"][2]
    return body


@pytest.mark.parametrize(
    ("declared", "option"),
    [
        ("TrustedLaunchSupported", "TrustedLaunchSupported"),
        ("TrustedLaunchAndConfidentialVmSupported", "TrustedLaunchAndConfidentialVMSupported"),
        ("ConfidentialVmSupported", None),
        ("TrustedLaunch", None),
        ("Standard", None),
    ],
)
def test_a_disk_says_which_definitions_can_take_it(declared: str, option: str | None) -> None:
    disk = ManagedDisk.model_validate({"resourceGroup": "rg", "location": "westeurope"})
    body = disk_body(vhd_import(), disk, GuestProfile(features={"SecurityType": declared}), 64 * 1024**2, {})
    assert body["properties"]["supportedCapabilities"].get("supportedSecurityOption") == option


def test_disk_is_that_of_the_published_example() -> None:
    """Except for the system (ours is for Linux), and for what we say besides: SKU, generation, capabilities, tags."""
    wanted = example("2026-03-02/diskExamples/Disk_Create_FromUploadPreparedSecure.json")
    disk = ManagedDisk.model_validate({"resourceGroup": "myResourceGroup", "location": "West US"})
    size = wanted["properties"]["creationData"]["uploadSizeBytes"] - 512
    body = disk_body(vhd_import(source=STATE), disk, guest("TrustedLaunch"), size, {})
    properties = body["properties"]
    assert body["location"] == wanted["location"]
    assert properties.pop("osType") == "Linux"
    assert {name: properties[name] for name in wanted["properties"] if name != "osType"} == {
        name: value for name, value in wanted["properties"].items() if name != "osType"
    }


@pytest.mark.parametrize(
    "name",
    [
        "Image_CreateFromAManagedDisk",
        # Published with a snapshot in place of the disk: Image_CreateFromAManagedDiskWithDiskEncryptionSet.
        "Image_Create_DataDiskFromAManagedDiskIncluded",
    ],
)
def test_image_is_that_of_the_published_example(name: str) -> None:
    """Except for the generation, which we always say, and for the tags."""
    wanted = example(f"2026-04-01/imageExamples/{name}.json")
    profile = wanted["properties"]["storageProfile"]
    image = ManagedImage.model_construct(
        location=wanted["location"], zone_resilient=profile.get("zoneResilient", False)
    )
    disks = [ImageDisk(each["lun"], {"managedDisk": each["managedDisk"]}) for each in profile.get("dataDisks", ())]
    body = image_body(image, GuestProfile(), profile["osDisk"]["managedDisk"]["id"], disks, {})
    assert body.pop("tags") == {}
    assert body["properties"].pop("hyperVGeneration") == "V2"
    wanted["properties"]["storageProfile"].setdefault("zoneResilient", False)
    assert body == wanted


@pytest.mark.parametrize(
    ("role", "generation", "page_blob", "smallest", "largest"),
    [
        ("os", "V1", False, 20 * 2**20, 2 * 2**40),
        ("os", "V2", False, 20 * 2**20, 4095 * 2**30),
        ("data", "V1", False, 20 * 2**20, 32767 * 2**30),
        ("os", "V1", True, 0, 2 * 2**40),
        ("os", "V2", True, 0, 4095 * 2**30),
        ("data", "V2", True, 0, 8 * 2**40 - 2**20),
    ],
)
def test_smallest_and_largest_disk(role: Any, generation: Any, page_blob: bool, smallest: int, largest: int) -> None:
    declared = GuestProfile(disk_role=role, hyper_v_generation=generation)
    assert size_limits(declared, page_blob=page_blob) == (smallest, largest)
    # As documented for uploadSizeBytes and for page blobs, footer included.
    assert largest + 512 <= (8 * 2**40 if page_blob else 35183298347520)
    assert page_blob or smallest + 512 == 20972032
