"""CLD010-CLD014: what installers and earlier boots left for cloud-init."""

import re

from gallery_operator.prerequisites.checks.scopes import GENERALIZED_ETC, listed
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, WE, WW, Outcome, failed, gravest, not_applicable, passed
from gallery_operator.prerequisites.registry import check

_CLOUD = "/var/lib/cloud"
_IDENTIFY = "/etc/cloud/ds-identify.cfg"
_FOLDER = "/etc/cloud/cloud.cfg.d"
_INSTALLER = {
    "99-installer.cfg": EE,
    "50-curtin-networking.cfg": WW,
    "curtin-preserve-sources.cfg": WW,
    "subiquity-disable-cloudinit-networking.cfg": WW,
}
_MISSING = not_applicable("cloud-init is not installed (see CLD001)")


@check(
    "CLD010",
    "ds-identify is not told to look elsewhere",
    levels=EE,
    source="Prepare an Ubuntu VHD for Azure; cloud-init, ds-identify",
    remedy=f"rm -f {_IDENTIFY}",
    applies=GENERALIZED_ETC,
)
def identify(guest: Guest) -> Outcome:
    """ds-identify decides at each boot whether cloud-init runs, and which platform it looks for."""
    if not guest.cloud_init.installed:
        return _MISSING
    if not guest.tree.is_file(_IDENTIFY):
        return passed(f"no {_IDENTIFY}")
    found = []
    for number, line in guest.tree.lines(_IDENTIFY):
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "datasource" and "azure" not in value.lower():
            found.append(f"{_IDENTIFY}:{number} {line}")
        if key == "policy" and re.match(r"disabled\b", value):
            found.append(f"{_IDENTIFY}:{number} {line}")
    return failed("; ".join(found)) if found else passed(f"{_IDENTIFY} does not")


@check(
    "CLD011",
    "the installer's settings for cloud-init are gone",
    levels=EE,
    source="Prepare an Ubuntu VHD for Azure (create-upload-ubuntu)",
    remedy=f"rm -f {' '.join(f'{_FOLDER}/{name}' for name in _INSTALLER)}",
    applies=GENERALIZED_ETC,
    cases=((WW, "files about network and package sources"),),
)
def installer(guest: Guest) -> Outcome:
    """Ubuntu's installer pins the datasource to None, so that no VM is ever provisioned."""
    found = [
        failed(path, levels) for name, levels in _INSTALLER.items() if guest.tree.is_file(path := f"{_FOLDER}/{name}")
    ]
    return gravest(found, EE) if found else passed("none")


@check(
    "CLD012",
    "cloud-init has no state of an earlier VM",
    levels=WE,
    source="Prepare an Ubuntu VHD for Azure; Red Hat kickstart; cloud-init clean",
    remedy="cloud-init clean --logs --seed",
    applies=GENERALIZED_ETC,
)
def state(guest: Guest) -> Outcome:
    """cloud-init starts anew for a new instance, but old data (keys, passwords) stays readable in the image."""
    found = [
        f"{_CLOUD}/{name}"
        for name in ("instance", "instances", "data", "sem")
        if guest.tree.lexists(f"{_CLOUD}/{name}")
        and (guest.tree.is_link(f"{_CLOUD}/{name}") or guest.tree.names(f"{_CLOUD}/{name}"))
    ]
    return failed(listed(found)) if found else passed(f"{_CLOUD} is clean")


@check(
    "CLD013",
    "cloud-init starts anew on a new VM",
    levels=EE,
    source="cloud-init, manual_cache_clean",
    remedy="Remove manual_cache_clean from /etc/cloud, and: rm -f /var/lib/cloud/instance/manual-clean",
    applies=GENERALIZED_ETC,
)
def cache(guest: Guest) -> Outcome:
    """With manual_cache_clean it takes every VM for the one it ran on first."""
    if not guest.cloud_init.installed:
        return _MISSING
    if guest.cloud_init.setting("manual_cache_clean") in (True, 1, "true", "yes"):
        return failed(f"{guest.cloud_init.sources['manual_cache_clean']}: manual_cache_clean is true")
    marker = f"{_CLOUD}/instance/manual-clean"
    return failed(f"{marker} exists") if guest.tree.exists(marker) else passed("manual_cache_clean is not set")


@check(
    "CLD014",
    "there is no seed for another platform",
    levels=WW,
    source="Prepare a Red Hat, SUSE VHD for Azure (cloud-init clean --seed)",
    remedy=f"rm -rf {_CLOUD}/seed/*",
    applies=GENERALIZED_ETC,
    cases=((EE, "a NoCloud seed, and the datasource NoCloud is allowed"),),
)
def seed(guest: Guest) -> Outcome:
    """A seed of NoCloud is found before Azure is looked for."""
    found = [name for name in guest.tree.names(f"{_CLOUD}/seed") if guest.tree.names(f"{_CLOUD}/seed/{name}")]
    if not found:
        return passed(f"{_CLOUD}/seed is empty")
    sources = guest.cloud_init.datasources() if guest.cloud_init.installed else []
    allowed = sources is None or "NoCloud" in sources
    nocloud = any(name.startswith("nocloud") for name in found)
    return failed(f"{_CLOUD}/seed has {listed(found)}", EE if nocloud and allowed else WW)
