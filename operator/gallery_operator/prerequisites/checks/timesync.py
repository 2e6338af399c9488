"""TIM001: time synchronisation."""

from gallery_operator.prerequisites.checks.scopes import ETC, listed
from gallery_operator.prerequisites.facts.units import UnitState
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import WW, Outcome, failed, passed
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
