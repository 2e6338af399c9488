"""Encryption of an image version's disks: normal form, and the rules for disk encryption sets.

Texts are those of Microsoft's "Troubleshoot images" page unless marked inferred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ArmError, bad_parameter
from ..ids import parse_id
from ..regions import normalise
from ..store import Store
from .base import as_object

__all__ = ["check_encryption", "check_new_luns", "encryption_sets", "is_confidential", "normal_encryption"]

_PATH = "galleryArtifactVersion.properties.publishingProfile.targetRegions.encryption"
_OS = f"{_PATH}.osDiskImage.diskEncryptionSetId"
_OS_TYPES = ("EncryptedVMGuestStateOnlyWithPmk", "EncryptedWithPmk", "EncryptedWithCmk", "NonPersistedTPM")
_DATA_TYPES = ("DataDiskEncryptedWithCmk",)
_WITH_KEY = ("EncryptedWithCmk", "DataDiskEncryptedWithCmk")


def normal_encryption(value: object, region: str) -> dict[str, Any]:
    """Return a region's encryption as the service stores it.

    Args:
        value: `encryption` of a target region or edge zone.
        region: display name of the region, for errors.

    Raises:
        ArmError: a LUN is named twice, or the encryption of a confidential disk does not hold together.
    """
    given = as_object(value, _PATH)
    shown: dict[str, Any] = {}
    if given.get("osDiskImage") is not None:
        main = as_object(given["osDiskImage"], f"{_PATH}.osDiskImage")
        _check_set_id(main, f"{_PATH}.osDiskImage")
        shown["osDiskImage"] = {**main, "securityProfile": _security(main, f"{_PATH}.osDiskImage", _OS_TYPES)}
    if given.get("dataDiskImages"):
        disks = [as_object(item, f"{_PATH}.dataDiskImages") for item in given["dataDiskImages"]]
        luns = [item.get("lun") for item in disks]
        twice = sorted({lun for lun in luns if luns.count(lun) > 1}, key=str)
        if twice:
            names = ",".join(map(str, twice))
            raise bad_parameter(
                f"Duplicate luns '{names}' were specified in target region '{region}' encryption.dataDiskImages"
            )
        for disk in disks:
            _check_set_id(disk, f"{_PATH}.dataDiskImages")
            if disk.get("securityProfile"):
                disk["securityProfile"] = _security(disk, f"{_PATH}.dataDiskImages", _DATA_TYPES)
        shown["dataDiskImages"] = disks
    return shown


def encryption_sets(region: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the ids of the disk encryption sets of a region by disk (`osDiskImage` or `LUN n`)."""
    encryption = region.get("encryption") or {}
    found: dict[str, list[str]] = {}
    rows = [("osDiskImage", encryption.get("osDiskImage") or {})]
    rows += [(f"LUN {item.get('lun')}", item) for item in encryption.get("dataDiskImages") or []]
    for disk, item in rows:
        security = item.get("securityProfile") or {}
        ids = [item.get("diskEncryptionSetId"), security.get("secureVMDiskEncryptionSetId")]
        if any(ids):
            found[disk] = [str(identity) for identity in ids if identity]
    return found


def is_confidential(regions: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any region encrypts for confidential virtual machines."""
    for region in regions:
        encryption = region.get("encryption") or {}
        for item in (encryption.get("osDiskImage") or {}, *(encryption.get("dataDiskImages") or [])):
            if (item.get("securityProfile") or {}).get("confidentialVMEncryptionType"):
                return True
    return False


def check_encryption(
    store: Store, regions: Sequence[Mapping[str, Any]], luns: Sequence[int], subscription: str
) -> None:
    """Check that a disk which is encrypted with a set in one region is so in all, and that the sets do.

    Raises:
        ArmError: the service would refuse it.
    """
    for region in regions:
        encryption = region.get("encryption") or {}
        for item in encryption.get("dataDiskImages") or []:
            if item.get("lun") not in luns:
                allowed = ",".join(map(str, luns))
                raise bad_parameter(
                    f"An invalid lun [{item.get('lun')}] was specified in encryption.dataDiskImages. The lun must be "
                    f"one of the following values ['{allowed}']"
                )
        for disk, identities in encryption_sets(region).items():
            for identity in identities:
                _check_set(store, identity, str(region["name"]), subscription)
            for other in regions:
                if disk not in encryption_sets(other):
                    name = _OS if disk == "osDiskImage" else disk
                    raise bad_parameter(
                        f"A disk encryption set is required for disk '{name}' in target region '{other['name']}' since "
                        f"disk encryption set '{identities[0]}' is used for the corresponding disk in region "
                        f"'{region['name']}'"
                    )


def check_new_luns(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Refuse the encryption of another data disk in a region that a version is in already.

    Raises:
        ArmError: 400.
    """
    known = encryption_sets(before)
    for disk in encryption_sets(after):
        if disk.startswith("LUN ") and disk not in known:
            number = disk.removeprefix("LUN ")
            raise bad_parameter(
                f"Cannot specify new data disk image encryption lun [{number}] with a disk encryption set in region "
                f"[{after['name']}] for update gallery image version request. To update this version, remove the new "
                "lun. If you need to change the data disk image encryption settings, you must create a new gallery "
                "image version with the correct settings."
            )


def _check_set_id(item: Mapping[str, Any], path: str) -> None:
    identity = item.get("diskEncryptionSetId")
    if identity and parse_id(identity) is None:
        raise bad_parameter(
            f"The value of parameter {path}.diskEncryptionSetId is invalid", f"{path}.diskEncryptionSetId"
        )


def _check_set(store: Store, identity: str, region: str, subscription: str) -> None:
    rid = parse_id(identity)
    if rid is None or rid.subscription.lower() != subscription.lower():
        raise bad_parameter(
            f"The disk encryption set '{identity}' must be in the same subscription '{subscription}' as the gallery "
            "resource"
        )
    found = store.get(rid.key)
    if found is None:
        raise bad_parameter(f"The disk encryption set {identity} was not found")
    if normalise(str(found.body["location"])) != normalise(region):
        # Documented: only in the region in which it was created. The words are inferred.
        raise bad_parameter(
            f"The disk encryption set '{identity}' is in region '{found.body['location']}'; it must be in the same "
            f"region as target region '{region}'."
        )


def _security(item: Mapping[str, Any], path: str, allowed: tuple[str, ...]) -> dict[str, Any]:
    """Return the security profile of a disk; that a type asks for a key, or has none, is inferred from its name."""
    given = as_object(item.get("securityProfile"), f"{path}.securityProfile")
    kind = given.get("confidentialVMEncryptionType")
    if kind is None:
        return given
    if kind not in allowed:
        target = f"{path}.securityProfile.confidentialVMEncryptionType"
        raise bad_parameter(
            f"The value '{kind}' of parameter '{target}' is not allowed. Allowed values are: {', '.join(allowed)}.",
            target,
        )
    target = f"{path}.securityProfile.secureVMDiskEncryptionSetId"
    has_key = bool(given.get("secureVMDiskEncryptionSetId"))
    if kind in _WITH_KEY and not has_key:
        raise bad_parameter(f"Required parameter '{target}' is missing (null).", target)
    if kind not in _WITH_KEY and has_key:
        raise bad_parameter(f"Parameter '{target}' is not allowed.", target)
    return given


def encryption_unsupported(source: str) -> ArmError:
    """Return 400 for a source that cannot be encrypted: only machines, disks, snapshots and managed images can."""
    return bad_parameter(
        f"Encryption is not supported for source resource '{source}'. Please use a different source resource type "
        "which supports encryption or remove encryption properties"
    )
