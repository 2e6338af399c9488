"""What a case of the table of rows is made of: changes to a good machine."""

import dataclasses
from collections.abc import Callable
from typing import Any

from tests.unit.prerequisites.machine import (
    LINUX_TYPE,
    Machine,
    MemoryDisk,
    vhd_footer,
)

from gallery_operator.prerequisites.container import MIB, ContainerFacts
from gallery_operator.prerequisites.model import Status

FAIL, WARN, INFO, PASS = Status.FAIL, Status.WARN, Status.INFO, Status.PASS
UNKNOWN, NOT_APPLICABLE = Status.UNKNOWN, Status.NOT_APPLICABLE
ATTENTION = {FAIL, WARN, INFO}

Change = Callable[[Machine], object]


@dataclasses.dataclass(frozen=True)
class Case:
    """A change to a good machine, and what a row says about it at both levels."""

    id: str
    name: str
    change: Change
    default: Status
    strict: Status | None = None
    says: str = ""
    profile: dict[str, Any] = dataclasses.field(default_factory=dict)


V1 = {"hyper_v_generation": "V1"}
DATA = {"disk_role": "data"}
ARM = {"architecture": "Arm64"}
SPECIALIZED = {"os_state": "Specialized"}


def vhd(**changes: object) -> Change:
    return lambda machine: machine.vhd(**changes)


def footer(**changes: int) -> Change:
    return lambda machine: machine.vhd(footer=vhd_footer(machine.size, **changes))


def sized(size: int, **changes: object) -> Change:
    def change(machine: Machine) -> None:
        machine.container = ContainerFacts("raw", size, **changes)  # type: ignore[arg-type]

    return change


def container(kind: str, **changes: object) -> Change:
    return lambda m: setattr(m, "container", ContainerFacts(kind, m.size, m.size, **changes))  # type: ignore[arg-type]


def partition(*parts: tuple[str, int, int]) -> Change:
    return lambda machine: machine.partition(list(parts))


def write(path: str, content: str | bytes = "") -> Change:
    return lambda machine: machine.write(path, content)


def remove(*paths: str) -> Change:
    return lambda machine: [machine.remove(path) for path in paths]


def edit(path: str, old: str, new: str) -> Change:
    return lambda machine: machine.replace(path, old, new)


def both(*changes: Change) -> Change:
    return lambda machine: [change(machine) for change in changes]


def bad_primary(machine: Machine) -> None:
    machine.disk.write(512 + 60, b"\xff")


def bad_backup(machine: Machine) -> None:
    machine.disk.write(machine.size - 512 + 60, b"\xff")


def no_table(machine: Machine) -> None:
    machine.disk = MemoryDisk(machine.size)


def sectors_4096(machine: Machine) -> None:
    no_table(machine)
    machine.disk.write(4096, b"EFI PART")


def bios_without_code(machine: Machine) -> None:
    machine.bios()
    machine.disk.write(0, bytes(16))


def gpt_for_bios(machine: Machine, *extra: tuple[str, int, int]) -> None:
    machine.partition([*extra, (LINUX_TYPE, 65, 1000)])
    machine.disk.write(0, b"\xeb\x63\x90GRUB ")


def no_cloud_init(machine: Machine) -> None:
    machine.remove("/usr/bin/cloud-init")


def no_agent(machine: Machine) -> None:
    machine.remove("/usr/sbin/waagent")


def ntfs(machine: Machine) -> None:
    machine.partition([(LINUX_TYPE, 65, 1000)])
    machine.disk.write(65 * MIB, b"\xeb\x52\x90NTFS    ".ljust(2048, b"\0"))
    machine.root_partition = 0


def only_swap(machine: Machine) -> None:
    machine.partition([(LINUX_TYPE, 65, 1000)])
    machine.disk.write(65 * MIB + 1024, bytes(1024))
    machine.root_partition = 0


KEY = "ssh-ed25519 AAAA test\n"
USER = "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/bash\n"
UEFI = "/EFI/BOOT/BOOTX64.EFI"
