"""AGT006-AGT014: settings of the Azure Linux Agent."""

from gallery_operator.prerequisites.checks.cloud_init import enabled_reason
from gallery_operator.prerequisites.checks.scopes import ETC, GENERALIZED_ETC
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, II, IW, WE, WW, Outcome, failed, not_applicable, passed, unknown
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


_RENAMED = (2, 2, 45)


@check(
    "AGT007",
    "an old agent knows that cloud-init provisions",
    levels=II,
    source="Ubuntu (version >= 2.2.45), Oracle, SUSE 9 articles; WALinuxAgent, conf.py (reads neither key today)",
    remedy="Agents before 2.2.45: set Provisioning.Enabled=n and Provisioning.UseCloudInit=y in /etc/waagent.conf. "
    "Newer ones: remove both, and set Provisioning.Agent.",
    applies=GENERALIZED_ETC,
    cases=((EE, "an agent before 2.2.45 provisions beside cloud-init"),),
)
def legacy(guest: Guest) -> Outcome:
    """Before 2.2.45 two other settings said who provisions; newer agents do not read them at all."""
    agent = guest.waagent
    if agent.program is None:
        return _MISSING
    keys = [each for each in ("Provisioning.Enabled", "Provisioning.UseCloudInit") if each in agent.config]
    text = ", ".join(f"{agent.where(each)}: {each}={agent.config[each]}" for each in keys)
    if agent.version is None:
        return unknown("the version of the agent cannot be told")
    if agent.version >= _RENAMED:
        return failed(f"{text}: not read by this agent", II) if keys else passed("neither is set")
    if enabled_reason(guest) is not None:
        return _NOT_CLOUD_INIT
    if not agent.is_on("Provisioning.Enabled", default=True) and agent.is_on(
        "Provisioning.UseCloudInit", default=False
    ):
        return passed(text)
    return failed(text or "Provisioning.Enabled and Provisioning.UseCloudInit are not set", EE)


@check(
    "AGT010",
    "swap that the agent makes is on the resource disk",
    levels=WW,
    source="Prepare Linux for imaging in Azure (create-upload-generic) 6; CentOS 6, Oracle 6 articles",
    remedy="Set ResourceDisk.Format=y, ResourceDisk.Filesystem=ext4, ResourceDisk.MountPoint=/mnt/resource, "
    "ResourceDisk.EnableSwap=y, ResourceDisk.SwapSizeMB=2048 in /etc/waagent.conf",
    applies=ETC,
)
def agent_swap(guest: Guest) -> Outcome:
    """The agent makes swap space only where it also formats the disk, and of the size that is set."""
    agent = guest.waagent
    if agent.program is None:
        return _MISSING
    if not agent.is_on("ResourceDisk.EnableSwap", default=False):
        return not_applicable("the agent makes no swap space")
    point = "/mnt" if guest.family == "oracle" and guest.major == 6 else "/mnt/resource"
    wanted = {"Format": "y", "Filesystem": "ext4", "MountPoint": point}
    wrong = [f"ResourceDisk.{key}" for key, value in wanted.items() if agent.option(f"ResourceDisk.{key}", "") != value]
    size = agent.option("ResourceDisk.SwapSizeMB", "0")
    wrong += [] if size.isdecimal() and size.strip("0") else ["ResourceDisk.SwapSizeMB"]
    text = ", ".join(f"{agent.where(each)}: {each}={agent.config.get(each, '')}" for each in wrong)
    return failed(text) if wrong else passed(agent.where("ResourceDisk.EnableSwap"))


@check(
    "AGT012",
    "the agent that provisions makes new SSH host keys",
    levels=WW,
    source="Azure Linux Agent ; WALinuxAgent, config (Ubuntu, CoreOS: cloud-init, Ignition)",
    remedy="Set Provisioning.RegenerateSshHostKeyPair=y in /etc/waagent.conf",
    applies=GENERALIZED_ETC,
)
def host_keys(guest: Guest) -> Outcome:
    """Otherwise all VMs keep the host keys of the image."""
    agent = guest.waagent
    if agent.program is None:
        return _MISSING
    if enabled_reason(guest) is None:
        return not_applicable("cloud-init provisions, and makes the keys")
    text = agent.where("Provisioning.RegenerateSshHostKeyPair")
    return passed(text) if agent.is_on("Provisioning.RegenerateSshHostKeyPair", default=True) else failed(f"{text}: n")


@check(
    "AGT014",
    "disks may take 300 seconds to answer",
    levels=IW,
    source="Azure Linux Agent (agent-linux); LISA verify_disks_device_timeout_setting",
    remedy="Set OS.RootDeviceScsiTimeout=300 in /etc/waagent.conf",
    applies=ETC,
)
def scsi_timeout(guest: Guest) -> Outcome:
    """Remote disks may pause while Azure repairs something; a shorter patience makes the root read-only."""
    agent = guest.waagent
    if agent.program is None:
        return _MISSING
    option = "OS.RootDeviceScsiTimeout"
    text = f"{agent.where(option)}: {option}={agent.config.get(option, 'not set')}"
    return passed(text) if agent.option(option, "") == "300" else failed(text)
