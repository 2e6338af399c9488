"""What an import makes in Azure, as request bodies, and what can never work, known before anything is made. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gallery_operator.api import VhdImport
from gallery_operator.api.destination import ManagedDisk, ManagedImage
from gallery_operator.contract import GuestProfile
from gallery_operator.planning.outcome import Stalled

VHD_FOOTER_BYTES = 512
MIN_MANAGED_DISK = 20 * 1024**2
"""Azure takes no smaller disk by upload: ``uploadSizeBytes`` is at least 20 MiB and the footer (2026-03-02)."""
_MIB, _GIB, _TIB = 1024**2, 1024**3, 1024**4
MAX_MANAGED_DISK = 32767 * _GIB
"""Largest disk that Azure takes by upload."""
_MAX_GEN1_OS = 2 * _TIB
_MAX_OS = 4095 * _GIB
# A page blob has at most 8 TiB, its footer included, and a disk a whole number of MiB.
_MAX_PAGE_BLOB = 8 * _TIB - _MIB

_CONFIDENTIAL = "ConfidentialVM"
# What the SecurityType of a definition means for the disk that its versions are made of; Azure writes ConfidentialVM
# and ConfidentialVm. The "...Supported" values leave the choice to the virtual machine: their disks are plain.
_OF_DEFINITION = {
    "trustedlaunch": "TrustedLaunch",
    "confidentialvm": "ConfidentialVM_VMGuestStateOnlyEncryptedWithPlatformKey",
}

# What a disk says of itself so that images of a "...Supported" definition can be made of it (disks, 2026-03-02).
# Without it Azure has answered that it takes only VHDs, managed images and versions for these (seen in 2023).
_SECURITY_OPTION = {
    "trustedlaunchsupported": "TrustedLaunchSupported",
    "trustedlaunchandconfidentialvmsupported": "TrustedLaunchAndConfidentialVMSupported",
}


@dataclass(frozen=True)
class ImageDisk:
    """A data disk of a managed image.

    Attributes:
        lun: Its logical unit number.
        source: ``managedDisk``, ``snapshot`` or ``blobUri`` as ARM takes it.
        caching: Host caching, or None for Azure's default.
        storage_account_type: Storage, or None for Azure's default.
        sha256: Digest (hex) of the VHD that an import has brought; None: not known.
    """

    lun: int
    source: Mapping[str, Any]
    caching: str | None = None
    storage_account_type: str | None = None
    sha256: str | None = None


def security_profile(vhd_import: VhdImport, guest: GuestProfile) -> dict[str, str] | None:
    """Return ARM's ``securityProfile`` of the disk: the one of the spec, else what the definition asks for."""
    if guest.disk_role != "os":
        return None
    destination = vhd_import.spec.destination
    if destination is not None and (destination.managed_disk is None or destination.managed_disk.security_profile):
        disk = destination.managed_disk
        return None if disk is None or disk.security_profile is None else disk.security_profile.to_wire()
    return declared_security(guest)


def declared_security(guest: GuestProfile) -> dict[str, str] | None:
    """Return ARM's ``securityProfile`` that the image's features ask for."""
    kind = _OF_DEFINITION.get(guest.features.get("SecurityType", "").lower())
    return None if kind is None or guest.disk_role != "os" else {"securityType": kind}


def refusal(vhd_import: VhdImport, guest: GuestProfile) -> Stalled | None:
    """Say what can never work, before anything is fetched.

    Args:
        vhd_import: The import.
        guest: What its disk is declared to be.

    Returns:
        Why not, or None when nothing speaks against it.
    """
    destination = vhd_import.spec.destination
    declared = guest.features.get("SecurityType", "")
    if destination is not None and destination.managed_image is not None:
        if guest.os_state != "Generalized":
            return Stalled(
                "SpecializedManagedImage",
                "A managed image is generalized, and the definition is for specialized images: bring the disk to a "
                "managedDisk and make an ImageVersion of it, or name another definition.",
            )
        if declared.lower() in _OF_DEFINITION:
            return Stalled(
                "SecureManagedImage",
                f"A managed image cannot be of SecurityType {declared}: make an ImageVersion in the gallery, or name a "
                "definition without it.",
            )
        return None
    secure = security_profile(vhd_import, guest)
    state = vhd_import.spec.source.vm_guest_state is not None
    if secure is not None and guest.hyper_v_generation != "V2":
        return Stalled(
            "SecurityNeedsGeneration2",
            f"A disk of security type {secure['securityType']} is of generation V2, and this one is declared "
            f"{guest.hyper_v_generation}: leave securityProfile out, or use image and definition of generation V2.",
        )
    if secure is not None and secure["securityType"].startswith(_CONFIDENTIAL) and not state:
        return Stalled(
            "VMGuestStateMissing",
            f"A disk of security type {secure['securityType']} is uploaded together with its VM guest state: make a "
            "new import with source.vmGuestState, or name a definition whose SecurityType is ConfidentialVmSupported.",
        )
    if secure is None and state:
        return Stalled(
            "SecurityTypeMissing",
            "source.vmGuestState belongs to a disk of security type TrustedLaunch or ConfidentialVM, and neither "
            "destination.managedDisk.securityProfile nor the definition's SecurityType says so: make a new import "
            "with a securityProfile, or without vmGuestState.",
        )
    return None


