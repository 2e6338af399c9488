"""DPR002, DPR007, DPR008, DPR010, DPR012: traces of the machine the image was made on."""

import re

from gallery_operator.prerequisites.checks.scopes import GENERALIZED_ETC, listed
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import IW, WW, Outcome, failed, passed
from gallery_operator.prerequisites.registry import check

_GEN = "Prepare Linux for imaging in Azure (create-upload-generic) 8"
_CREDENTIALS = (
    ".azure/msal_token_cache.json",
    ".azure/accessTokens.json",
    ".azure/service_principal_entries.json",
    ".aws/credentials",
    ".config/gcloud/credentials.db",
    ".config/gcloud/application_default_credentials.json",
    ".kube/config",
    ".docker/config.json",
    ".netrc",
    ".git-credentials",
)
_GENERIC = re.compile(r"(localhost(\.localdomain)?|localhost[46]?.*|debian|ubuntu|opensuse|linux|vm|flatcar)?$")
_SUDOERS = ("waagent", "90-cloud-init-users")


@check(
    "DPR002",
    "the agent's logs are gone",
    levels=WW,
    source=f"{_GEN}; WALinuxAgent, deprovision",
    remedy="waagent -deprovision -force; rm -rf /var/log/azure /var/log/waagent.log*",
    applies=GENERALIZED_ETC,
)
def agent_logs(guest: Guest) -> Outcome:
    """Logs of an earlier VM name it, its subscription and its extensions."""
    found = guest.tree.glob("/var/log/waagent.log*")
    found += ["/var/log/azure"] if guest.tree.names("/var/log/azure") else []
    return failed(listed(found)) if found else passed("none")


@check(
    "DPR007",
    "nobody's private keys are left",
    levels=WW,
    source=f"{_GEN} (sensitive data)",
    remedy="rm -f /root/.ssh/id_* /root/.ssh/known_hosts /home/*/.ssh/id_* /home/*/.ssh/known_hosts",
    applies=GENERALIZED_ETC,
)
def private_keys(guest: Guest) -> Outcome:
    """A private key in an image is known to whoever may use the image."""
    found = []
    for _, home in guest.users.homes():
        names = guest.tree.names(f"{home}/.ssh")
        found += [f"{home}/.ssh/{name}" for name in names if name.startswith(("id_", "known_hosts"))]
    return failed(listed(found)) if found else passed("none")


@check(
    "DPR008",
    "nobody's cloud credentials are left",
    levels=WW,
    source=f"{_GEN} (sensitive data); derived",
    remedy="Remove the files, and revoke what they held.",
    applies=GENERALIZED_ETC,
)
def credentials(guest: Guest) -> Outcome:
    """Tools keep tokens and passwords in the home directory of whoever made the image."""
    found = [
        f"{home}/{name}"
        for _, home in guest.users.homes()
        for name in _CREDENTIALS
        if guest.tree.is_file(f"{home}/{name}")
    ]
    return failed(listed(found)) if found else passed("none")


@check(
    "DPR010",
    "the host name is a generic one",
    levels=IW,
    source="Azure Linux Agent (resets the host name to localhost.localdomain)",
    remedy="rm -f /etc/hostname",
    applies=GENERALIZED_ETC,
)
def hostname(guest: Guest) -> Outcome:
    """Until provisioning sets another, every VM logs and announces itself under this name."""
    text = (guest.tree.text_or_none("/etc/hostname") or "").strip()
    name = text.splitlines()[0].strip() if text else ""
    return passed(name or "none") if _GENERIC.match(name) else failed(f"/etc/hostname: {name}")


@check(
    "DPR012",
    "no rights of an earlier VM's users are left in sudoers.d",
    levels=WW,
    source="WALinuxAgent, conf_sudoer; derived",
    remedy=f"rm -f {' '.join(f'/etc/sudoers.d/{name}' for name in _SUDOERS)}",
    applies=GENERALIZED_ETC,
)
def sudoers(guest: Guest) -> Outcome:
    """Provisioning gives its user these rights; an old file gives them to whoever takes that name."""
    found = [f"/etc/sudoers.d/{name}" for name in _SUDOERS if guest.tree.is_file(f"/etc/sudoers.d/{name}")]
    return failed(listed(found)) if found else passed("none")
