"""DEF001, DEF002: the disk is what the image definition says."""

from gallery_operator.prerequisites.facts.esp import read_pe
from gallery_operator.prerequisites.facts.kernel import Driver
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, WW, Outcome, failed, not_applicable, passed, unknown
from gallery_operator.prerequisites.readers.base import ReadError
from gallery_operator.prerequisites.registry import check

_WINDOWS = ("ntfs", "bitlocker")
_BCD = "/EFI/Microsoft/Boot/BCD"


@check(
    "DEF001",
    "the disk holds a Linux",
    levels=EE,
    source="Troubleshoot shared images (different OS type); Marketplace certification, incorrect OS mapping",
    remedy="Give the disk of a Linux installation; gallery-operator's checks and definitions are for osType Linux.",
)
def linux(guest: Guest) -> Outcome:
    """A Windows disk under a definition of osType Linux is never provisioned."""
    try:
        return passed(f"a Linux root on {guest.mounted.volume.name}")
    except ReadError as error:
        reason = str(error)
    windows = [each.name for each in guest.layout.volumes if each.probe.type in _WINDOWS]
    try:
        windows += [_BCD] if guest.esp.tree.is_file(_BCD) else []
    except ReadError:  # no EFI system partition says nothing about the system
        windows += []
    if windows:
        return failed(f"it looks like Windows: {', '.join(windows)}")
    return unknown(reason)


@check(
    "DEF002",
    "the features that the definition claims are on the disk",
    levels=WW,
    source="Azure Compute Gallery, image features",
    remedy="Correct the features of the image definition, or the image: see KRN007, KRN021, KRN025.",
)
def features(guest: Guest) -> Outcome:
    """Azure offers an image for what its definition claims, and believes it."""
    claims = {name: value for name, value in guest.profile.features.items() if value and value.lower() != "false"}
    wrong, found = [], []
    if "nvme" in claims.get("DiskControllerTypes", "").lower():
        found.append("NVMe")
        wrong += _without_driver(guest, "DiskControllerTypes has NVMe", "nvme")
    if claims.get("IsAcceleratedNetworkSupported"):
        found.append("accelerated networking")
        wrong += _without_driver(guest, "IsAcceleratedNetworkSupported", "mlx5_core")
    kind = claims.get("SecurityType", "Standard")
    if kind != "Standard":
        found.append(kind)
        wrong += _insecure(guest, kind)
    if wrong:
        return failed("; ".join(wrong))
    return passed(", ".join(found)) if found else not_applicable("the definition claims no feature that a disk shows")


def _without_driver(guest: Guest, claim: str, driver: str) -> list[str]:
    missing = guest.kernel.loadable(driver) is Driver.MISSING
    return [f"{claim}, but {driver} is missing"] if missing else []


def _insecure(guest: Guest, kind: str) -> list[str]:
    """Secure Boot and the virtual TPM are for Generation 2, and start signed programs only."""
    if guest.profile.hyper_v_generation != "V2":
        return [f"SecurityType {kind}, but the generation is V1"]
    path = guest.esp.loader(guest.profile.architecture)
    program = read_pe(guest.esp.tree, path) if path else None
    return [] if program is not None and program.signed else [f"SecurityType {kind}, but no signed boot loader"]
