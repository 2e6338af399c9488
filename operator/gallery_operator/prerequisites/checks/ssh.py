"""SSH001-SSH007: the way in."""

from gallery_operator.prerequisites.checks.scopes import ETC, GENERALIZED_ETC, listed
from gallery_operator.prerequisites.facts.units import UnitState
from gallery_operator.prerequisites.facts.users import Password
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, WE, WW, Outcome, failed, not_applicable, passed
from gallery_operator.prerequisites.registry import AppliesTo, check

_SSHD = ("/usr/sbin/sshd", "/usr/bin/sshd", "/sbin/sshd", "/usr/lib/ssh/sshd")
_UNITS = ("ssh.service", "sshd.service", "ssh.socket", "sshd.socket")
_GEN = "Prepare Linux for imaging in Azure (create-upload-generic)"
_KEY_FILES = ("authorized_keys", "authorized_keys2")
_PLACEHOLDER = "Please login as the user"
_INSTALL = {
    "": "Install OpenSSH's server and enable it: systemctl enable sshd",
    "debian": "apt-get install openssh-server; systemctl enable ssh",
    "ubuntu": "apt-get install openssh-server; systemctl enable ssh",
    "rhel": "dnf install openssh-server; systemctl enable sshd",
    "sles": "zypper install openssh; systemctl enable sshd",
}


@check("SSH001", "sshd is installed", levels=EE, source=f"{_GEN} 4", remedy=_INSTALL, applies=ETC)
def installed(guest: Guest) -> Outcome:
    """SSH is the way into a Linux VM; an image that is locked down on purpose ignores this row."""
    for path in _SSHD:
        if guest.tree.is_file(path):
            return passed(path)
    return failed("there is no /usr/sbin/sshd")


@check("SSH002", "sshd starts at boot", levels=EE, source=f"{_GEN} 4", remedy=_INSTALL, applies=ETC)
def enabled(guest: Guest) -> Outcome:
    """A service that is installed but not enabled leaves the VM unreachable."""
    started, states = guest.units.any_enabled(*_UNITS)
    if started:
        unit = next(each for each in states if each.state is UnitState.ENABLED)
        return passed(str(unit))
    there = [str(each) for each in states if each.state is not UnitState.MISSING]
    return failed(listed(there) or "there is no unit ssh.service, sshd.service, ssh.socket or sshd.socket")


@check(
    "SSH004",
    "there are no SSH host keys",
    levels=EE,
    source="Azure Linux Agent, deprovision; Disable or remove the Linux Agent",
    remedy="rm -f /etc/ssh/ssh_host_*",
    applies=GENERALIZED_ETC,
    cases=((WW, "they are made anew at the first boot (cloud-init's ssh_deletekeys, or the agent's setting)"),),
)
def host_keys(guest: Guest) -> Outcome:
    """Host keys in an image are the same secret on every VM, known to whoever has the image."""
    found = guest.tree.glob("/etc/ssh/ssh_host_*key*")
    if not found:
        return passed("no /etc/ssh/ssh_host_*key*")
    renewed = _renewed_by(guest)
    if renewed is None:
        return failed(f"{listed(found)}; nothing makes them anew")
    return failed(f"{listed(found)}; {renewed} makes them anew", WW)


def _renewed_by(guest: Guest) -> str | None:
    """What replaces the host keys at the first boot."""
    if guest.cloud_init.installed and guest.cloud_init.setting("ssh_deletekeys") not in (False, 0, "no", "0"):
        return "cloud-init (ssh_deletekeys)"
    agent = guest.waagent
    if (
        agent.program
        and agent.option("Provisioning.Agent", "auto") in ("waagent", "auto")
        and agent.is_on("Provisioning.RegenerateSshHostKeyPair", default=True)
    ):
        return "waagent (Provisioning.RegenerateSshHostKeyPair)"
    return None


