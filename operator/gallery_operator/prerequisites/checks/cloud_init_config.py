"""CLD005-CLD009, CLD015-CLD019: cloud-init's settings, and what its last run left."""

from typing import Any

from gallery_operator.prerequisites.checks.scopes import ETC, GENERALIZED_ETC, families, listed
from gallery_operator.prerequisites.facts.cloud_init import FOLDER, load_yaml
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, II, IW, WW, Outcome, failed, not_applicable, passed, unknown
from gallery_operator.prerequisites.readers.base import ReadError
from gallery_operator.prerequisites.registry import check

_GEN = "Prepare Linux for imaging in Azure (create-upload-generic)"
_MISSING = not_applicable("cloud-init is not installed (see CLD001)")
_SWAP = f"{FOLDER}/00-azure-swap.cfg"
_WRITTEN = (
    "/etc/netplan/50-cloud-init.yaml",
    "/etc/NetworkManager/system-connections/cloud-init-*.nmconnection",
    "/etc/systemd/network/10-cloud-init-*.network",
    "/etc/network/interfaces.d/50-cloud-init*",
    "/etc/ssh/sshd_config.d/50-cloud-init.conf",
)


def _at(content: Any, *keys: str) -> Any:
    """A setting below others, or None."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def _where(guest: Guest, key: str) -> str:
    return guest.cloud_init.sources.get(key, f"no file in {FOLDER}")


@check(
    "CLD005",
    "cloud-init does not set up more network than the first card",
    levels=II,
    source=f"{_GEN} 7; Red Hat, Oracle, SUSE, CentOS articles (Ubuntu's does not ask for it)",
    remedy=f"printf 'datasource:\\n  Azure:\\n    apply_network_config: false\\n' > {FOLDER}/92-azure-network.cfg",
    applies=GENERALIZED_ETC,
)
def network(guest: Guest) -> Outcome:
    """With apply_network_config: false the distribution's own configuration of the card stays."""
    if not guest.cloud_init.installed:
        return _MISSING
    value = _at(guest.cloud_init.setting("datasource"), "Azure", "apply_network_config")
    text = f"{_where(guest, 'datasource')}: apply_network_config is {'not set' if value is None else value}"
    return passed(text) if value is False else failed(text)


@check(
    "CLD006",
    "cloud-init before 23 formats and mounts the resource disk",
    levels=WW,
    source=f"{_GEN} 7; Red Hat article, note for 8 and 9 (not required for cloud-init 23 and newer)",
    remedy="Add mounts and disk_setup to cloud_init_modules in /etc/cloud/cloud.cfg",
    applies=GENERALIZED_ETC,
)
def modules(guest: Guest) -> Outcome:
    """Both modules must run early for it; the distribution's list may lack them."""
    if not guest.cloud_init.installed:
        return _MISSING
    version = guest.cloud_init.version
    if version is not None and version >= (23,):
        return not_applicable(f"cloud-init {'.'.join(map(str, version))} needs no such list")
    listing = guest.cloud_init.setting("cloud_init_modules")
    names = {str(each[0] if isinstance(each, list) and each else each).replace("-", "_") for each in listing or []}
    missing = [each for each in ("mounts", "disk_setup") if each not in names]
    where = _where(guest, "cloud_init_modules")
    return failed(f"{where}: cloud_init_modules lacks {', '.join(missing)}") if missing else passed(where)


@check(
    "CLD007",
    "the output of cloud-init's programs is kept",
    levels=II,
    source=f"{_GEN} 7; Red Hat, Oracle, SUSE articles",
    remedy=f"echo \"output: {{all: '| tee -a /var/log/cloud-init-output.log'}}\" > {FOLDER}/05_logging.cfg",
    applies=GENERALIZED_ETC,
)
def output(guest: Guest) -> Outcome:
    """What failed in a script at first boot is in /var/log/cloud-init-output.log, or nowhere."""
    if not guest.cloud_init.installed:
        return _MISSING
    value = guest.cloud_init.setting("output")
    text = f"{_where(guest, 'output')}: output is {'set' if value else 'not set'}"
    return passed(text) if value else failed(text)


@check(
    "CLD008",
    "cloud-init reports its progress to the host",
    levels=II,
    source="Using cloud-init in Azure, telemetry; Ubuntu article (Red Hat's writes Reporting, which is not read)",
    remedy=f"printf 'reporting:\\n  logging:\\n    type: log\\n  telemetry:\\n    type: hyperv\\n' > "
    f"{FOLDER}/10-azure-kvp.cfg",
    applies=GENERALIZED_ETC,
)
def telemetry(guest: Guest) -> Outcome:
    """Azure's support sees by it how far a VM came that did not come up."""
    if not guest.cloud_init.installed:
        return _MISSING
    if _at(guest.cloud_init.setting("reporting"), "telemetry", "type") == "hyperv":
        return passed(_where(guest, "reporting"))
    if guest.cloud_init.setting("Reporting"):
        return failed(f"{_where(guest, 'Reporting')}: the key must be reporting, in small letters")
    return failed(f"{_where(guest, 'reporting')}: reporting.telemetry.type is not hyperv")


