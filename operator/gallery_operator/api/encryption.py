"""How the disks of an image version are encrypted in a region: customer managed keys, confidential VMs."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gallery_operator.api.meta import ApiModel, Rule

_LONGEST_ID = 400
_Set = Annotated[
    str,
    Field(
        min_length=1,
        max_length=_LONGEST_ID,
        description="ARM id of the disk encryption set with the key; in the gallery's subscription and in this region.",
    ),
]
_SecureSet = Annotated[
    str,
    Field(
        min_length=1,
        max_length=_LONGEST_ID,
        description="ARM id of the disk encryption set for confidential VMs with the key.",
    ),
]


def _is_set(field: str) -> Rule:
    # The pattern of arm_id() would be too dear for 64 disks in 100 regions (the API server's estimate).
    return Rule(
        f"!has(self.{field}) || self.{field}.lowerAscii().contains('/providers/microsoft.compute/diskencryptionsets/')",
        f"{field} must be the ARM id of a disk encryption set: "
        "/subscriptions/<id>/resourceGroups/<name>/providers/Microsoft.Compute/diskEncryptionSets/<name>",
        f".{field}",
    )


class OsDiskSecurityProfile(ApiModel):
    """Encryption of the OS disk of a confidential VM.

    Attributes:
        confidential_vm_encryption_type: What is encrypted with whose key.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(self.confidentialVMEncryptionType == 'EncryptedWithCmk') == has(self.secureVMDiskEncryptionSetId)",
            "EncryptedWithCmk needs secureVMDiskEncryptionSetId, and no other type takes it: set both, or neither",
        ),
        _is_set("secureVMDiskEncryptionSetId"),
    )

    confidential_vm_encryption_type: Annotated[
        Literal["EncryptedVMGuestStateOnlyWithPmk", "EncryptedWithPmk", "EncryptedWithCmk", "NonPersistedTPM"],
        Field(alias="confidentialVMEncryptionType"),
    ]
    secure_vm_disk_encryption_set_id: Annotated[_SecureSet | None, Field(alias="secureVMDiskEncryptionSetId")] = None


class DataDiskSecurityProfile(ApiModel):
    """Encryption of a data disk of a confidential VM.

    Attributes:
        confidential_vm_encryption_type: What is encrypted with whose key.
    """

    rules: ClassVar[tuple[Rule, ...]] = (_is_set("secureVMDiskEncryptionSetId"),)

    confidential_vm_encryption_type: Annotated[
        Literal["DataDiskEncryptedWithCmk"], Field(alias="confidentialVMEncryptionType")
    ]
    secure_vm_disk_encryption_set_id: Annotated[_SecureSet, Field(alias="secureVMDiskEncryptionSetId")]


_SOMETHING = Rule(
    "has(self.diskEncryptionSetId) || has(self.securityProfile)",
    "say how the disk is encrypted: set diskEncryptionSetId, securityProfile, or both",
)


class OsDiskImageEncryption(ApiModel):
    """Encryption of the OS disk."""

    rules: ClassVar[tuple[Rule, ...]] = (_SOMETHING, _is_set("diskEncryptionSetId"))

    disk_encryption_set_id: _Set | None = None
    security_profile: OsDiskSecurityProfile | None = None


class DataDiskImageEncryption(ApiModel):
    """Encryption of a data disk."""

    rules: ClassVar[tuple[Rule, ...]] = (_SOMETHING, _is_set("diskEncryptionSetId"))

    lun: Annotated[int, Field(ge=0, le=63, description="Logical unit number of the data disk.")]
    disk_encryption_set_id: _Set | None = None
    security_profile: DataDiskSecurityProfile | None = None


class EncryptionImages(ApiModel):
    """Encryption of the disks of a version in one place."""

    os_disk_image: OsDiskImageEncryption | None = None
    data_disk_images: Annotated[
        tuple[DataDiskImageEncryption, ...],
        Field(
            max_length=64,
            description="Encryption of the data disks, by LUN.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["lun"]},
        ),
    ] = ()

    def set_ids(self) -> dict[str, str]:
        """Return the disk encryption sets by disk: ``the OS disk``, ``the data disk at LUN 3``."""
        found: dict[str, str | None] = {}
        if self.os_disk_image is not None:
            profile = self.os_disk_image.security_profile
            secure = profile.secure_vm_disk_encryption_set_id if profile is not None else None
            found["the OS disk"] = self.os_disk_image.disk_encryption_set_id
            found["the OS disk (confidential VM)"] = secure
        for each in self.data_disk_images:
            found[f"the data disk at LUN {each.lun}"] = each.disk_encryption_set_id
            if each.security_profile is not None:
                secure = each.security_profile.secure_vm_disk_encryption_set_id
                found[f"the data disk at LUN {each.lun} (confidential VM)"] = secure
        return {disk: identity for disk, identity in found.items() if identity is not None}

    @property
    def is_confidential(self) -> bool:
        """Whether a disk is encrypted for confidential VMs."""
        os_disk = self.os_disk_image
        return (os_disk is not None and os_disk.security_profile is not None) or any(
            each.security_profile is not None for each in self.data_disk_images
        )