@check(
    "SSH006",
    "nobody has an authorized_keys file",
    levels=EE,
    source=f"{_GEN} (remove public keys); LISA verify_no_pre_exist_users",
    remedy="rm -f /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys",
    applies=GENERALIZED_ETC,
)
def authorized_keys(guest: Guest) -> Outcome:
    """A key left in an image opens every VM made from it."""
    found = []
    homes = list(guest.users.homes())
    for _, home in homes:
        for name in _KEY_FILES:
            path = f"{home}/.ssh/{name}"
            if guest.tree.is_file(path):
                # cloud-init writes a line for root that only says whom to log in as.
                keys = [line for _, line in guest.tree.lines(path) if _PLACEHOLDER not in line]
                if keys:
                    found.append(f"{path} has {len(keys)} keys" if len(keys) > 1 else f"{path} has a key")
    if not homes:
        return not_applicable("there are no accounts")
    return failed(listed(found)) if found else passed(f"{len(homes)} home directories")


@check(
    "SSH003",
    "sshd ends dead connections: ClientAliveInterval is 30 to 235 seconds",
    levels=WE,
    source="Prepare a Red Hat VHD for Azure (180); Marketplace certification 8 and test 46; LISA "
    "verify_client_active_interval",
    remedy="printf 'ClientAliveInterval 180\\n' > /etc/ssh/sshd_config.d/50-azure.conf (if sshd_config includes that "
    "folder), or set it in /etc/ssh/sshd_config.",
    applies=ETC,
)
def alive(guest: Guest) -> Outcome:
    """Azure's load balancer forgets idle connections after four minutes."""
    if not any(guest.tree.is_file(path) for path in _SSHD):
        return not_applicable("sshd is not installed (see SSH001)")
    value, where = guest.sshd.get("clientaliveinterval", ("0", "the default"))
    seconds = _seconds(value)
    text = f"{where}: ClientAliveInterval {value}"
    return passed(text) if seconds is not None and 30 <= seconds <= 235 else failed(text)


def _seconds(value: str) -> int | None:
    """A time of sshd_config(5): a number with an optional unit."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (value[:-1], value[-1].lower()) if value[-1:].lower() in units else (value, "s")
    return int(number) * units[unit] if number.isdecimal() else None


@check(
    "SSH005",
    "something makes new SSH host keys",
    levels=EE,
    source="derived: sshd does not start without host keys",
    remedy="Install cloud-init, or enable the distribution's sshd-keygen service.",
    applies=GENERALIZED_ETC,
)
def key_maker(guest: Guest) -> Outcome:
    """A generalized image has no host keys, so the first boot must make them."""
    maker = _maker(guest)
    return passed(maker) if maker else failed("neither cloud-init, nor waagent, nor an sshd-keygen unit")


def _maker(guest: Guest) -> str | None:
    """What makes host keys where there are none."""
    if guest.cloud_init.installed:
        return "cloud-init"
    if guest.waagent.program and guest.waagent.is_on("Provisioning.RegenerateSshHostKeyPair", default=True):
        return "waagent (Provisioning.RegenerateSshHostKeyPair)"
    for folder in ("/usr/lib/systemd/system", "/lib/systemd/system", "/etc/systemd/system"):
        for name in guest.tree.names(folder):
            if "keygen" in name and "ssh" in name:
                return f"{folder}/{name}"
    return None


@check(
    "SSH007",
    "specialized: somebody can log in",
    levels=WW,
    source="Azure Compute Gallery, generalized and specialized images",
    remedy="Before the disk is taken: give a user a key in ~/.ssh/authorized_keys (or a password), and keep "
    "/etc/ssh/ssh_host_* (ssh-keygen -A makes them).",
    applies=AppliesTo(os_states=frozenset({"Specialized"}), except_distributions=frozenset({"flatcar"})),
)
def way_in(guest: Guest) -> Outcome:
    """A specialized VM gets neither user nor key from its deployment: what is on the disk is all there is."""
    keys = [
        path
        for _, home in guest.users.homes()
        for name in _KEY_FILES
        if guest.tree.is_file(path := f"{home}/.ssh/{name}") and guest.tree.stat(path).size
    ]
    hashes = [each.name for each in guest.users.accounts if each.can_log_in and each.password is Password.USABLE]
    if not keys and not hashes:
        return failed("nobody has a key or a password")
    hosts = guest.tree.glob("/etc/ssh/ssh_host_*_key")
    if not hosts and _maker(guest) is None:
        return failed("there are no SSH host keys, and nothing makes them")
    return passed(listed(keys or [f"a password of {each}" for each in hashes]))
