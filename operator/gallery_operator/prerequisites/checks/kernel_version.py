"""KRN014-KRN018, KRN027, KRN028: which kernel it is."""

import re

from gallery_operator.prerequisites.checks.scopes import RED_HAT, families
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, II, IW, WW, Outcome, failed, not_applicable, passed, unknown
from gallery_operator.prerequisites.readers.base import UnreadableError
from gallery_operator.prerequisites.registry import check

_GEN = "Prepare Linux for imaging in Azure (create-upload-generic)"
_UPDATE = {
    "": "Install a newer kernel of the distribution, and make it the default.",
    "debian": "apt-get update; apt-get install linux-image-cloud-amd64",
    "ubuntu": "apt-get update; apt-get install linux-azure",
    "rhel": "dnf update kernel",
    "centos": "yum update kernel",
    "oracle": "yum update kernel-uek",
    "sles": "zypper update kernel-default",
}
_Version = tuple[int, ...]

# Marketplace certification, SACK vulnerability patch verification: the approved kernel of each series. A series
# is what the numbers have in common with the kernel that is judged.
_SACK: dict[str, tuple[tuple[_Version, _Version], ...]] = {
    "el": (
        ((2, 6, 32), (2, 6, 32, 754, 15, 3)),
        ((3, 10, 0, 327), (3, 10, 0, 327, 79, 2)),
        ((3, 10, 0, 514), (3, 10, 0, 514, 66, 2)),
        ((3, 10, 0, 693), (3, 10, 0, 693, 50, 3)),
        ((3, 10, 0, 862), (3, 10, 0, 862, 34, 2)),
        ((3, 10, 0), (3, 10, 0, 957, 21, 3)),
        ((4, 18, 0), (4, 18, 0, 80, 4, 2)),
    ),
    "uek": (
        ((2, 6, 39), (2, 6, 39, 400, 312, 2)),
        ((3, 8, 13), (3, 8, 13, 118, 35, 2)),
        ((4, 1, 12), (4, 1, 12, 124, 28, 3)),
        ((4, 14, 35), (4, 14, 35, 1902, 2, 0)),
    ),
    "ubuntu": (
        ((4, 4, 0), (4, 4, 0, 151)),
        ((4, 15, 0), (4, 15, 0, 1049)),
        ((4, 18, 0), (4, 18, 0, 1023)),
        ((5, 0, 0), (5, 0, 0, 1010)),
    ),
    "sles": (
        ((3, 0, 101), (3, 0, 101, 108, 95, 2)),
        ((3, 12, 74), (3, 12, 74, 60, 64, 115, 1)),
        ((4, 4, 121), (4, 4, 121, 92, 114, 1)),
        ((4, 4, 180), (4, 4, 180, 4, 31, 1)),
        ((4, 12, 14), (4, 12, 14, 5, 30, 1)),
    ),
    "debian": (((3, 16), (3, 16, 68)), ((4, 9), (4, 9, 168)), ((4, 19), (4, 19, 37))),
    "flatcar": (((4, 19), (4, 19, 43)),),
}
_UPSTREAM: _Version = (5, 2)
"""The mend of CVE-2019-11477 came with Linux 5.2."""


def numbers(release: str) -> _Version:
    """Numbers of a kernel release, up to the first word: ``3.10.0-957.21.3.el7.x86_64`` ends at ``el7``."""
    found = []
    for each in re.split(r"[.\-+_~]", release)[:8]:
        if not each.isdecimal() or len(each) > 9:
            break
        found.append(int(each))
    if not found:
        raise UnreadableError(f"the release of kernel {release} has no numbers")
    return tuple(found)


@check(
    "KRN014",
    "the kernel is new enough for NUMA, or NUMA is off",
    levels=EE,
    source=f"{_GEN}, Linux kernel requirements; CentOS article (6.5); LISA verify_grub",
    remedy="Add numa=off to the kernel command line, or install a newer kernel.",
    applies=families(*RED_HAT, versions=dict.fromkeys(sorted(RED_HAT), (5, 6))),
)
def numa(guest: Guest) -> Outcome:
    """Kernels before 2.6.37 fail on larger sizes; Red Hat mended its own in 2.6.32-504."""
    version = numbers(guest.kernel.version)
    if version >= (2, 6, 37) or (version[:3] == (2, 6, 32) and version >= (2, 6, 32, 504)):
        return passed(guest.kernel.version)
    if "off" in guest.boot.values("numa"):
        return passed(f"{guest.boot.source}: numa=off")
    return failed(f"kernel {guest.kernel.version} without numa=off")


