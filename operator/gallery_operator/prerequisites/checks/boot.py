"""PRT003-PRT008: whether firmware finds something to boot."""

import re

from gallery_operator.prerequisites.checks.scopes import listed
from gallery_operator.prerequisites.facts.esp import LOADERS, Esp, read_pe
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import (
    EE,
    EW,
    WW,
    Architecture,
    Outcome,
    failed,
    not_applicable,
    passed,
    unknown,
)
from gallery_operator.prerequisites.readers.base import NotFoundError, ReadError
from gallery_operator.prerequisites.readers.partitions import BIOS_BOOT_TYPE, ESP_TYPE
from gallery_operator.prerequisites.registry import AppliesTo, check

_V1 = AppliesTo(disk_roles=frozenset({"os"}), generations=frozenset({"V1"}))
_V2 = AppliesTo(disk_roles=frozenset({"os"}), generations=frozenset({"V2"}))
_G2 = "Support for Generation 2 VMs on Azure (generation-2)"
_REINSTALL = {
    "": "Install the boot loader at the fallback path: grub2-install --target=x86_64-efi --removable, or copy "
    "EFI/<distribution>/shimx64.efi and grubx64.efi to EFI/BOOT (shim as BOOTX64.EFI, on arm64 BOOTAA64.EFI).",
    "debian": "grub-install --target=x86_64-efi --force-extra-removable; and to keep it over updates: echo "
    "grub-efi-amd64 grub2/force_efi_extra_removable boolean true | debconf-set-selections",
    "ubuntu": "mkdir -p /boot/efi/EFI/BOOT; cp /boot/efi/EFI/ubuntu/shimx64.efi /boot/efi/EFI/BOOT/BOOTX64.EFI; "
    "cp /boot/efi/EFI/ubuntu/grubx64.efi /boot/efi/EFI/ubuntu/grub.cfg /boot/efi/EFI/BOOT/",
}
# Flatcar's GRUB behind shim has its configuration in a memory disk; build_library/grub_install.sh of flatcar/scripts
# leaves what it made that of beside it.
_FLATCAR_MEMDISK = "/flatcar/grub/grub.cfg.tar"
_MAX_LOADER = 8 * 1024 * 1024
_MAX_STUB = 1024 * 1024
_SEARCH = re.compile(r"^\s*search(?P<kind>\.fs_uuid|\.fs_label|\.file)?\s+(?P<words>.+)$", re.MULTILINE)


@check(
    "PRT003",
    "Generation 2: there is a GPT with an EFI system partition",
    levels=EE,
    source=f"{_G2}, Boot: UEFI; Azure Linux VM UEFI boot failures, scenario 1",
    remedy="Make a GPT with an EFI system partition (type EF00) and install GRUB for UEFI, or declare V1.",
    applies=_V2,
    cases=((WW, "the EFI system partition is in an MBR (type EF)"),),
)
def has_esp(guest: Guest) -> Outcome:
    """A Generation 2 VM boots by UEFI, and UEFI looks for its boot loader in that partition."""
    esp = guest.table.esp()
    if esp is None:
        kind = {"gpt": "the GPT", "mbr": "the MBR"}.get(guest.table.scheme or "", "the disk")
        return failed(f"{kind} has no EFI system partition ({ESP_TYPE.upper()})")
    if not guest.table.is_gpt:
        return failed(f"partition {esp.number} has type EF, but in an MBR", WW)
    return passed(f"partition {esp.number}")


@check(
    "PRT004",
    "Generation 2: the EFI system partition is FAT and has the fallback boot loader",
    levels=EE,
    source="Prepare an Ubuntu VHD for Azure (create-upload-ubuntu), the fallback UEFI boot path",
    remedy=_REINSTALL,
    applies=_V2,
)
def has_loader(guest: Guest) -> Outcome:
    """A new VM has no boot entries in its firmware, so only /EFI/BOOT/BOOTX64.EFI is found."""
    esp = _esp(guest)
    if isinstance(esp, Outcome):
        return esp
    path = LOADERS[guest.profile.architecture]
    if esp.loader(guest.profile.architecture) is None:
        return failed(f"{path} is missing; below /EFI there is: {listed(esp.tree.names('/EFI')) or 'nothing'}")
    return passed(f"{esp.volume.name}: {path}")


