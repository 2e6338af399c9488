"""Sample objects of the four kinds in JSON form: the least that is accepted, and everything at once."""

from __future__ import annotations

import copy
from typing import Any

from gallery_operator.api import GROUP, VERSION

Json = dict[str, Any]

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
RESOURCE_GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-images"
COMPUTE = f"{RESOURCE_GROUP}/providers/Microsoft.Compute"
PRINCIPAL = "00000000-0000-0000-0000-000000000002"
ROLE = "/providers/Microsoft.Authorization/roleDefinitions/00000000-0000-0000-0000-000000000003"
IDENTITY = f"{RESOURCE_GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/images"
STORAGE_ACCOUNT = f"{RESOURCE_GROUP}/providers/Microsoft.Storage/storageAccounts/images"
DISK = f"{COMPUTE}/disks/data"
SNAPSHOT = f"{COMPUTE}/snapshots/data"
ENCRYPTION_SET = f"{COMPUTE}/diskEncryptionSets/images"

DISK_ENCRYPTION_SET = f"{COMPUTE}/diskEncryptionSets/images"
ENCRYPTION = {
    "osDiskImage": {
        "diskEncryptionSetId": DISK_ENCRYPTION_SET,
        "securityProfile": {
            "confidentialVMEncryptionType": "EncryptedWithCmk",
            "secureVMDiskEncryptionSetId": DISK_ENCRYPTION_SET,
        },
    },
    "dataDiskImages": [
        {
            "lun": 0,
            "diskEncryptionSetId": DISK_ENCRYPTION_SET,
            "securityProfile": {
                "confidentialVMEncryptionType": "DataDiskEncryptedWithCmk",
                "secureVMDiskEncryptionSetId": DISK_ENCRYPTION_SET,
            },
        }
    ],
}

