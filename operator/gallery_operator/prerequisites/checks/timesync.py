"""TIM001-TIM005: time synchronisation."""

import re

from gallery_operator.prerequisites.checks.scopes import ETC, listed
from gallery_operator.prerequisites.facts.units import UnitState
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import IE, II, IW, WE, WW, Outcome, failed, not_applicable, passed
from gallery_operator.prerequisites.registry import check

_SERVICES = (
    "chronyd.service",
    "chrony.service",
    "ntpd.service",
    "ntp.service",
    "ntpsec.service",
    "systemd-timesyncd.service",
)


@check(
    "TIM001",
    "a time service starts at boot",
    levels=WW,
    source="Time sync for Linux VMs in Azure (time-sync)",
    remedy={
        "": "Install chrony and enable it: systemctl enable chronyd",
        "debian": "apt-get install chrony",
        "ubuntu": "apt-get install chrony",
        "rhel": "dnf install chrony; systemctl enable chronyd",
        "sles": "zypper install chrony; systemctl enable chronyd",
    },
    applies=ETC,
)
def service(guest: Guest) -> Outcome:
    """Clocks of VMs drift, most of all when the host freezes them for maintenance."""
    started, states = guest.units.any_enabled(*_SERVICES)
    if started:
        return passed(str(next(each for each in states if each.state is UnitState.ENABLED)))
    there = [str(each) for each in states if each.state is not UnitState.MISSING]
    return failed(listed(there) or f"there is none of {', '.join(_SERVICES)}")


_ARTICLE = "Time sync for Linux VMs in Azure (time-sync)"
_REFCLOCK = "refclock PHC /dev/ptp_hyperv poll 3 dpoll -2 offset 0 stratum 2"
_NO_CHRONY = not_applicable("chrony is not installed")


@check(
    "TIM002",
    "chrony takes the time from the host",
    levels=WE,
    source=f"{_ARTICLE}; LISA verify_timesync_ptp",
    remedy={
        "": f"echo '{_REFCLOCK}' >> /etc/chrony.conf",
        "debian": f"echo '{_REFCLOCK}' > /etc/chrony/conf.d/azure.conf",
        "ubuntu": f"echo '{_REFCLOCK}' > /etc/chrony/conf.d/azure.conf",
    },
    applies=ETC,
    cases=((IE, "distributions other than RHEL 8 and later and Ubuntu 19.10 and later"),),
)
def host_clock(guest: Guest) -> Outcome:
    """The host's clock is exact and needs no network; ptp0 may be the clock of a network card instead."""
    if guest.chrony.path is None:
        return _NO_CHRONY
    levels = WE if _asked(guest) else IE
    clocks = [each for each in guest.chrony.all("refclock") if each.value.upper().startswith("PHC")]
    wrong = [each for each in clocks if re.match(r"PHC\s+/dev/ptp\d", each.value, re.IGNORECASE)]
    if wrong:
        return failed(f"{wrong[0]}: must be /dev/ptp_hyperv", levels)
    right = [each for each in clocks if "/dev/ptp_hyperv" in each.value]
    return passed(str(right[0])) if right else failed(f"{guest.chrony.path}: no refclock PHC /dev/ptp_hyperv", levels)


def _asked(guest: Guest) -> bool:
    """Whether the article asks for it on this release."""
    number = guest.os_release.number
    return (guest.family == "rhel" and number >= (8,)) or (guest.family == "ubuntu" and number >= (19, 10))


@check(
    "TIM003",
    "chrony corrects the clock at once, whenever it is wrong",
    levels=IW,
    source=f"{_ARTICLE}; image-builder (CAPI) azure roles",
    remedy="Set makestep 1.0 -1 in chrony.conf",
    applies=ETC,
)
def step(guest: Guest) -> Outcome:
    """A VM that was frozen for maintenance wakes up in the past; slewing that away takes hours."""
    if guest.chrony.path is None:
        return _NO_CHRONY
    found = guest.chrony.all("makestep")
    if not found:
        return failed(f"{guest.chrony.path}: no makestep")
    return passed(str(found[-1])) if found[-1].value.split()[1:2] == ["-1"] else failed(str(found[-1]))


@check(
    "TIM004",
    "udev names the host's clock /dev/ptp_hyperv",
    levels=WW,
    source=_ARTICLE,
    remedy='echo \'SUBSYSTEM=="ptp", ATTR{clock_name}=="hyperv", SYMLINK += "ptp_hyperv"\' > '
    "/etc/udev/rules.d/99-ptp_hyperv.rules",
    applies=ETC,
)
def clock_rule(guest: Guest) -> Outcome:
    """Its number changes with the cards of the VM; the name does not."""
    usual = guest.udev_rule("50-udev-default.rules", "99-ptp_hyperv.rules")
    for path in [*([usual] if usual else []), *guest.udev_rules()]:
        if "ptp_hyperv" in guest.text_of(path):
            return passed(path)
    return failed("no rule of udev makes /dev/ptp_hyperv")


@check(
    "TIM005",
    "only one service sets the clock",
    levels=II,
    source=_ARTICLE,
    remedy="systemctl disable systemd-timesyncd",
    applies=ETC,
)
def one_service(guest: Guest) -> Outcome:
    """Two of them pull the clock in turns."""
    timesyncd = guest.units.state("systemd-timesyncd.service")
    started, _ = guest.units.any_enabled("chronyd.service", "chrony.service")
    both = started and timesyncd.state is UnitState.ENABLED
    return failed(f"{timesyncd}, and chrony too") if both else passed("one or none")
