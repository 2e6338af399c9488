"""DPR011, DPR013-DPR020: identities, registrations and traces that tools leave."""

import re

from gallery_operator.prerequisites.checks.scopes import GENERALIZED_ETC, SUSE, families, listed
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import II, IW, WE, WW, Outcome, failed, passed
from gallery_operator.prerequisites.registry import AppliesTo, check

_SEEDS = ("/var/lib/systemd/random-seed", "/var/lib/systemd/credential.secret")
_AGENT = (
    "/etc/systemd/system/*-network-setup.service",
    "/usr/lib/systemd/system/*-network-setup.service",
    *(
        f"{root}/systemd/system/{unit}.service.d/{name}.conf"
        for root in ("/etc", "/usr/lib")
        for unit in ("waagent", "walinuxagent")
        for name in ("10-Slice", "11-CPUAccounting", "12-CPUQuota", "13-MemoryAccounting")
    ),
    "/usr/lib/systemd/system/azure-walinuxagent-logcollector.slice",
    "/etc/systemd/system/azure-walinuxagent-logcollector.slice",
)
_INSTALLER = (
    "/root/anaconda-ks.cfg",
    "/root/original-ks.cfg",
    "/root/preseed.cfg",
    "/root/autoinst.xml",
    "/var/log/installer/*",
)
_SUDOERS = "/etc/sudoers"
_MAX_JOURNALS = 50


@check(
    "DPR011",
    "random seed and credential secret are gone",
    levels=IW,
    source="derived: systemd, building images safely (BUILDING_IMAGES)",
    remedy=f"rm -f {' '.join(_SEEDS)}",
    applies=GENERALIZED_ETC,
)
def seeds(guest: Guest) -> Outcome:
    """All VMs would start with the same random numbers, and share the secret that seals credentials."""
    found = [each for each in _SEEDS if guest.tree.is_file(each)]
    return failed(listed(found)) if found else passed("none")


@check(
    "DPR013",
    "SUSE: sudo asks for the user's own password",
    levels=WE,
    source="Prepare a SUSE VHD for Azure 13 (important step); LISA verify_default_targetpw",
    remedy="sed -i -E 's/^(Defaults[[:space:]]+targetpw|ALL[[:space:]]+ALL=)/# \\1/' /etc/sudoers",
    applies=families(*SUSE),
)
def target_password(guest: Guest) -> Outcome:
    """With targetpw sudo asks for root's password, which no VM has."""
    found = []
    # SUSE's own file is in /usr/etc since it moved defaults there; one in /etc comes before it.
    main = next((each for each in (_SUDOERS, "/usr/etc/sudoers") if guest.tree.is_file(each)), None)
    paths = [main] if main else []
    paths += [each for each in guest.tree.glob("/etc/sudoers.d/*") if guest.tree.is_file(each)]
    for path in paths:
        for number, line in guest.tree.lines(path):
            if re.match(r"Defaults\s+targetpw\b|ALL\s+ALL\s*=\s*\(ALL\)\s*ALL\b", line):
                found.append(f"{path}:{number} {line}")
    return failed(listed(found)) if found else passed("no targetpw")


@check(
    "DPR014",
    "units that the agent wrote on an earlier VM are gone",
    levels=II,
    source="WALinuxAgent, deprovision",
    remedy="waagent -deprovision -force; rm -rf /etc/systemd/system/{waagent,walinuxagent}.service.d",
    applies=GENERALIZED_ETC,
)
def agent_units(guest: Guest) -> Outcome:
    """The agent writes them anew as it needs them."""
    found = [path for pattern in _AGENT for path in guest.tree.glob(pattern)]
    return failed(listed(found)) if found else passed("none")