_UEFI_KEYS = [
    {"type": "x509", "secretKeyRef": {"name": "keys", "key": "a.pem"}},
    {"type": "x509", "configMapKeyRef": {"name": "keys", "key": "b.pem"}},
    {"type": "sha256", "value": ["47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]},
]

_MINIMAL: dict[str, Json] = {
    "Gallery": {"resourceGroup": "rg-images", "location": "westeurope"},
    "GalleryImageDefinition": {
        "galleryRef": {"name": "platform"},
        "osState": "Generalized",
        "identifier": {"publisher": "platform", "offer": "debian", "sku": "12-gen2"},
    },
    "VhdImport": {
        "source": {"url": {"url": "https://example.com/debian.qcow2.xz"}},
        "definitionRef": {"name": "debian-12"},
    },
    "ImageVersion": {
        "definitionRef": {"name": "debian-12"},
        "version": "12.7.1",
        "source": {"osDisk": {"vhdImportRef": {"name": "debian-12-os"}}},
        "targetRegions": [{"name": "westeurope"}],
    },
}

# Alternatives that exclude each other need more than one object.
_CHECKSUMS = [
    {
        "url": "https://example.com/SHA256SUMS",
        "file": "debian.qcow2.xz",
        "signature": {"url": "https://example.com/SHA256SUMS.asc", ref: {"name": "keys", "key": "publisher.asc"}},
    }
    for ref in ("secretKeyRef", "configMapKeyRef")
]

_FULL: dict[str, list[Json]] = {
    "Gallery": [
        {
            "galleryName": "platform_images",
            "subscriptionId": SUBSCRIPTION,
            "resourceGroup": "rg-images",
            "location": "West Europe",
            "description": "Images of the platform team",
            "credentialRef": {"name": "azure"},
            "allowedNamespaces": {"names": ["team-a"]},
            "softDeletePolicy": {"isSoftDeleteEnabled": True, "retentionPeriodInDays": 7, "gracePeriodInDays": 30},
            "identity": {
                "type": "SystemAssigned, UserAssigned",
                "userAssignedIdentities": [IDENTITY],
            },
            "sharingProfile": {
                "permissions": "Groups",
                "groups": {"subscriptions": [SUBSCRIPTION], "tenants": [PRINCIPAL]},
            },
            "roleAssignments": [
                {
                    "principalId": PRINCIPAL,
                    "principalType": "Group",
                    "role": "Compute Gallery Image Reader",
                    "description": "Team A",
                },
                {"principalId": PRINCIPAL, "principalType": "Group", "roleDefinitionId": ROLE},
            ],
            "tags": {"costCenter": "42"},
            "adoptionPolicy": "Adopt",
            "managementPolicy": "Manage",
            "deletionPolicy": "Retain",
        },
        {
            "resourceGroup": "rg-images",
            "location": "westeurope",
            "sharingProfile": {
                "permissions": "Community",
                "communityGalleryInfo": {
                    "publisherUri": "https://example.com",
                    "publisherContact": "images@example.com",
                    "eula": "https://example.com/eula",
                    "publicNamePrefix": "example",
                },
            },
        },
    ],
    "GalleryImageDefinition": [
        {
            "galleryRef": {"name": "platform", "namespace": "images"},
            "imageDefinitionName": "debian-12.x64",
            "osType": "Linux",
            "osState": "Generalized",
            "hyperVGeneration": "V2",
            "architecture": "x64",
            "identifier": {"publisher": "platform", "offer": "debian", "sku": "12-gen2"},
            "features": [{"name": "SecurityType", "value": "TrustedLaunchSupported", "startsAtVersion": "12.7.1"}],
            "recommended": {"vCPUs": {"min": 1, "max": 64}, "memory": {"min": 1, "max": 256}},
            "disallowed": {"diskTypes": ["Standard_LRS"]},
            "purchasePlan": {"name": "plan", "publisher": "platform", "product": "debian"},
            "endOfLifeDate": "2030-01-01T00:00:00Z",
            "description": "Debian 12",
            "eula": "https://example.com/eula",
            "privacyStatementUri": "https://example.com/privacy",
            "releaseNoteUri": "https://example.com/notes",
            "retention": {
                "mode": "DeleteVersions",
                "keepVersions": 5,
                "keepYoungerThan": "30d",
                "notice": "24h",
                "unmanagedVersions": "Delete",
                "deleteObjects": True,
            },
            "roleAssignments": [
                {"principalId": PRINCIPAL, "principalType": "User", "role": "Reader", "description": "Auditor"},
                {"principalId": PRINCIPAL, "principalType": "User", "roleDefinitionId": ROLE},
            ],
            "tags": {"costCenter": "42"},
            "adoptionPolicy": "Refuse",
            "managementPolicy": "Manage",
            "deletionPolicy": "Delete",
        },
        {
            "gallery": {"resourceId": f"{COMPUTE}/galleries/platform"},
            "osState": "Specialized",
            "identifier": {"publisher": "platform", "offer": "debian", "sku": "12-gen2"},
        },
    ],
    "VhdImport": [
        {
            "source": {
                "url": {
                    "url": "https://example.com/debian.qcow2.xz",
                    "mirrors": ["https://mirror.example.com/debian.qcow2.xz"],
                    "checksum": "sha256:" + "0" * 64,
                    "headersSecretRef": {"name": "headers"},
                    "caBundleRef": {"name": "ca"},
                },
                "format": "qcow2",
            },
            "definitionRef": {"name": "debian-12"},
            "diskRole": "os",
            "prerequisites": {"policy": "Warn", "level": "Strict", "onUnknown": "Allow", "ignore": ["NET003"]},
            "destination": {
                "pageBlob": {"storageAccountId": STORAGE_ACCOUNT, "container": "vhds", "blobName": "debian.vhd"}
            },
            "scratch": {"storageClassName": "fast", "size": "128Gi"},
            "verification": {"readBack": "Full"},
            "job": {
                "resources": {"limits": {"memory": "1Gi"}},
                "nodeSelector": {"kubernetes.io/arch": "amd64"},
                "tolerations": [{"key": "builds", "operator": "Exists"}],
                "affinity": {"podAffinity": {}},
                "retries": 5,
                "bandwidthLimit": "50Mi",
            },
            "managementPolicy": "Manage",
            "deletionPolicy": "Retain",
        },
        {
            "source": {
                "pvc": {"claimName": "build-output", "path": "out/disk.vhd", "checksum": "sha512:" + "a" * 128},
                "format": "vhd",
            },
            "profile": {"osState": "Specialized", "hyperVGeneration": "V1", "architecture": "Arm64"},
            "diskRole": "data",
            "destination": {
                "managedDisk": {
                    "subscriptionId": SUBSCRIPTION,
                    "resourceGroup": "rg-images",
                    "location": "westeurope",
                    "diskName": "debian-12_os",
                    "sku": "Premium_LRS",
                    "zones": ["1"],
                    "diskEncryptionSetId": ENCRYPTION_SET,
                    "tags": {"costCenter": "42"},
                }
            },
        },
        {
            "source": {
                "url": {"url": "https://example.com/debian.qcow2.xz"},
                "vmGuestState": {
                    "url": {
                        "url": "https://example.com/debian.vmgs",
                        "mirrors": ["https://mirror.example.com/debian.vmgs"],
                        "checksum": "sha256:" + "0" * 64,
                        "headersSecretRef": {"name": "headers"},
                        "caBundleRef": {"name": "ca"},
                    }
                },
            },
            "definitionRef": {"name": "debian-12"},
            "destination": {
                "managedDisk": {
                    "resourceGroup": "rg-images",
                    "location": "westeurope",
                    "securityProfile": {
                        "securityType": "ConfidentialVM_DiskEncryptedWithCustomerKey",
                        "secureVMDiskEncryptionSetId": ENCRYPTION_SET,
                    },
                }
            },
        },
        {
            "source": {
                "url": {"url": "https://example.com/debian.qcow2.xz"},
                "vmGuestState": {
                    "pvc": {"claimName": "build-output", "path": "out/disk.vmgs", "checksum": "sha512:" + "a" * 128}
                },
            },
            "definitionRef": {"name": "debian-12"},
        },
        *(
            {
                "source": {
                    "url": {"url": "https://example.com/debian.qcow2.xz", "checksums": checksums},
                    "vmGuestState": {"url": {"url": "https://example.com/debian.vmgs", "checksums": checksums}},
                },
                "definitionRef": {"name": "debian-12"},
            }
            for checksums in _CHECKSUMS
        ),
        {
            "source": {
                "s3": {
                    "endpoint": "https://minio.example.com:9000",
                    "region": "eu-north-1",
                    "bucket": "images",
                    "key": "debian/12/disk (1).qcow2",
                    "versionId": "3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY",
                    "pathStyle": True,
                    "checksum": "sha256:" + "0" * 64,
                    "credentialsSecretRef": {"name": "keys"},
                    "caBundleRef": {"name": "ca"},
                }
            },
            "definitionRef": {"name": "debian-12"},
        },
        {
            "source": {
                "oci": {
                    "reference": "registry.example.com:5000/images/debian:12.7@sha256:" + "0" * 64,
                    "path": "disk/debian.qcow2",
                    "insecure": True,
                    "pullSecretRef": {"name": "login"},
                    "caBundleRef": {"name": "ca"},
                }
            },
            "definitionRef": {"name": "debian-12"},
        },
        {
            "source": {"url": {"url": "https://example.com/debian.qcow2.xz"}},
            "definitionRef": {"name": "debian-12"},
            "destination": {
                "managedImage": {
                    "subscriptionId": SUBSCRIPTION,
                    "resourceGroup": "rg-images",
                    "location": "westeurope",
                    "imageName": "debian-12_dev",
                    "storageAccountType": "Premium_LRS",
                    "zoneResilient": True,
                    "hostCaching": "ReadWrite",
                    "diskEncryptionSetId": ENCRYPTION_SET,
                    "dataDisks": [
                        {"lun": 0, "vhdImportRef": {"name": "data"}, "hostCaching": "None"},
                        {"lun": 1, "blobUri": "https://images.blob.core.windows.net/vhds/data.vhd"},
                        {"lun": 2, "diskId": DISK, "storageAccountType": "Standard_LRS"},
                        {"lun": 3, "snapshotId": SNAPSHOT},
                    ],
                    "tags": {"costCenter": "42"},
                }
            },
        },
        *(
            {
                "source": {
                    "blob": {
                        "storageAccountId": STORAGE_ACCOUNT,
                        "container": "builds",
                        "blobName": "debian 12/os.vhd",
                        which: "2026-11-30T08:50:35.1234567Z",
                        "checksum": "sha256:" + "0" * 64,
                    }
                },
                "definitionRef": {"name": "debian-12"},
            }
            for which in ("versionId", "snapshot")
        ),
    ],
}

_NOT_IN_A_TEMPLATE = frozenset({"definitionRef", "profile", "diskRole", "managementPolicy"})


def _has_more_of_a_source(spec: Json) -> bool:
    return not {"s3", "oci", "blob"}.isdisjoint(spec["source"]) or "checksums" in spec["source"].get("url", {})


def _template(spec: Json) -> Json:
    """What an import has of its own is what a template of one has, too, but for the guest state."""
    found = {name: value for name, value in spec.items() if name not in _NOT_IN_A_TEMPLATE}
    found["source"] = {name: value for name, value in spec["source"].items() if name != "vmGuestState"}
    return {"metadata": {"labels": {"team": "platform"}, "annotations": {"example.com/build": "42"}}, "spec": found}


_TEMPLATES = [_template(spec) for n, spec in enumerate(_FULL["VhdImport"]) if n < 2 or _has_more_of_a_source(spec)]

_FULL |= {
    "ImageVersion": [
        {
            "definitionRef": {"name": "debian-12"},
            "version": "12.7.20261123",
            "source": {
                "osDisk": {
                    "blob": {
                        "storageAccountId": STORAGE_ACCOUNT,
                        "uri": "https://images.blob.core.windows.net/vhds/debian.vhd",
                    },
                    "hostCaching": "ReadOnly",
                },
                "dataDisks": [
                    {"lun": 0, "diskId": f"{COMPUTE}/disks/data", "hostCaching": "None"},
                    {"lun": 1, "snapshotId": f"{COMPUTE}/snapshots/data"},
                    *({"lun": 4 + n, "importTemplate": template} for n, template in enumerate(_TEMPLATES)),
                    {"lun": 2, "vhdImportRef": {"name": "data"}},
                    {
                        "lun": 3,
                        "blob": {
                            "storageAccountId": STORAGE_ACCOUNT,
                            "uri": "https://images.blob.core.windows.net/vhds/data.vhd",
                        },
                    },
                ],
            },
            "targetRegions": [
                {
                    "name": "westeurope",
                    "regionalReplicaCount": 3,
                    "storageAccountType": "Standard_ZRS",
                    "excludeFromLatest": True,
                    "additionalReplicaSets": [{"storageAccountType": "PremiumV2_LRS", "regionalReplicaCount": 2}],
                    "encryption": ENCRYPTION,
                }
            ],
            "targetExtendedLocations": [
                {
                    "name": "westeurope",
                    "extendedLocation": {"name": "microsoftlondon1", "type": "EdgeZone"},
                    "extendedLocationReplicaCount": 1,
                    "storageAccountType": "StandardSSD_LRS",
                    "encryption": ENCRYPTION,
                }
            ],
            "replicaCount": 2,
            "storageAccountType": "Premium_LRS",
            "securityProfile": {
                "uefiSettings": {
                    "signatureTemplateNames": ["MicrosoftUefiCertificateAuthorityTemplate"],
                    "additionalSignatures": {
                        "pk": {"type": "x509", "secretKeyRef": {"name": "keys", "key": "pk.pem"}},
                        "kek": _UEFI_KEYS,
                        "db": _UEFI_KEYS,
                        "dbx": _UEFI_KEYS,
                    },
                },
                "secretsProvisioningSettings": {
                    "isSupported": True,
                    "osName": "debian",
                    "components": [{"name": "AzureGuestAgent", "version": "2.7.0"}],
                },
            },
            "replicationMode": "Full",
            "excludeFromLatest": True,
            "endOfLifeDate": "2030-01-01T00:00:00Z",
            "safetyProfile": {
                "allowDeletionOfReplicatedLocations": False,
                "blockDeletionBeforeEndOfLife": True,
            },
            "readyPolicy": "HomeRegion",
            "tags": {"costCenter": "42"},
            "adoptionPolicy": "Adopt",
            "bypassSoftDelete": True,
            "restorePolicy": "Refuse",
            "managementPolicy": "Manage",
            "deletionPolicy": "Retain",
        },
        {
            "definitionRef": {"name": "debian-12"},
            "version": "1.0.0",
            "source": {"osDisk": {"snapshotId": f"{COMPUTE}/snapshots/os"}},
            "targetRegions": [{"name": "westeurope"}],
            "storageAccountStrategy": "PreferStandard_ZRS",
            "securityProfile": {"uefiSettings": {"additionalSignatures": {"pk": _UEFI_KEYS[1]}}},
        },
        {
            "definitionRef": {"name": "debian-12"},
            "version": "1.0.0",
            "source": {"osDisk": {"diskId": f"{COMPUTE}/disks/os"}},
            "targetRegions": [{"name": "westeurope"}],
            "securityProfile": {"uefiSettings": {"additionalSignatures": {"pk": _UEFI_KEYS[2]}}},
        },
        {
            "definitionRef": {"name": "debian-12"},
            "version": "1.0.0",
            "source": {"osDisk": {"vhdImportRef": {"name": "os"}}},
            "targetRegions": [{"name": "westeurope"}],
        },
        *(
            {
                "definitionRef": {"name": "debian-12"},
                "version": "1.0.0",
                "source": source,
                "targetRegions": [{"name": "westeurope"}],
            }
            for source in (
                *({"osDisk": {"importTemplate": template}} for template in _TEMPLATES),
                {"managedImageId": f"{COMPUTE}/images/debian"},
                {"virtualMachineId": f"{COMPUTE}/virtualMachines/builder"},
                {"galleryImageVersionId": f"{COMPUTE}/galleries/builds/images/debian/versions/1.0.0"},
                {"imageVersionRef": {"name": "debian-12-7-0"}},
                {"communityGalleryImageId": "/CommunityGalleries/debian-1a2b/Images/debian-12/Versions/12.7.1"},
            )
        ),
    ],
}


KINDS = tuple(_MINIMAL)


def minimal(kind: str, name: str = "sample") -> Json:
    """Return the smallest object of a kind that the API server accepts."""
    return _object(kind, name, _MINIMAL[kind])


def full(kind: str, name: str = "sample") -> list[Json]:
    """Return objects of a kind that together set every field of its spec."""
    return [_object(kind, name, spec) for spec in _FULL[kind]]


def _object(kind: str, name: str, spec: Json) -> Json:
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": kind,
        "metadata": {"name": name},
        "spec": copy.deepcopy(spec),
    }
