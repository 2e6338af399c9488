"""DPR001, DPR003-DPR006, DPR009: nothing of the machine the image was made on is left."""

from gallery_operator.prerequisites.checks.scopes import GENERALIZED_ETC, listed
from gallery_operator.prerequisites.facts.users import Password
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import (
    EE,
    WE,
    WW,
    Outcome,
    failed,
    gravest,
    passed,
    unknown,
)
from gallery_operator.prerequisites.readers.base import Kind
from gallery_operator.prerequisites.registry import check

_GEN = "Prepare Linux for imaging in Azure (create-upload-generic)"
_DEPROVISION = "waagent -deprovision+user -force"
_STATE = "/var/lib/waagent"
_HISTORY = (".bash_history", ".sh_history", ".ksh_history", ".zsh_history", ".ash_history", ".history")
_SMALL = 1024
_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")


@check(
    "DPR001",
    "the agent has no state of an earlier VM",
    levels=WW,
    source="Prepare an Ubuntu VHD for Azure; Red Hat kickstart; WALinuxAgent",
    remedy=f"{_DEPROVISION} (or: rm -rf {_STATE})",
    applies=GENERALIZED_ETC,
    cases=((EE, f"{_STATE}/provisioned: the agent will not provision"),),
)
def agent_state(guest: Guest) -> Outcome:
    """With the file "provisioned" the agent takes every new VM for one that is provisioned already."""
    names = guest.tree.names(_STATE)
    if "provisioned" in names:
        return failed(f"{_STATE}/provisioned exists", EE)
    return failed(f"{_STATE} has {listed(names)}") if names else passed(f"{_STATE} is empty or absent")


@check(
    "DPR003",
    "there is no shell history",
    levels=EE,
    source=f"{_GEN} 8; Marketplace certification 1 and test 48; LISA verify_bash_history_is_empty",
    remedy="rm -f /root/.*_history /home/*/.*_history; export HISTSIZE=0",
    applies=GENERALIZED_ETC,
    cases=((WE, "at most 1 KiB"),),
)
def history(guest: Guest) -> Outcome:
    """Histories hold passwords, names and addresses; certification refuses more than 1 KiB."""
    found = []
    for _, home in guest.users.homes():
        for name in _HISTORY:
            path = f"{home}/{name}"
            size = guest.tree.stat(path).size if guest.tree.is_file(path) else 0
            if size:
                found.append(failed(f"{path} has {size} bytes", EE if size > _SMALL else WE))
    return gravest(found, EE) if found else passed("no shell history")


@check(
    "DPR004",
    "root has no password",
    levels=WE,
    source="Azure Linux Agent, Provisioning.DeleteRootPassword; Red Hat kickstart (usermod root -p '!!')",
    remedy="usermod --password '*LOCK*' root (never passwd -d root: that leaves an empty password)",
    applies=GENERALIZED_ETC,
)
def root_password(guest: Guest) -> Outcome:
    """A root password in an image is one password for every VM."""
    root = guest.users.root()
    if root is None:
        return failed("there is no account root in /etc/passwd")
    if root.password is Password.NONE:
        return unknown("root has no line in /etc/shadow")
    text = f"the password of root is {root.password}"
    return passed(text) if root.password is Password.LOCKED else failed(text)


@check(
    "DPR005",
    "no account has a password",
    levels=EE,
    source=f"{_GEN} (remove users); Marketplace certification, default credentials; LISA verify_no_pre_exist_users",
    remedy=f"{_DEPROVISION}; or for each account: usermod --lock NAME",
    applies=GENERALIZED_ETC,
)
def passwords(guest: Guest) -> Outcome:
    """A default password is the same on every VM; an empty one lets everybody in."""
    found = []
    for each in guest.users.accounts:
        if each.password is Password.EMPTY:
            found.append(f"{each.name} has an empty password")
        elif each.password is Password.USABLE and each.name != "root":
            found.append(f"{each.name} has a password")
    return failed(listed(found)) if found else passed(f"{len(guest.users.accounts)} accounts, none with one")


@check(
    "DPR006",
    "there are no accounts of people",
    levels=WW,
    source=f"{_GEN}; Azure Linux Agent (-deprovision+user)",
    remedy=f"{_DEPROVISION}; or: userdel -r NAME",
    applies=GENERALIZED_ETC,
)
def people(guest: Guest) -> Outcome:
    """Whoever made the image stays a user of every VM; Azure creates the user that the deployment names."""
    found = [f"{each.name} ({each.uid})" for each in guest.users.people()]
    return failed(listed(found)) if found else passed("no account of a person")


@check(
    "DPR009",
    "the machine-id is empty",
    levels=WW,
    source="machine-id(5); cloud-init clean --machine-id; image-builder (CAPI) sysprep",
    remedy="truncate -s 0 /etc/machine-id; rm -f /var/lib/dbus/machine-id; ln -s /etc/machine-id "
    "/var/lib/dbus/machine-id",
    applies=GENERALIZED_ETC,
)
def machine_id(guest: Guest) -> Outcome:
    """VMs with one machine-id get one DHCP identity, and their logs cannot be told apart."""
    found = []
    for path in _MACHINE_IDS:
        if not guest.tree.lexists(path) or guest.tree.stat(path, follow=False).kind is not Kind.FILE:
            continue
        if guest.tree.text(path, 4096).strip() not in ("", "uninitialized"):
            found.append(f"{path} is set")
    return failed(listed(found)) if found else passed("no machine-id")