@check(
    "KRN015",
    "the kernel is 3.8 or newer",
    levels=IW,
    source=f"{_GEN}, Linux kernel requirements",
    remedy=_UPDATE,
)
def recommended(guest: Guest) -> Outcome:
    """Microsoft recommends 3.8 or newer for its drivers of Hyper-V."""
    version = guest.kernel.version
    return passed(version) if numbers(version) >= (3, 8) else failed(f"kernel {version}")


@check(
    "KRN016",
    "the kernel is not UEK2",
    levels=EE,
    source="Prepare an Oracle Linux VHD for Azure, notes",
    remedy="Install Oracle's Red Hat compatible kernel, or UEK3 or newer, and make it the default.",
    applies=families("oracle"),
)
def uek2(guest: Guest) -> Outcome:
    """UEK2 has no drivers for Azure."""
    version = guest.kernel.version
    old = version.startswith("2.6.39") and "uek" in version
    return failed(f"kernel {version} is UEK2") if old else passed(version)


@check(
    "KRN017",
    "the kernel is the one tuned for Azure",
    levels=WW,
    source="Prepare an Ubuntu VHD for Azure (manual steps); Endorsed Linux distributions (endorsed-distros)",
    remedy={
        "": "Install the distribution's kernel for Azure.",
        "ubuntu": "apt-get install linux-azure; apt-get purge linux-image-generic",
        "sles": "zypper install kernel-azure",
        "debian": "apt-get install linux-image-cloud-amd64",
    },
    applies=families("ubuntu", "sles", "debian"),
    cases=((II, "SLES (kernel-azure) and Debian (cloud kernel), where it is one of several good choices"),),
)
def tuned(guest: Guest) -> Outcome:
    """It has the newest drivers for Azure and leaves out what no VM has."""
    version = guest.kernel.version
    word = "cloud" if guest.family == "debian" else "azure"
    if word in version or "azure" in version:
        return passed(version)
    return failed(f"kernel {version} is not the {word} one", WW if guest.family == "ubuntu" else II)


@check(
    "KRN018",
    "RHEL and CentOS up to 6.3: Microsoft's integration services are installed",
    levels=EE,
    source=f"{_GEN}; Prepare a CentOS VHD for Azure",
    remedy="Install the Linux Integration Services for Hyper-V, or (better) a newer release.",
    applies=families("rhel", "centos", versions={"rhel": (5, 6), "centos": (5, 6)}),
)
def integration_services(guest: Guest) -> Outcome:
    """These kernels came without drivers for Hyper-V."""
    if guest.os_release.number[:2] > (6, 3):
        return not_applicable("only up to 6.3")
    found = guest.tree.glob("/lib/modules/*/extra/microsoft-hyper-v*") or guest.tree.glob(
        "/lib/modules/*/weak-updates/microsoft-hyper-v*"
    )
    return passed(found[0]) if found else failed("there is no /lib/modules/*/extra/microsoft-hyper-v")


@check(
    "KRN027",
    "the kernel has watchdogs and CIFS",
    levels=IW,
    source="LISA verify_essential_kernel_modules",
    remedy=_UPDATE,
)
def options(guest: Guest) -> Outcome:
    """A watchdog restarts a VM that hangs; CIFS mounts Azure Files."""
    config = guest.kernel_config
    if config is None:
        return unknown(f"the configuration of kernel {guest.kernel.version} is not installed")
    missing = [each for each in ("CONFIG_WATCHDOG", "CONFIG_CIFS") if config.get(each) not in ("y", "m")]
    return failed(f"{', '.join(missing)} not set") if missing else passed("CONFIG_WATCHDOG, CONFIG_CIFS")


@check(
    "KRN028",
    "the kernel is mended against SACK panic, and against the panic of early RHEL 7 kernels",
    levels=IW,
    source="Marketplace certification, SACK vulnerability patch verification, and test 52",
    remedy=_UPDATE,
)
def mended(guest: Guest) -> Outcome:
    """CVE-2019-11477 lets anybody who can send packets stop the kernel; certification refuses such images."""
    release = guest.kernel.version
    version = numbers(release)
    if version >= _UPSTREAM:
        return passed(release)
    wanted = _approved(guest.family, release, version)
    if wanted is None:
        return unknown(f"certification's table has no kernel of the series of {release}")
    text = ".".join(map(str, wanted))
    return passed(f"{release}, approved from {text}") if version >= wanted else failed(f"{release}, wanted {text}")


def _approved(family: str, release: str, version: _Version) -> _Version | None:
    """The approved kernel of the same series; the longest series that fits counts."""
    table = "uek" if "uek" in release else "el" if family in RED_HAT else "sles" if family == "opensuse" else family
    fitting = [(series, least) for series, least in _SACK.get(table, ()) if version[: len(series)] == series]
    return max(fitting, key=lambda each: len(each[0]), default=(None, None))[1]
