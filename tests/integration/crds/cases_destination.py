"""Cases for the destinations of a VhdImport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.crds.cases import ABSENT, Case, tag_cases
from tests.support import samples

_DISK = {"resourceGroup": "rg", "location": "westeurope"}
_IMAGE = {"resourceGroup": "rg", "location": "westeurope"}
_STATE = {"url": {"url": "https://example.com/debian.vmgs"}}
_CONFIDENTIAL = "ConfidentialVM_DiskEncryptedWithPlatformKey"
_CUSTOMER = "ConfidentialVM_DiskEncryptedWithCustomerKey"


def destination_cases() -> list[Case]:
    def case(title: str, change: Mapping[str, Any] = {}, message: str | None = None, **more: Any) -> Case:
        return Case("VhdImport", title, change, message, **more)

    def disk(**more: Any) -> dict[str, Any]:
        return {"spec.destination.managedDisk": {**_DISK, **more}}

    def image(**more: Any) -> dict[str, Any]:
        return {"spec.destination.managedImage": {**_IMAGE, **more}}

    def data(*disks: Mapping[str, Any]) -> dict[str, Any]:
        return image(dataDisks=list(disks))

    def secure(kind: str, **more: Any) -> dict[str, Any]:
        return disk(securityProfile={"securityType": kind, **more})

    one_disk = "set exactly one of vhdImportRef, blobUri, diskId and snapshotId for each data disk"
    state_place = "only the managed OS disk has a VM guest state"
    customer_key = f"secureVMDiskEncryptionSetId belongs to securityType {_CUSTOMER}"
    return [
        *tag_cases("VhdImport", "spec.destination.managedImage.tags", {"spec.destination.managedImage": _IMAGE}),
        case("image", image(zoneResilient=True, imageName="debian_12")),
        case("image and disk", {**image(), **disk()}, "set exactly one of destination.pageBlob"),
        case("image, bad name", image(imageName="-a"), "an image's name has letters, digits"),
        case("image of a data disk", {**image(), "spec.diskRole": "data"}, "a managed image is made from its OS disk"),
        case(
            "image of a specialized disk",
            {**image(), "spec.definitionRef": ABSENT, "spec.profile.osState": "Specialized"},
            "a managed image is generalized",
            path="spec.profile",
        ),
        case("image, profile", {**image(), "spec.definitionRef": ABSENT, "spec.profile.hyperVGeneration": "V1"}),
        case("image, encryption set", image(diskEncryptionSetId=samples.ENCRYPTION_SET)),
        case("image, no encryption set", image(diskEncryptionSetId="key"), "the ARM id of a disk encryption set"),
        case(
            "image, disks of every kind",
            data(
                {"lun": 0, "vhdImportRef": {"name": "data"}},
                {"lun": 1, "blobUri": "https://a.blob.core.windows.net/vhds/data.vhd"},
                {"lun": 2, "diskId": samples.DISK, "hostCaching": "ReadOnly"},
                {"lun": 63, "snapshotId": samples.SNAPSHOT, "storageAccountType": "Premium_LRS"},
            ),
        ),
        case(
            "image, one lun twice",
            data({"lun": 1, "diskId": samples.DISK}, {"lun": 1, "snapshotId": samples.SNAPSHOT}),
            "two data disks have the same lun: each needs its own",
        ),
        case("image, disk of nothing", data({"lun": 1}), one_disk),
        case("image, disk of two", data({"lun": 1, "diskId": samples.DISK, "snapshotId": samples.SNAPSHOT}), one_disk),
        case("image, disk with SAS", data({"lun": 1, "blobUri": "https://a.example.com/b/c?sig=x"}), "without a SAS"),
        case("image, disk that is none", data({"lun": 1, "diskId": samples.SNAPSHOT}), "the ARM id of a managed disk"),
        case("image, snapshot that is none", data({"lun": 1, "snapshotId": samples.DISK}), "the ARM id of a snapshot"),
        case("disk in a zone", disk(zones=["2"], sku="Premium_LRS")),
        case("disk in a named zone", disk(zones=["a"]), "a zone is one digit"),
        case(
            "zone-redundant disk in a zone",
            disk(zones=["2"], sku="Premium_ZRS"),
            "a zone-redundant disk is in all zones",
        ),
        case("disk, no encryption set", disk(diskEncryptionSetId="key"), "the ARM id of a disk encryption set"),
        case("OS disk, PremiumV2", disk(sku="PremiumV2_LRS"), "are for data disks"),
        case("data disk, PremiumV2", {**disk(sku="PremiumV2_LRS"), "spec.diskRole": "data"}),
        case("Trusted Launch", secure("TrustedLaunch")),
        case("Trusted Launch with guest state", {**secure("TrustedLaunch"), "spec.source.vmGuestState": _STATE}),
        case(
            "Trusted Launch, data disk",
            {**secure("TrustedLaunch"), "spec.diskRole": "data"},
            "securityProfile is for OS disks",
        ),
        case(
            "Trusted Launch, generation 1",
            {**secure("TrustedLaunch"), "spec.definitionRef": ABSENT, "spec.profile.hyperVGeneration": "V1"},
            "Trusted Launch and confidential VMs are of generation V2",
        ),
        case("confidential", {**secure(_CONFIDENTIAL), "spec.source.vmGuestState": _STATE}),
        case(
            "confidential without guest state",
            secure(_CONFIDENTIAL),
            "a confidential disk is uploaded together with its VM guest state",
        ),
        case(
            "confidential, customer's key",
            {
                **secure(_CUSTOMER, secureVMDiskEncryptionSetId=samples.ENCRYPTION_SET),
                "spec.source.vmGuestState": _STATE,
            },
        ),
        case("confidential, no key", {**secure(_CUSTOMER), "spec.source.vmGuestState": _STATE}, customer_key),
        case(
            "confidential, needless key",
            {
                **secure(_CONFIDENTIAL, secureVMDiskEncryptionSetId=samples.ENCRYPTION_SET),
                "spec.source.vmGuestState": _STATE,
            },
            customer_key,
        ),
        case(
            "confidential, key that is none",
            {**secure(_CUSTOMER, secureVMDiskEncryptionSetId="key"), "spec.source.vmGuestState": _STATE},
            "the ARM id of a disk encryption set",
        ),
        case("guest state of a staging disk", {"spec.source.vmGuestState": _STATE}),
        case("guest state of a data disk", {"spec.source.vmGuestState": _STATE, "spec.diskRole": "data"}, state_place),
        case("guest state of an image", {"spec.source.vmGuestState": _STATE, **image()}, state_place),
        case(
            "guest state from nowhere",
            {"spec.source.vmGuestState": {}},
            "set exactly one of vmGuestState.url and vmGuestState.pvc",
        ),
        case("guest state on a claim", {"spec.source.vmGuestState": {"pvc": {"claimName": "a", "path": "b.vmgs"}}}),
        case(
            "guest state on a block claim",
            {"spec.source.vmGuestState": {"pvc": {"claimName": "a"}}},
            "the VM guest state is a file: name it in vmGuestState.pvc.path",
        ),
    ]
