"""CLD001-CLD004: cloud-init."""

from gallery_operator.prerequisites.checks.scopes import GENERALIZED_ETC, listed
from gallery_operator.prerequisites.facts.cloud_init import DISABLED, UNITS, UNITS_24_3
from gallery_operator.prerequisites.facts.units import Unit, UnitState
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, WE, WW, Outcome, failed, not_applicable, passed
from gallery_operator.prerequisites.readers.base import ReadError
from gallery_operator.prerequisites.registry import check

_GEN = "Prepare Linux for imaging in Azure (create-upload-generic)"
_MISSING = not_applicable("cloud-init is not installed (see CLD001)")
_PIN = "printf 'datasource_list: [ Azure ]\\n' > /etc/cloud/cloud.cfg.d/91-azure_datasource.cfg"


def stages(guest: Guest) -> list[Unit]:
    """The units of all stages, by the names of the installed version."""
    modern = guest.units.state("cloud-init-main.service")
    names = UNITS if modern.state is UnitState.MISSING else UNITS_24_3
    return [guest.units.state(each) for each in names]


def enabled_reason(guest: Guest) -> str | None:
    """Why cloud-init will not run; None when it will."""
    if not guest.cloud_init.installed:
        return "cloud-init is not installed"
    if guest.tree.lexists(DISABLED):
        return f"{DISABLED} exists"
    idle = [each for each in stages(guest) if each.state is not UnitState.ENABLED]
    return listed([str(each) for each in idle]) if idle else None


@check(
    "CLD001",
    "cloud-init is installed",
    levels=WE,
    source=f"{_GEN} 5; Linux VM provisioning (should be the provisioning agent you choose)",
    remedy={
        "": "Install cloud-init.",
        "debian": "apt-get install cloud-init",
        "ubuntu": "apt-get install cloud-init",
        "rhel": "dnf install cloud-init",
        "sles": "zypper install cloud-init",
    },
    applies=GENERALIZED_ETC,
    cases=((EE, "Provisioning.Agent=cloud-init in waagent.conf"),),
)
def installed(guest: Guest) -> Outcome:
    """Azure recommends cloud-init for provisioning; the agent can do it on its own, with less."""
    if guest.cloud_init.program is not None:
        return passed(guest.cloud_init.program)
    wanted = guest.waagent.option("Provisioning.Agent", "auto") == "cloud-init"
    text = "there is no /usr/bin/cloud-init"
    if wanted:
        return failed(f"{text}, but {guest.waagent.where('Provisioning.Agent')} wants it", EE)
    return failed(text)


@check(
    "CLD002",
    "all stages of cloud-init start at boot",
    levels=EE,
    source=f"{_GEN} 5; Prepare a SUSE VHD for Azure 6",
    remedy="systemctl enable cloud-init-local cloud-init cloud-config cloud-final (since 24.3: cloud-init-main "
    "cloud-init-local cloud-init-network cloud-config cloud-final)",
    applies=GENERALIZED_ETC,
)
def enabled(guest: Guest) -> Outcome:
    """A missing stage leaves the VM without network, user or report to Azure."""
    if not guest.cloud_init.installed:
        return _MISSING
    idle = [each for each in stages(guest) if each.state is not UnitState.ENABLED]
    return failed(listed([str(each) for each in idle])) if idle else passed("all stages are enabled")


@check(
    "CLD003",
    "cloud-init is not switched off",
    levels=EE,
    source="cloud-init documentation, disable cloud-init; image-builder (CAPI) azure roles",
    remedy=f"rm -f {DISABLED}; systemctl unmask cloud-init-local cloud-init cloud-config cloud-final",
    applies=GENERALIZED_ETC,
)
def not_disabled(guest: Guest) -> Outcome:
    """Installers and image tools switch cloud-init off after the first boot; then no VM is provisioned."""
    if not guest.cloud_init.installed:
        return _MISSING
    found = [f"{DISABLED} exists"] if guest.tree.lexists(DISABLED) else []
    found += [str(each) for each in stages(guest) if each.state is UnitState.MASKED]
    return failed(listed(found)) if found else passed(f"no {DISABLED}, no unit is masked")


@check(
    "CLD004",
    "cloud-init's datasource_list has Azure",
    levels=EE,
    source=f"{_GEN} 7; Red Hat, Ubuntu (90_dpkg.cfg), SUSE articles; cloud-init ds-identify",
    remedy={"": _PIN, "debian": f"{_PIN}; rm -f /etc/cloud/cloud.cfg.d/90_dpkg.cfg"},
    applies=GENERALIZED_ETC,
    cases=((WW, "the list is missing, or has others beside Azure (and None)"),),
)
def datasource(guest: Guest) -> Outcome:
    """A list without Azure makes cloud-init never look there; a pinned one saves it the search at boot."""
    if not guest.cloud_init.installed:
        return _MISSING
    try:
        sources = guest.cloud_init.datasources()
    except ReadError as error:
        # cloud-init itself leaves such a file out with a warning; what the list then is, is a guess.
        raise type(error)(f"cloud-init's configuration: {error}") from error
    where = guest.cloud_init.sources.get("datasource_list", "")
    if sources is None:
        return failed("no file sets datasource_list; cloud-init looks for the platform at every boot", WW)
    text = f"{where}: datasource_list: [{', '.join(sources)}]"
    if "Azure" not in sources:
        return failed(text)
    return passed(text) if set(sources) <= {"Azure", "None"} else failed(text, WW)