@check(
    "PRT005",
    "Generation 2: the fallback boot loader is a program for the declared architecture",
    levels=EE,
    source="derived: firmware runs PE32+ programs of its own architecture only",
    remedy=_REINSTALL,
    applies=_V2,
)
def loader_architecture(guest: Guest) -> Outcome:
    """A boot loader of another architecture, or a damaged one, is not started."""
    esp = _esp(guest)
    if isinstance(esp, Outcome):
        return esp
    path = esp.loader(guest.profile.architecture)
    if path is None:
        return not_applicable("there is no fallback boot loader (see PRT004)")
    program = read_pe(esp.tree, path)
    if program is None:
        return failed(f"{path} is no EFI program")
    if not program.is_64 or program.machine != guest.profile.architecture:
        return failed(f"{path} is for {program.machine}, declared is {guest.profile.architecture}")
    return passed(f"{path} is PE32+ for {program.machine}")


@check(
    "PRT006",
    "Generation 2: the fallback boot loader finds its next stage and its configuration",
    levels=EW,
    source="Prepare an Ubuntu VHD for Azure (create-upload-ubuntu); derived",
    remedy=_REINSTALL,
    applies=_V2,
)
def loader_chain(guest: Guest) -> Outcome:
    """A boot loader that was copied from another disk searches for that disk's file system in vain.

    shim starts grubx64.efi from its own folder, and that reads a small grub.cfg, which searches for the file
    system that holds the real one.
    """
    esp = _esp(guest)
    if isinstance(esp, Outcome):
        return esp
    architecture = guest.profile.architecture
    path = esp.loader(architecture)
    if path is None:
        return not_applicable("there is no fallback boot loader (see PRT004)")
    program = esp.tree.read(path, _MAX_LOADER)
    # The .sbat section names the components of a signed loader (shim's SBAT.md).
    is_shim, is_grub = b"\nshim," in program, b"\ngrub," in program or b"GRUB" in program
    if is_shim:
        second = f"/EFI/BOOT/{_grub_name(architecture)}"
        fallback = f"/EFI/BOOT/{'fbx64.efi' if architecture == 'x64' else 'fbaa64.efi'}"
        if esp.tree.is_file(fallback) and not esp.tree.is_file(second):
            second = next(iter(_second_stages(esp, architecture)), second)
        if not esp.tree.is_file(second):
            return failed(f"{path} is shim, but {second} is missing")
    elif not is_grub:
        return not_applicable(f"{path} is neither shim nor GRUB")
    stubs = [
        each
        for folder in esp.tree.names("/EFI")
        for name in ("grub.cfg", "bootx64.cfg", "bootaa64.cfg")
        if esp.tree.is_file(each := f"/EFI/{folder}/{name}")
    ]
    if not stubs and esp.tree.is_file(_FLATCAR_MEMDISK):
        return passed(f"its configuration is inside {_grub_name(architecture)} ({_FLATCAR_MEMDISK})")
    if not stubs:
        # A GRUB made by grub-mkimage or grub-mkstandalone carries its configuration inside.
        return failed("there is no grub.cfg beside it") if is_shim else passed("its configuration is inside")
    return _judge_stubs(guest, esp, stubs)


def _grub_name(architecture: Architecture) -> str:
    return "grubx64.efi" if architecture == "x64" else "grubaa64.efi"


def _second_stages(esp: Esp, architecture: Architecture) -> list[str]:
    return [
        each
        for folder in esp.tree.names("/EFI")
        if esp.tree.is_file(each := f"/EFI/{folder}/{_grub_name(architecture)}")
    ]


