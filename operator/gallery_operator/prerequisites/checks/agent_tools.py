"""AGT015-AGT020: what the agent needs beside itself."""

import re

from gallery_operator.prerequisites.checks.scopes import ETC, families
from gallery_operator.prerequisites.facts.packages import python_distribution
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, II, WW, Outcome, failed, not_applicable, passed, unknown
from gallery_operator.prerequisites.registry import LATEST, check

_GEN = "Prepare Linux for imaging in Azure (create-upload-generic) 5"
_MISSING = not_applicable("the agent is not installed (see AGT002)")
_TOOLS = ("openssl", "sfdisk", "fdisk", "mkfs", "parted", "chpasswd", "sudo", "sed", "grep", "ip")
_MAX_SCRIPT = 64 * 1024
_SHIPPED = {"rhel": (9, LATEST), "ubuntu": (22, LATEST), "debian": (13, LATEST), "sles": (15, LATEST)}


@check(
    "AGT015",
    "what the agent runs is installed",
    levels=EE,
    source="Linux VM provisioning; Azure Linux Agent, requirements",
    remedy={
        "": f"Install the missing programs ({', '.join(_TOOLS)}), and python3.",
        "debian": "apt-get install python3 openssl fdisk parted sudo iproute2 passwd",
        "ubuntu": "apt-get install python3 openssl fdisk parted sudo iproute2 passwd",
        "rhel": "dnf install python3 openssl util-linux parted sudo iproute shadow-utils",
        "sles": "zypper install python3 openssl util-linux parted sudo iproute2 shadow",
    },
    applies=ETC,
    cases=((WW, "Python is there, another program is missing"),),
)
def tools(guest: Guest) -> Outcome:
    """The agent is a Python program that calls others to format disks, set passwords and read the network."""
    program = guest.waagent.program
    if program is None:
        return _MISSING
    interpreter = _interpreter(guest, program)
    if interpreter is None:
        return unknown(f"{program} does not say which interpreter runs it")
    if not guest.tree.exists(interpreter) and guest.program(interpreter) is None:
        return failed(f"{program} is run by {interpreter}, which does not exist")
    missing = [each for each in _TOOLS if guest.program(each) is None]
    return failed(f"missing: {', '.join(missing)}", WW) if missing else passed(f"{interpreter} and all programs")


def _interpreter(guest: Guest, program: str) -> str | None:
    """What the first line names: a path, or the name that env(1) looks up."""
    first = guest.tree.pread(program, 256).split(b"\n", 1)[0].decode("utf-8", "replace")
    match = re.match(r"#!\s*(?P<path>\S+)(?:\s+(?:-S\s+)?(?P<name>[\w.]+))?", first)
    if match is None:
        return None
    return match["name"] if match["path"].endswith("/env") and match["name"] else match["path"]


@check(
    "AGT016",
    "python-pyasn1 is installed",
    levels=II,
    source=f"{_GEN}; CentOS, Oracle articles",
    remedy="yum install python-pyasn1",
    applies=families("centos", "oracle", versions={"centos": (6, 7), "oracle": (6, 7)}),
)
def pyasn1(guest: Guest) -> Outcome:
    """The agent of these releases reads certificates with it."""
    found = python_distribution(guest.tree, "pyasn1")
    paths = [found[1]] if found else guest.tree.glob("/usr/lib/python2*/site-packages/pyasn1")
    return passed(paths[0]) if paths else failed("there is no pyasn1 in Python's folders")


@check(
    "AGT017",
    "udev has Azure's rules for disks",
    levels=WW,
    source="Azure VM utilities (azure-virtual-machine-utilities); WALinuxAgent, config",
    remedy={
        "": "Install azure-vm-utils, or copy 66-azure-storage.rules and 99-azure-product-uuid.rules of the agent to "
        "/etc/udev/rules.d.",
        "debian": "apt-get install --reinstall waagent",
        "ubuntu": "apt-get install azure-vm-utils",
    },
    applies=ETC,
)
def disk_rules(guest: Guest) -> Outcome:
    """They make /dev/disk/azure/*, by which data disks and the resource disk are found."""
    rule = guest.udev_rule("80-azure-disk.rules")
    if rule:
        return passed(rule)
    names = ("66-azure-storage.rules", "99-azure-product-uuid.rules")
    missing = [each for each in names if guest.udev_rule(each) is None]
    return (
        failed(f"there is neither 80-azure-disk.rules nor {', '.join(missing)}")
        if missing
        else passed(", ".join(names))
    )


@check(
    "AGT018",
    "Hyper-V's daemons are installed",
    levels=WW,
    source=f"{_GEN}; Red Hat, Oracle, Debian articles; LISA verify_hv_kvp_daemon_installed",
    remedy={
        "": "Install hyperv-daemons.",
        "debian": "apt-get install hyperv-daemons",
        "ubuntu": "apt-get install linux-cloud-tools-azure",
        "rhel": "dnf install hyperv-daemons",
        "sles": "zypper install hyper-v",
    },
    applies=ETC,
    cases=((II, "Debian and Ubuntu, whose own images for Azure leave them out"),),
)
def daemons(guest: Guest) -> Outcome:
    """The host learns from them what runs in the VM, and freezes its file systems for a backup."""
    exchange = guest.program("hv_kvp_daemon", "hypervkvpd")
    snapshots = guest.program("hv_vss_daemon", "hypervvssd")
    if exchange and snapshots:
        return passed(f"{exchange}, {snapshots}")
    missing = [name for name, path in (("hv_kvp_daemon", exchange), ("hv_vss_daemon", snapshots)) if path is None]
    return failed(f"missing: {', '.join(missing)}", II if guest.family in ("debian", "ubuntu") else WW)


@check(
    "AGT019",
    "growpart and gdisk are installed",
    levels=WW,
    source=f"{_GEN}; Red Hat, Ubuntu articles",
    remedy={
        "": "Install cloud-utils-growpart and gdisk.",
        "debian": "apt-get install cloud-guest-utils gdisk",
        "ubuntu": "apt-get install cloud-guest-utils gdisk",
        "rhel": "dnf install cloud-utils-growpart gdisk",
        "sles": "zypper install growpart gptfdisk",
    },
    applies=ETC,
)
def growing(guest: Guest) -> Outcome:
    """With them the root grows into the OS disk that a deployment asks for."""
    missing = [name for name in ("growpart", "sgdisk") if guest.program(name) is None]
    return failed(f"missing: {', '.join(missing)}") if missing else passed("growpart, sgdisk")


@check(
    "AGT020",
    "azure-vm-utils is installed, where the distribution has it",
    levels=II,
    source="Azure VM utilities, table of distributions; osbuild, Azure images of Red Hat",
    remedy={
        "": "Install azure-vm-utils.",
        "debian": "apt-get install azure-vm-utils",
        "ubuntu": "apt-get install azure-vm-utils",
        "rhel": "dnf install azure-vm-utils",
        "sles": "zypper install azure-vm-utils",
    },
    applies=families("rhel", "ubuntu", "debian", "sles", versions=_SHIPPED),
)
def vm_utils(guest: Guest) -> Outcome:
    """Names for NVMe disks, and rules for accelerated networking."""
    if guest.family == "rhel" and guest.os_release.number[:2] < (9, 8):
        return not_applicable("RHEL has it from 9.8 on")
    found = guest.program("azure-nvme-id") or guest.udev_rule("80-azure-disk.rules")
    return passed(found) if found else failed("there is neither azure-nvme-id nor 80-azure-disk.rules")
