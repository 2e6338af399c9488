"""AGT001-AGT005: the Azure Linux Agent, and who provisions."""

from gallery_operator.prerequisites.checks.cloud_init import enabled_reason
from gallery_operator.prerequisites.checks.scopes import ETC, GENERALIZED_ETC, listed
from gallery_operator.prerequisites.facts.agent import UNITS
from gallery_operator.prerequisites.facts.units import UnitState
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import (
    EE,
    WE,
    WW,
    Outcome,
    failed,
    not_applicable,
    passed,
    unknown,
)
from gallery_operator.prerequisites.registry import check

_GEN = "Prepare Linux for imaging in Azure (create-upload-generic)"
_PROV = "Linux VM provisioning (provisioning)"
_MINIMUM = (2, 2, 53, 1)
_MINIMUM_WITH_UPDATES = (2, 1, 7)
_INSTALL = {
    "": "Install the Azure Linux Agent from the distribution's repository: package WALinuxAgent or walinuxagent.",
    "debian": "apt-get install waagent cloud-init",
    "ubuntu": "apt-get install walinuxagent cloud-init",
    "rhel": "dnf install WALinuxAgent cloud-init",
    "sles": "zypper install python-azure-agent cloud-init",
    "opensuse": "zypper install python-azure-agent cloud-init",
}


@check(
    "AGT001",
    "something provisions the VM: cloud-init or the agent",
    levels=EE,
    source=f"Bring a Linux image (imaging); {_PROV}; Generalized images without an agent (no-agent)",
    remedy=_INSTALL,
    applies=GENERALIZED_ETC,
)
def provisioner(guest: Guest) -> Outcome:
    """A generalized image gets its user, key and host name from a provisioner that reports to Azure.

    Without one, deployment times out. Who has made a reporter of his own ignores this row.
    """
    found = [each for each in (guest.cloud_init.program, guest.waagent.program) if each]
    return passed(" and ".join(found)) if found else failed("neither cloud-init nor waagent is installed")


@check(
    "AGT002",
    "the Azure Linux Agent is installed",
    levels=WE,
    source=f"{_GEN} 5; Disable or remove the Linux Agent (disable-provisioning)",
    remedy=_INSTALL,
    applies=ETC,
)
def installed(guest: Guest) -> Outcome:
    """Without the agent extensions fail, and the VM must be created with provisionVMAgent=false."""
    program = guest.waagent.program
    return passed(program) if program else failed("there is no /usr/sbin/waagent")


@check(
    "AGT003",
    "the agent starts at boot",
    levels=WW,
    source=f"{_GEN} 5; Red Hat, SUSE, Oracle articles",
    remedy={
        "": "systemctl enable waagent",
        "debian": "systemctl enable walinuxagent",
        "ubuntu": "systemctl enable walinuxagent",
    },
    applies=ETC,
    cases=((EE, "the agent is the one that provisions a generalized image"),),
)
def enabled(guest: Guest) -> Outcome:
    """An agent that does not run neither provisions nor handles extensions."""
    if guest.waagent.program is None:
        return not_applicable("the agent is not installed (see AGT002)")
    started, states = guest.units.any_enabled(*UNITS)
    if started:
        return passed(str(next(each for each in states if each.state is UnitState.ENABLED)))
    there = listed([str(each) for each in states if each.state is not UnitState.MISSING])
    text = there or f"there is no unit {' or '.join(UNITS)}"
    generalized = guest.profile.os_state == "Generalized"
    return failed(text, EE if generalized and _agent_provisions(guest) else WW)


def _agent_provisions(guest: Guest) -> bool:
    mode = guest.waagent.option("Provisioning.Agent", "auto")
    return mode == "waagent" or (mode == "auto" and enabled_reason(guest) is not None)


@check(
    "AGT004",
    "the agent is recent enough",
    levels=WE,
    source="Minimum version support for VM agents in Azure; LISA verify_waagent_version",
    remedy={
        "": "Update the package of the agent.",
        "debian": "apt-get install --only-upgrade waagent",
        "ubuntu": "apt-get install --only-upgrade walinuxagent",
        "rhel": "dnf update WALinuxAgent",
    },
    applies=ETC,
)
def version(guest: Guest) -> Outcome:
    """Azure supports agents from 2.2.53.1 on, or older ones that update themselves."""
    agent = guest.waagent
    if agent.program is None:
        return not_applicable("the agent is not installed (see AGT002)")
    if agent.version is None:
        return unknown("the version of the agent cannot be told")
    text = f"{'.'.join(map(str, agent.version))} ({agent.version_source})"
    if agent.version >= _MINIMUM:
        return passed(text)
    updates = agent.is_on("AutoUpdate.Enabled", default=True)
    if updates and agent.version >= _MINIMUM_WITH_UPDATES:
        return passed(f"{text}, updates itself")
    return failed(f"{text}, wanted {'.'.join(map(str, _MINIMUM))}")


@check(
    "AGT005",
    "Provisioning.Agent agrees with cloud-init",
    levels=EE,
    source=f"{_GEN} 7; WALinuxAgent, azurelinuxagent/pa/provision/default.py",
    remedy="Set Provisioning.Agent=cloud-init (or auto) in /etc/waagent.conf and enable cloud-init; or set it to "
    "waagent and remove cloud-init.",
    applies=GENERALIZED_ETC,
    cases=((WW, "Provisioning.Agent=disabled while cloud-init provisions"),),
)
def coherent(guest: Guest) -> Outcome:
    """The agent stops with an error when it is to provision while cloud-init is enabled.

    And nobody provisions when it leaves that to a cloud-init which does not run.
    """
    agent = guest.waagent
    if agent.program is None:
        return not_applicable("the agent is not installed (see AGT002)")
    mode = agent.option("Provisioning.Agent", "auto")
    where = agent.where("Provisioning.Agent")
    why_not = enabled_reason(guest)
    text = f"{where}: Provisioning.Agent={mode}"
    if mode == "auto":
        return passed(text)
    if mode == "cloud-init":
        return passed(text) if why_not is None else failed(f"{text}, but {why_not}")
    if mode == "waagent":
        return passed(text) if why_not is not None else failed(f"{text}, but cloud-init is enabled")
    if mode == "disabled":
        return failed(text, WW) if why_not is None else failed(f"{text}, and {why_not}")
    return failed(f"{text} is none of auto, cloud-init, waagent, disabled")