def _judge_stubs(guest: Guest, esp: Esp, stubs: list[str]) -> Outcome:
    uuids = {each.probe.uuid for each in guest.layout.volumes if each.probe.uuid}
    labels = {each.probe.label for each in guest.layout.volumes if each.probe.label}
    lost = []
    for stub in stubs:
        for match in _SEARCH.finditer(esp.tree.text(stub, _MAX_STUB)):
            words = match["words"].split()
            plain = [each for each in words if not each.startswith("-")]
            value = plain[0].strip("\"'") if plain else ""
            by_uuid = match["kind"] == ".fs_uuid" or "--fs-uuid" in words or "-u" in words
            by_label = match["kind"] == ".fs_label" or "--label" in words or "-l" in words
            known = (by_uuid and value.lower() in uuids) or (by_label and value in labels)
            if value and "$" not in value and (by_uuid or by_label) and not known:
                lost.append(f"{stub} searches for {value}, which is not on this disk")
    return failed("; ".join(lost)) if lost else passed(listed(stubs))


@check(
    "PRT007",
    "Generation 1: the disk has boot code for BIOS",
    levels=EE,
    source=f"{_G2}, Boot: PCAT; derived",
    remedy={
        "": "Install GRUB for BIOS: grub2-install --target=i386-pc DISK (with a GPT: make a BIOS boot partition "
        "of 1 MiB, type EF02, first), or declare V2.",
        "debian": "apt-get install grub-pc; grub-install --target=i386-pc DISK",
        "ubuntu": "apt-get install grub-pc; grub-install --target=i386-pc DISK",
    },
    applies=_V1,
)
def bios_code(guest: Guest) -> Outcome:
    """A Generation 1 VM runs the code in the first sector of the disk.

    That code loads GRUB's core from behind the MBR or from a BIOS boot partition, or starts the active
    partition.
    """
    reason = _no_bios(guest)
    return passed("sector 0 has boot code") if reason is None else failed(reason)


def _no_bios(guest: Guest) -> str | None:
    """Why the disk cannot boot by BIOS; None when it can."""
    table = guest.table
    if table.scheme is None:
        return "there is no partition table"
    if not table.has_boot_code:
        return "sector 0 has no boot code"
    if table.is_gpt:
        if any(each.type == BIOS_BOOT_TYPE for each in table.partitions) or any(
            each.active for each in table.partitions
        ):
            return None
        return f"the GPT has no BIOS boot partition ({BIOS_BOOT_TYPE.upper()})"
    if table.grub_core or any(each.active for each in table.partitions):
        return None
    return "no partition is active, and sector 0 is not GRUB's"


@check(
    "PRT008",
    "the disk can boot in the declared generation",
    levels=EE,
    source="Troubleshoot shared images in Azure (different Hypervisor generation)",
    remedy="Set hyperVGeneration of the image definition to what the disk is made for.",
)
def generation(guest: Guest) -> Outcome:
    """A UEFI-only disk does not boot in V1, a BIOS-only one not in V2."""
    bios = _no_bios(guest) is None
    doubt = None
    try:
        uefi = guest.esp.loader(guest.profile.architecture) is not None
    except NotFoundError:
        uefi = False
    except ReadError as error:
        uefi, doubt = False, str(error)
    able = {"V1": bios, "V2": uefi}
    declared = guest.profile.hyper_v_generation
    if able[declared]:
        return passed(f"boots in {' and '.join(each for each, yes in able.items() if yes)}")
    if doubt is not None and declared == "V2":
        return unknown(doubt)
    other = "V1" if declared == "V2" else "V2"
    if able[other]:
        return failed(f"declared {declared}, but the disk boots only in {other}")
    return failed(f"declared {declared}, but the disk boots neither by BIOS nor by UEFI")


def _esp(guest: Guest) -> Esp | Outcome:
    try:
        return guest.esp
    except NotFoundError:
        return failed("there is no EFI system partition (see PRT003)")