@check(
    "DPR015",
    "the system is not registered with Red Hat",
    levels=WW,
    source="Prepare a Red Hat VHD for Azure (unregister)",
    remedy="subscription-manager unregister; subscription-manager clean",
    applies=families("rhel", state="Generalized"),
)
def red_hat(guest: Guest) -> Outcome:
    """All VMs would be one and the same system to Red Hat, and hold its keys."""
    found = guest.tree.glob("/etc/pki/consumer/*.pem") + guest.tree.glob("/etc/pki/entitlement/*")
    return failed(listed(found)) if found else passed("none")


@check(
    "DPR016",
    "the system is not registered with SUSE",
    levels=WW,
    source="Prepare a SUSE VHD for Azure 3; derived",
    remedy="SUSEConnect --cleanup; rm -f /etc/zypp/credentials.d/SCCcredentials",
    applies=families("sles", state="Generalized"),
)
def suse(guest: Guest) -> Outcome:
    """All VMs would be one and the same system to SUSE; an image that brings its subscription ignores this row."""
    path = "/etc/zypp/credentials.d/SCCcredentials"
    return failed(f"{path} exists") if guest.tree.is_file(path) else passed("none")


@check(
    "DPR017",
    "the installer's answers and logs are gone",
    levels=WW,
    source="derived: they hold password hashes and names",
    remedy="rm -rf /root/anaconda-ks.cfg /root/original-ks.cfg /var/log/installer",
    applies=GENERALIZED_ETC,
)
def installer(guest: Guest) -> Outcome:
    """A kickstart or preseed file tells the root password's hash, and how the system was made."""
    found = [path for pattern in _INSTALLER for path in guest.tree.glob(pattern)]
    return failed(listed(found)) if found else passed("none")


@check(
    "DPR018",
    "logs of the machine that made the image are gone",
    levels=II,
    source="image-builder (CAPI) sysprep; derived",
    remedy="truncate -s 0 /var/log/wtmp /var/log/btmp /var/log/lastlog; rm -rf /var/log/journal/*",
    applies=GENERALIZED_ETC,
)
def old_logs(guest: Guest) -> Outcome:
    """Who logged in, from where, and the journal of a machine that no longer is."""
    paths = ("/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog")
    found = [each for each in paths if guest.tree.is_file(each) and guest.tree.stat(each).size]
    journals = [each for each in guest.tree.names("/var/log/journal") if re.fullmatch(r"[0-9a-f]{32}", each)]
    found += [f"/var/log/journal/{each}" for each in journals[:_MAX_JOURNALS]]
    return failed(listed(found)) if found else passed("none")


@check(
    "DPR019",
    "names of this machine for storage are gone",
    levels=II,
    source="derived: iSCSI and NVMe tell hosts apart by them",
    remedy="rm -f /etc/iscsi/initiatorname.iscsi /etc/nvme/hostnqn /etc/nvme/hostid /etc/hostid",
    applies=GENERALIZED_ETC,
)
def storage_names(guest: Guest) -> Outcome:
    """Two VMs with one name write to the same disks of a storage system."""
    found = [path for path in ("/etc/nvme/hostnqn", "/etc/nvme/hostid", "/etc/hostid") if guest.tree.is_file(path)]
    path = "/etc/iscsi/initiatorname.iscsi"
    # Debian ships a file that says GenerateName=yes: no name yet.
    if guest.tree.is_file(path) and any(line.startswith("InitiatorName=") for _, line in guest.tree.lines(path)):
        found.append(path)
    return failed(listed(found)) if found else passed("none")


@check(
    "DPR020",
    "specialized: VMs from the image share its host name",
    levels=II,
    source="Azure Compute Gallery, generalized and specialized images",
    remedy="Expect the same host name on each VM; set another after deployment: hostnamectl set-hostname NAME",
    applies=AppliesTo(os_states=frozenset({"Specialized"})),
)
def shared_name(guest: Guest) -> Outcome:
    """A specialized image keeps its identity: two VMs of it in one network are told apart by nothing."""
    lines = guest.text_of("/etc/hostname").split()
    name = lines[0] if lines else ""
    generic = not name or name.startswith("localhost")
    return passed(name or "no host name") if generic else failed(f"/etc/hostname: {name}")
