"""What Azure would refuse about where and how a version is stored, told before it is asked. Pure."""

from gallery_operator.api import GalleryImageDefinition, ImageVersion
from gallery_operator.api.encryption import EncryptionImages
from gallery_operator.planning.definition import security_type


def encryptions(version: ImageVersion) -> list[tuple[str, str, EncryptionImages]]:
    """Return where the disks are encrypted in a way of their own: (field, region, encryption)."""
    found = [
        (f"targetRegions[{each.name}].encryption", each.name, each.encryption)
        for each in version.spec.target_regions
        if each.encryption is not None
    ]
    found += [
        (f"targetExtendedLocations[{each.extended_location.name}].encryption", each.name, each.encryption)
        for each in version.spec.target_extended_locations
        if each.encryption is not None
    ]
    return found


def refusal(version: ImageVersion, definition: GalleryImageDefinition, subscription_id: str) -> tuple[str, str] | None:
    """Return why Azure would refuse a version: a reason and what to do; None when nothing is known to be wrong.

    Args:
        version: The version.
        definition: Its definition.
        subscription_id: Subscription of the gallery.
    """
    kind = security_type(definition)
    for field, _, encryption in encryptions(version):
        for disk, identity in encryption.set_ids().items():
            if f"/subscriptions/{subscription_id}/".lower() not in identity.lower():
                return (
                    "EncryptionSetElsewhere",
                    f"{field} names {identity} for {disk}, but a disk encryption set must be in the gallery's "
                    f"subscription, {subscription_id} (Azure's rule): make one there.",
                )
        if (unknown := _unknown_lun(version, encryption)) is not None:
            return (
                "UnknownLun",
                f"{field}.dataDiskImages names LUN {unknown}, and source.dataDisks has no such disk: name the LUNs of "
                "the data disks.",
            )
        if encryption.is_confidential and "confidential" not in kind.lower():
            return (
                "NotConfidential",
                f"{field} encrypts for confidential VMs, but the definition's SecurityType is {kind}: use a definition "
                "with ConfidentialVm, or take securityProfile out.",
            )
    profile = version.spec.security_profile
    wants_keys = profile is not None and profile.uefi_settings is not None
    # https://learn.microsoft.com/azure/virtual-machines/trusted-launch-secure-boot-custom-uefi
    if wants_keys and (definition.spec.hyper_v_generation != "V2" or kind.lower() == "standard"):
        return (
            "NoSecureBoot",
            "securityProfile.uefiSettings needs secure boot, but the definition is "
            f"{definition.spec.hyper_v_generation} with SecurityType {kind}: use a V2 definition with "
            "TrustedLaunchSupported or TrustedLaunchAndConfidentialVmSupported, or take uefiSettings out.",
        )
    return None


def _unknown_lun(version: ImageVersion, encryption: EncryptionImages) -> int | None:
    """Return a LUN that no data disk has; what an image as a whole holds is not known here."""
    source = version.spec.source
    if source is None or source.os_disk is None:
        return None
    luns = {each.lun for each in source.data_disks}
    return next((each.lun for each in encryption.data_disk_images if each.lun not in luns), None)
