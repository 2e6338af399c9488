"""AGT006, AGT008, AGT009, AGT011, AGT013: settings of the Azure Linux Agent."""

from gallery_operator.prerequisites.checks.cloud_init import enabled_reason
from gallery_operator.prerequisites.checks.scopes import ETC
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import WE, WW, Outcome, failed, not_applicable, passed
from gallery_operator.prerequisites.registry import AppliesTo, check

_GEN = "Prepare Linux for imaging in Azure (create-upload-generic) 7; Red Hat, Oracle, SUSE, Ubuntu articles"
_MISSING = not_applicable("the agent is not installed (see AGT002)")
_NOT_CLOUD_INIT = not_applicable("cloud-init does not run here")
_SPECIALIZED = AppliesTo(
    disk_roles=frozenset({"os"}), os_states=frozenset({"Specialized"}), except_distributions=frozenset({"flatcar"})
)


def _off(guest: Guest, option: str, *, default: bool) -> Outcome:
    """An option that must be ``n`` where cloud-init does the same work."""
    if guest.waagent.program is None:
        return _MISSING
    if enabled_reason(guest) is not None:
        return _NOT_CLOUD_INIT
    text = f"{guest.waagent.where(option)}: {option}={guest.waagent.config.get(option, 'default')}"
    return failed(text) if guest.waagent.is_on(option, default=default) else passed(text)


def _on(guest: Guest, *options: str) -> Outcome:
    """Options that must not be ``n``."""
    if guest.waagent.program is None:
        return _MISSING
    found = [each for each in options if not guest.waagent.is_on(each, default=True)]
    return failed(", ".join(f"{guest.waagent.where(each)}: {each}=n" for each in found)) if found else passed("not off")


@check(
    "AGT006",
    "specialized: the agent does not provision",
    levels=WW,
    source="Prepare Linux for imaging in Azure (create-upload-generic) 7; Red Hat article",
    remedy="Set Provisioning.Agent=disabled in /etc/waagent.conf",
    applies=_SPECIALIZED,
)
def not_provisioning(guest: Guest) -> Outcome:
    """A specialized image keeps its identity; an agent that provisions would change it."""
    if guest.waagent.program is None:
        return _MISSING
    mode = guest.waagent.option("Provisioning.Agent", "auto")
    text = f"{guest.waagent.where('Provisioning.Agent')}: Provisioning.Agent={mode}"
    return passed(text) if mode == "disabled" else failed(text)


@check(
    "AGT008",
    "the agent leaves the resource disk to cloud-init",
    levels=WW,
    source=_GEN,
    remedy="Set ResourceDisk.Format=n in /etc/waagent.conf",
    applies=ETC,
)
def resource_disk(guest: Guest) -> Outcome:
    """Two programs that format and mount the same disk get in each other's way."""
    return _off(guest, "ResourceDisk.Format", default=False)


@check(
    "AGT009",
    "the agent leaves swap to cloud-init",
    levels=WW,
    source=_GEN,
    remedy="Set ResourceDisk.EnableSwap=n in /etc/waagent.conf",
    applies=ETC,
)
def swap(guest: Guest) -> Outcome:
    """cloud-init makes swap space on the resource disk where it is asked to."""
    return _off(guest, "ResourceDisk.EnableSwap", default=False)


@check(
    "AGT011",
    "the agent updates itself",
    levels=WE,
    source="Azure Linux Agent (agent-linux); Marketplace certification test 51",
    remedy="Set AutoUpdate.Enabled=y (and remove AutoUpdate.UpdateToLatestVersion=n) in /etc/waagent.conf",
    applies=ETC,
)
def updates(guest: Guest) -> Outcome:
    """Azure mends its agent through these updates; distributions often switch them off."""
    return _on(guest, "AutoUpdate.Enabled", "AutoUpdate.UpdateToLatestVersion")


@check(
    "AGT013",
    "the agent handles extensions",
    levels=WW,
    source="WALinuxAgent, configuration (Extensions.Enabled)",
    remedy="Set Extensions.Enabled=y in /etc/waagent.conf",
    applies=ETC,
)
def extensions(guest: Guest) -> Outcome:
    """Backup, monitoring and password reset are extensions."""
    return _on(guest, "Extensions.Enabled")