def size_limits(guest: GuestProfile, *, page_blob: bool) -> tuple[int, int]:
    """Return the smallest and the largest disk that Azure takes, in bytes without the footer.

    Sources: ``uploadSizeBytes`` (2026-03-02), the scale targets of page blobs, and the limits of OS disks: 2 TiB where
    the partition table is an MBR, which generation 1 boots from, 4095 GiB else.

    Args:
        guest: What the disk is declared to be.
        page_blob: It ends in a page blob, not in a managed disk.
    """
    smallest, largest = (0, _MAX_PAGE_BLOB) if page_blob else (MIN_MANAGED_DISK, MAX_MANAGED_DISK)
    if guest.disk_role == "os":
        largest = min(largest, _MAX_GEN1_OS if guest.hyper_v_generation == "V1" else _MAX_OS)
    return smallest, largest


def disk_body(
    vhd_import: VhdImport,
    disk: ManagedDisk,
    guest: GuestProfile,
    virtual_size: int,
    owner: Mapping[str, str],
) -> dict[str, Any]:
    """Return the body that makes a disk to upload to.

    Args:
        vhd_import: The import.
        disk: How the disk is wanted.
        guest: What the image is declared to be.
        virtual_size: Bytes of the disk, without the VHD's footer.
        owner: Ownership tags, and what else the operator marks it with.
    """
    secure = security_profile(vhd_import, guest)
    with_state = vhd_import.spec.source.vm_guest_state is not None
    return upload_disk_body(disk, guest, virtual_size, owner, secure=secure, guest_state=with_state)


def upload_disk_body(
    disk: ManagedDisk,
    guest: GuestProfile,
    virtual_size: int,
    tags: Mapping[str, str],
    *,
    secure: Mapping[str, str] | None = None,
    guest_state: bool = False,
) -> dict[str, Any]:
    """Return the body that makes a disk to upload to, whoever asks for it.

    Args:
        disk: How the disk is wanted.
        guest: What the image is declared to be.
        virtual_size: Bytes of the disk, without the VHD's footer.
        tags: Tags that say whose it is, beside those that are wanted.
        secure: Its ``securityProfile``, see ``declared_security``.
        guest_state: A VM guest state is uploaded with it.
    """
    option = "UploadPreparedSecure" if guest_state else "Upload"
    found: dict[str, Any] = {
        "creationData": {"createOption": option, "uploadSizeBytes": virtual_size + VHD_FOOTER_BYTES},
    }
    if guest.disk_role == "os":
        found["osType"] = "Linux"
        found["hyperVGeneration"] = guest.hyper_v_generation
        found["supportedCapabilities"] = _capabilities(guest)
        if guest.features.get("IsHibernateSupported", "").lower() == "true":
            found["supportsHibernation"] = True
    if secure is not None:
        found["securityProfile"] = dict(secure)
    if disk.disk_encryption_set_id is not None:
        found["encryption"] = {
            "type": "EncryptionAtRestWithCustomerKey",
            "diskEncryptionSetId": disk.disk_encryption_set_id,
        }
    body: dict[str, Any] = {
        "location": disk.location,
        "sku": {"name": disk.sku},
        "tags": {**disk.tags, **tags},
        "properties": found,
    }
    if disk.zones:
        body["zones"] = list(disk.zones)
    return body


def _capabilities(guest: GuestProfile) -> dict[str, Any]:
    found: dict[str, Any] = {"architecture": guest.architecture}
    accelerated = guest.features.get("IsAcceleratedNetworkSupported", "").lower()
    if accelerated in ("true", "false"):
        found["acceleratedNetwork"] = accelerated == "true"
    controllers = guest.features.get("DiskControllerTypes")
    if controllers:
        found["diskControllerTypes"] = controllers
    option = _SECURITY_OPTION.get(guest.features.get("SecurityType", "").lower())
    if option is not None:
        found["supportedSecurityOption"] = option
    return found


def image_body(
    image: ManagedImage,
    guest: GuestProfile,
    os_disk_id: str,
    data_disks: Sequence[ImageDisk],
    owner: Mapping[str, str],
) -> dict[str, Any]:
    """Return the body that makes a managed image.

    Args:
        image: How it is wanted.
        guest: What it is declared to be.
        os_disk_id: ARM id of its OS disk.
        data_disks: Its data disks.
        owner: Ownership tags, and what else the operator marks it with.
    """
    os_disk: dict[str, Any] = {"osType": "Linux", "osState": "Generalized", "managedDisk": {"id": os_disk_id}}
    _add(os_disk, image.host_caching, image.storage_account_type)
    if image.disk_encryption_set_id is not None:
        os_disk["diskEncryptionSet"] = {"id": image.disk_encryption_set_id}
    disks = []
    for each in sorted(data_disks, key=lambda disk: disk.lun):
        disk: dict[str, Any] = {"lun": each.lun, **each.source}
        _add(disk, each.caching, each.storage_account_type)
        disks.append(disk)
    profile: dict[str, Any] = {"osDisk": os_disk, "zoneResilient": image.zone_resilient}
    if disks:
        profile["dataDisks"] = disks
    return {
        "location": image.location,
        "tags": {**image.tags, **owner},
        "properties": {"hyperVGeneration": guest.hyper_v_generation, "storageProfile": profile},
    }


def _add(disk: dict[str, Any], caching: str | None, storage_account_type: str | None) -> None:
    if caching is not None:
        disk["caching"] = caching
    if storage_account_type is not None:
        disk["storageAccountType"] = storage_account_type
