"""Cases for ImageVersion: regions, replicas, storage, edge zones, encryption, keys of secure boot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.crds.cases import Case
from tests.support import samples


def publishing_cases() -> list[Case]:
    def case(title: str, change: Mapping[str, Any] = {}, message: str | None = None, **more: Any) -> Case:
        return Case("ImageVersion", title, change, message, **more)

    def regions(*names: str, **more: Any) -> dict[str, Any]:
        return {"spec.targetRegions": [{"name": name, **more} for name in names]}

    most = "a version has at most 100 replicas in all its regions together"
    strategy = "PreferStandard_ZRS"
    premium = {"storageAccountType": "PremiumV2_LRS"}
    key = samples.DISK_ENCRYPTION_SET
    shallow = "replicationMode Shallow allows one region with one replica"
    count = "spec.targetRegions.0.regionalReplicaCount"
    sku = "storageAccountType of a region cannot be changed: remove the region"
    many = [f"region{number}" for number in range(100)]

    def keyed(name: str, *luns: int, os: bool = False) -> dict[str, Any]:
        disks = [{"lun": lun, "diskEncryptionSetId": key} for lun in luns]
        main = {"osDiskImage": {"diskEncryptionSetId": key}} if os else {}
        encryption = main | ({"dataDiskImages": disks} if disks else {})
        return {"name": name} | ({"encryption": encryption} if encryption else {})

    def region_encryption(encryption: dict[str, Any]) -> dict[str, Any]:
        return {"spec.targetRegions": [{"name": "westeurope", "encryption": encryption}]}

    def edges(*names: str, **more: Any) -> dict[str, Any]:
        zones = [{"name": "westeurope", "extendedLocation": {"name": name}, **more} for name in names]
        return {"spec.targetExtendedLocations": zones}

    return [
        case("101 replicas in all", regions(*many[:100], regionalReplicaCount=2), most, path="spec.targetRegions"),
        case("101 replicas by default", {"spec.replicaCount": 51} | regions("westeurope", "eastus2"), most),
        case("100 replicas by default", {"spec.replicaCount": 50} | regions("westeurope", "eastus2")),
        case(
            "too many with those of other types",
            {
                "spec.targetRegions": [
                    {
                        "name": "a",
                        "regionalReplicaCount": 99,
                        "additionalReplicaSets": [premium | {"regionalReplicaCount": 2}],
                    }
                ]
            },
            most,
        ),
        case("replicas of another type", {"spec.targetRegions": [{"name": "a", "additionalReplicaSets": [premium]}]}),
        case(
            "replicas of another type twice",
            {"spec.targetRegions": [{"name": "a", "additionalReplicaSets": [premium, premium]}]},
            "Duplicate value",
        ),
        case(
            "Shallow with two replicas by default", {"spec.replicationMode": "Shallow", "spec.replicaCount": 2}, shallow
        ),
        case(
            "Shallow with one replica, not two", {"spec.replicationMode": "Shallow", "spec.replicaCount": 2, count: 1}
        ),
        case(
            "Shallow with replicas of another type",
            {
                "spec.replicationMode": "Shallow",
                "spec.targetRegions": [{"name": "a", "additionalReplicaSets": [premium]}],
            },
            shallow,
        ),
        case(
            "Shallow with an edge zone",
            {"spec.replicationMode": "Shallow"} | edges("los"),
            "Shallow does not replicate to edge zones",
        ),
        case("edge zones", edges("los", "new")),
        case("edge zone twice", edges("los", "new", "LOS"), "targetExtendedLocations names an edge zone twice"),
        case(
            "edge zone, redundant",
            edges("los", storageAccountType="Standard_ZRS"),
            "an edge zone has no availability zones",
        ),
        case("edge zone, solid state", edges("los", storageAccountType="StandardSSD_LRS")),
        case("region, solid state", regions("a", storageAccountType="StandardSSD_LRS"), "Unsupported value"),
        case(
            "type and strategy",
            {"spec.storageAccountType": "Premium_LRS", "spec.storageAccountStrategy": strategy},
            "set storageAccountType or storageAccountStrategy, not both",
        ),
        case(
            "strategy, and a region with its own",
            {"spec.storageAccountStrategy": strategy} | regions("a", storageAccountType="Premium_LRS"),
        ),
        case(
            "data disk encrypted twice",
            region_encryption({"dataDiskImages": [{"lun": 0, "diskEncryptionSetId": key}] * 2}),
            "Duplicate value",
        ),
        *(
            case(
                f"region removed, {'allowed' if allowed else 'not allowed'}",
                {
                    "spec.safetyProfile": {"allowDeletionOfReplicatedLocations": False},
                    **regions("West Europe", "eastus2"),
                },
                None
                if allowed
                else "a region cannot be removed while safetyProfile.allowDeletionOfReplicatedLocations",
                update={
                    "spec.safetyProfile": {"allowDeletionOfReplicatedLocations": allowed},
                    **regions("westeurope"),
                },
            )
            for allowed in (True, False)
        ),
        case(
            "region added where none may be removed",
            {"spec.safetyProfile": {"allowDeletionOfReplicatedLocations": False}, **regions("West Europe")},
            update=regions("westeurope", "eastus2"),
        ),
        # What the rules cost grows with the square of the regions: the API server gives up beyond its budget.
        case(
            "100 regions with long names, none of which may be removed",
            {
                "spec.safetyProfile": {"allowDeletionOfReplicatedLocations": False},
                **regions(*[f"{'a' * 61}{number:03}" for number in range(100)], storageAccountType="Standard_LRS"),
            },
            update={"spec.excludeFromLatest": True},
        ),
        case(
            "100 regions with 20 encrypted data disks each",
            {"spec.targetRegions": [keyed(f"region{number}", *range(20), os=True) for number in range(100)]},
            update={"spec.excludeFromLatest": True},
        ),
        case("encrypted", {"spec.targetRegions": [keyed("a", os=True), keyed("b", os=True)]}),
        case(
            "encrypted in one region",
            {"spec.targetRegions": [keyed("a", os=True), keyed("b")]},
            "the OS disk has a disk encryption set in some regions only",
            path="spec.targetRegions",
        ),
        case(
            "encrypted in the other region",
            {"spec.targetRegions": [keyed("a"), keyed("b", os=True)]},
            "the OS disk has a disk encryption set in some regions only",
        ),
        case("data disks encrypted", {"spec.targetRegions": [keyed("a", 0, 1), keyed("b", 1, 0)]}),
        case(
            "data disks encrypted here",
            {"spec.targetRegions": [keyed("a", 0, 1), keyed("b", 0)]},
            "a data disk has a disk encryption set in some regions only",
        ),
        case(
            "data disks encrypted there",
            {"spec.targetRegions": [keyed("a", 0), keyed("b", 0, 1)]},
            "a data disk has a disk encryption set in some regions only",
        ),
        case("encryption of nothing", region_encryption({"osDiskImage": {}}), "say how the disk is encrypted"),
        case(
            "encryption of no data disk",
            region_encryption({"dataDiskImages": [{"lun": 0}]}),
            "say how the disk is encrypted",
        ),
        case(
            "encryption by a disk",
            region_encryption({"osDiskImage": {"diskEncryptionSetId": f"{samples.COMPUTE}/disks/a"}}),
            "diskEncryptionSetId must be the ARM id of a disk encryption set",
        ),
        *(
            case(
                f"confidential {kind} {'with' if own else 'without'} a set",
                region_encryption(
                    {
                        "osDiskImage": {
                            "securityProfile": {"confidentialVMEncryptionType": kind}
                            | ({"secureVMDiskEncryptionSetId": key} if own else {})
                        }
                    }
                ),
                message,
            )
            for kind, own, message in [
                ("EncryptedWithPmk", False, None),
                ("EncryptedWithPmk", True, "EncryptedWithCmk needs secureVMDiskEncryptionSetId"),
                ("EncryptedWithCmk", True, None),
                ("EncryptedWithCmk", False, "EncryptedWithCmk needs secureVMDiskEncryptionSetId"),
                ("NonPersistedTPM", False, None),
                ("DataDiskEncryptedWithCmk", True, "Unsupported value"),
            ]
        ),
        case(
            "confidential, by a disk",
            region_encryption(
                {
                    "osDiskImage": {
                        "securityProfile": {
                            "confidentialVMEncryptionType": "EncryptedWithCmk",
                            "secureVMDiskEncryptionSetId": f"{samples.COMPUTE}/disks/a",
                        }
                    }
                }
            ),
            "secureVMDiskEncryptionSetId must be the ARM id of a disk encryption set",
        ),
        case(
            "encryption changed",
            region_encryption({"osDiskImage": {"diskEncryptionSetId": key}}),
            "encryption cannot be changed: remove the region",
            update=region_encryption({"osDiskImage": {"diskEncryptionSetId": key + "2"}}),
        ),
        case(
            "encryption added",
            {},
            "encryption cannot be changed: remove the region",
            update={"spec.targetRegions.0.encryption": {"osDiskImage": {"diskEncryptionSetId": key}}},
        ),
        case(
            "region added with encryption",
            {"spec.targetRegions": [keyed("a", os=True)]},
            update={"spec.targetRegions": [keyed("a", os=True), keyed("b", os=True)]},
        ),
        *(
            case(title, {"spec.securityProfile.uefiSettings": settings}, message)
            for title, settings, message in [
                ("no keys", {}, None),
                (
                    "keys from a Secret",
                    {"additionalSignatures": {"pk": {"type": "x509", "secretKeyRef": {"name": "a", "key": "b"}}}},
                    None,
                ),
                (
                    "keys from nowhere",
                    {"additionalSignatures": {"db": [{"type": "x509"}]}},
                    "set exactly one of value, secretKeyRef and configMapKeyRef",
                ),
                (
                    "keys from two places",
                    {
                        "additionalSignatures": {
                            "kek": [{"type": "x509", "value": ["MAA="], "configMapKeyRef": {"name": "a", "key": "b"}}]
                        }
                    },
                    "set exactly one of value, secretKeyRef and configMapKeyRef",
                ),
                (
                    "keys of an unknown type",
                    {"additionalSignatures": {"dbx": [{"type": "md5", "value": ["a"]}]}},
                    "Unsupported value",
                ),
                ("a template", {"signatureTemplateNames": ["MicrosoftWindowsTemplate"]}, None),
                ("no template", {"signatureTemplateNames": ["NoSignatureTemplate"]}, None),
                (
                    "no template and a template",
                    {"signatureTemplateNames": ["NoSignatureTemplate", "MicrosoftWindowsTemplate"]},
                    "NoSignatureTemplate means that there is no other",
                ),
            ]
        ),
        *(
            case(
                f"UEFI settings {title}",
                before,
                "securityProfile.uefiSettings cannot be changed: ",
                update=after,
                path="spec.securityProfile",
            )
            for title, before, after in [
                ("added", {}, {"spec.securityProfile": {"uefiSettings": {}}}),
                ("removed", {"spec.securityProfile": {"uefiSettings": {}}}, {"spec.securityProfile": {}}),
                (
                    "changed",
                    {"spec.securityProfile": {"uefiSettings": {}}},
                    {"spec.securityProfile.uefiSettings.signatureTemplateNames": ["MicrosoftWindowsTemplate"]},
                ),
            ]
        ),
        case(
            "secrets provisioning changed",
            {},
            update={"spec.securityProfile": {"secretsProvisioningSettings": {"isSupported": False}}},
        ),
        case("storage of a region said", {}, update=regions("westeurope", storageAccountType="Standard_LRS")),
        case(
            "storage of a region that Azure chose said",
            {"spec.storageAccountStrategy": strategy},
            update=regions("westeurope", storageAccountType="Standard_ZRS"),
        ),
        case(
            "storage of a region no longer said",
            regions("westeurope", storageAccountType="Standard_ZRS"),
            sku,
            update=regions("westeurope"),
        ),
    ]