@check(
    "CLD009",
    "cloud-init is 21.2 or newer",
    levels=IW,
    source="Using cloud-init in Azure",
    remedy={
        "": "Update cloud-init from the distribution's repository.",
        "debian": "apt-get install --only-upgrade cloud-init",
        "ubuntu": "apt-get install --only-upgrade cloud-init",
        "rhel": "dnf update cloud-init",
        "sles": "zypper update cloud-init",
    },
    applies=GENERALIZED_ETC,
)
def version(guest: Guest) -> Outcome:
    """From 21.2 on it provisions without the DVD, and retries where older ones give up."""
    if not guest.cloud_init.installed:
        return _MISSING
    found = guest.cloud_init.version
    if found is None:
        return unknown("the version of cloud-init cannot be told")
    text = ".".join(map(str, found))
    return passed(text) if found >= (21, 2) else failed(f"cloud-init {text}")


@check(
    "CLD015",
    "cloud-init's logs are gone",
    levels=IW,
    source="Prepare a Red Hat, Ubuntu VHD for Azure (cloud-init clean --logs)",
    remedy="cloud-init clean --logs",
    applies=GENERALIZED_ETC,
)
def logs(guest: Guest) -> Outcome:
    """They tell of the machine the image was made on, and mislead whoever looks for a fault of a new VM."""
    found = guest.tree.glob("/var/log/cloud-init*.log*")
    return failed(listed(found)) if found else passed("none")


@check(
    "CLD016",
    "files that cloud-init wrote for an earlier VM are gone",
    levels=WW,
    source="cloud-init, clean --configs; Prepare an Ubuntu VHD for Azure (netplan)",
    remedy=f"cloud-init clean --configs all, or: rm -f {' '.join(_WRITTEN)}",
    applies=GENERALIZED_ETC,
)
def written(guest: Guest) -> Outcome:
    """A network configuration of another VM is for another card; ssh's may allow what the new one must not."""
    found = [path for pattern in _WRITTEN for path in guest.tree.glob(pattern)]
    return failed(listed(found)) if found else passed("none")


@check(
    "CLD017",
    "cloud-init makes the user that a deployment asks for",
    levels=EE,
    source="derived: cloud-init, users and groups (the list replaces the default user unless it has default)",
    remedy="Add - default to users: in /etc/cloud, and keep system_info: default_user: of the distribution's cloud.cfg",
    applies=GENERALIZED_ETC,
)
def users(guest: Guest) -> Outcome:
    """A list of users without default, or no default user at all, leaves the VM without its administrator."""
    if not guest.cloud_init.installed:
        return _MISSING
    names = guest.cloud_init.setting("users")
    where = _where(guest, "users")
    if isinstance(names, list) and "default" not in names:
        return failed(f"{where}: users: has no default")
    if not names:
        return failed(f"{where}: users: is {'not set' if names is None else 'empty'}")
    default = _at(guest.cloud_init.setting("system_info"), "default_user")
    if not _at(default, "name"):
        return failed(f"{_where(guest, 'system_info')}: system_info has no default_user with a name")
    return passed(f"{where}: default")


@check(
    "CLD018",
    "the swap that cloud-init makes is described rightly",
    levels=WW,
    source=f"{_GEN} 6; Red Hat article (whose Kickstart examples are indented wrongly)",
    remedy=f"Write {_SWAP} as the article has it: disk_setup, fs_setup (ephemeral0.1, ephemeral0.2), mounts.",
    applies=ETC,
)
def swap(guest: Guest) -> Outcome:
    """A mistake in this file makes cloud-init leave all of it out."""
    if not guest.tree.is_file(_SWAP):
        return not_applicable(f"there is no {_SWAP}")
    try:
        content = load_yaml(guest.tree.text(_SWAP), _SWAP)
    except ReadError as error:
        return failed(str(error))
    systems = _at(content, "fs_setup")
    devices = [str(_at(each, "device")) for each in systems] if isinstance(systems, list) else []
    missing = [each for each in ("ephemeral0.1", "ephemeral0.2") if each not in devices]
    return failed(f"{_SWAP}: fs_setup lacks {', '.join(missing)}") if missing else passed(_SWAP)


@check(
    "CLD019",
    "packages come from Azure's mirror",
    levels=II,
    source="Prepare an Ubuntu VHD for Azure (90-azure.cfg)",
    remedy=f"Set system_info: package_mirrors: with http://azure.archive.ubuntu.com/ubuntu/ in {FOLDER}/90-azure.cfg",
    applies=families("ubuntu", state="Generalized"),
)
def mirrors(guest: Guest) -> Outcome:
    """cloud-init writes the sources anew at first boot, with the mirrors that it is told."""
    if not guest.cloud_init.installed:
        return _MISSING
    listing = str(_at(guest.cloud_init.setting("system_info"), "package_mirrors") or "")
    listing += str(_at(guest.cloud_init.setting("apt"), "primary") or "")
    text = _where(guest, "system_info")
    return passed(text) if "azure" in listing else failed(f"{text}: package_mirrors name no mirror of Azure")
