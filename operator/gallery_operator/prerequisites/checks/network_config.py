"""NET001, NET002, NET005-NET007, NET009-NET012: how the network is set up."""

import re

from gallery_operator.prerequisites.checks.cloud_init import enabled_reason
from gallery_operator.prerequisites.checks.scopes import ETC, RED_HAT, SUSE, families, listed
from gallery_operator.prerequisites.facts.network import ifcfg
from gallery_operator.prerequisites.facts.units import UnitState
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, II, IW, WE, WW, Outcome, failed, not_applicable, passed
from gallery_operator.prerequisites.registry import check

_RED_HAT = "Prepare a Red Hat, CentOS, Oracle VHD for Azure"
_IFCFG = "/etc/sysconfig/network-scripts/ifcfg-eth0"
_NETWORK = "/etc/sysconfig/network"
_GENERATOR = "75-persistent-net-generator.rules"
_DHCP = "/etc/sysconfig/network/dhcp"
_WANTED = {
    "DEVICE": "eth0",
    "ONBOOT": "yes",
    "BOOTPROTO": "dhcp",
    "TYPE": "Ethernet",
    "USERCTL": "no",
    "PEERDNS": "yes",
    "IPV6INIT": "no",
}
_WITH_SCRIPTS = families(*RED_HAT, versions={"rhel": (5, 7), "centos": (5, 8), "oracle": (5, 8)})
_UNMANAGED = (
    "68-azure-sriov-nm-unmanaged.rules",
    "10-azure-unmanaged-sriov.rules",
    "99-azure-unmanaged-devices.rules",
)
_CONF = "99-azure-unmanaged-devices.conf"


@check(
    "NET001",
    "the first network card gets its address by DHCP",
    levels=EE,
    source="Generalized images without an agent (DHCP client is required); Red Hat, CentOS, Oracle articles",
    remedy={
        "": "Set the first card to DHCP (and remove network: {config: disabled} from /etc/cloud).",
        "debian": "printf 'auto eth0\\niface eth0 inet dhcp\\n' > /etc/network/interfaces.d/eth0",
        "ubuntu": "Let cloud-init write netplan's configuration: rm -f "
        "/etc/cloud/cloud.cfg.d/*disable*network* /etc/netplan/*.yaml",
        "rhel": "nmcli connection add type ethernet ifname eth0 con-name eth0 ipv4.method auto",
        "sles": "printf \"BOOTPROTO='dhcp'\\nSTARTMODE='auto'\\n\" > /etc/sysconfig/network/ifcfg-eth0",
    },
    applies=ETC,
)
def dhcp(guest: Guest) -> Outcome:
    """Azure gives every address by DHCP; a card without it, or with a fixed address, is not reached."""
    if enabled_reason(guest) is None:
        network = guest.cloud_init.setting("network")
        if not (isinstance(network, dict) and network.get("config") == "disabled"):
            return passed("cloud-init sets the network up")
    for each in guest.interfaces:
        if each.dhcp:
            return passed(str(each))
    if guest.interfaces:
        return failed(f"no configuration asks for DHCP: {listed([str(each) for each in guest.interfaces])}")
    manager = guest.units.state("NetworkManager.service")
    if manager.state is UnitState.ENABLED:
        return passed("NetworkManager takes cards without a profile to DHCP")
    return failed("no program has a configuration for a card, and cloud-init writes none")


@check(
    "NET002",
    "ifcfg-eth0 is as Azure's articles have it",
    levels=WE,
    source=f"{_RED_HAT}; LISA verify_ifcfg_eth0",
    remedy=f"printf '%s\\n' {' '.join(f'{key}={value}' for key, value in _WANTED.items())} > {_IFCFG}",
    applies=_WITH_SCRIPTS,
)
def ifcfg_eth0(guest: Guest) -> Outcome:
    """The network scripts of these releases set up a card by this file only."""
    if not guest.tree.is_file(_IFCFG):
        return failed(f"there is no {_IFCFG}")
    found = {key: value.lower() for key, value in ifcfg(guest.tree, _IFCFG).items()}
    wrong = [f"{key}={found.get(key, '')}" for key, value in _WANTED.items() if found.get(key) != value.lower()]
    if found.get("NM_CONTROLLED") == "no" and guest.family == "rhel" and guest.major == 7:
        wrong.append("NM_CONTROLLED=no")
    return failed(f"{_IFCFG}: {', '.join(wrong)}") if wrong else passed(_IFCFG)


@check(
    "NET005",
    "udev makes no rules for network cards",
    levels=WE,
    source="Prepare a CentOS, Oracle VHD for Azure; WALinuxAgent, osutil",
    remedy=f"ln -s /dev/null /etc/udev/rules.d/{_GENERATOR}",
    applies=families(*RED_HAT, versions={"rhel": (5, 7), "centos": (5, 8), "oracle": (5, 8)}),
)
def generator(guest: Guest) -> Outcome:
    """The generator writes down the first card's address, and calls the next VM's card eth1."""
    path = guest.udev_rule(_GENERATOR)
    return failed(f"{path} exists") if path else passed("there is none, or it is masked")


@check(
    "NET006",
    "SUSE: no network configuration of an earlier machine is left",
    levels=WW,
    source="Prepare a SUSE VHD for Azure 11",
    remedy="rm -f /etc/udev/rules.d/85-persistent-net-cloud-init.rules /etc/sysconfig/network/ifcfg-eth*",
    applies=families(*SUSE),
)
def suse_leftovers(guest: Guest) -> Outcome:
    """cloud-init writes these files for each VM; old ones are for cards that are gone."""
    found = guest.tree.glob("/etc/udev/rules.d/85-persistent-net-cloud-init.rules")
    found += guest.tree.glob("/etc/sysconfig/network/ifcfg-eth*")
    return failed(listed(found)) if found else passed("none")


@check(
    "NET007",
    "/etc/sysconfig/network is as Azure's articles have it",
    levels=WE,
    source=f"{_RED_HAT}; LISA verify_network_file_configuration",
    remedy=f"printf 'NETWORKING=yes\\nHOSTNAME=localhost.localdomain\\n' > {_NETWORK}",
    applies=_WITH_SCRIPTS,
)
def sysconfig(guest: Guest) -> Outcome:
    """Without NETWORKING=yes the network scripts do nothing."""
    if not guest.tree.is_file(_NETWORK):
        return failed(f"there is no {_NETWORK}")
    values = ifcfg(guest.tree, _NETWORK)
    wanted = {"NETWORKING": "yes", "HOSTNAME": "localhost.localdomain"}
    wrong = [f"{key}={values.get(key, '')}" for key, value in wanted.items() if values.get(key, "").lower() != value]
    return failed(f"{_NETWORK}: {', '.join(wrong)}") if wrong else passed(_NETWORK)


@check(
    "NET009",
    "NetworkManager is there where the release needs it, and only there",
    levels=WE,
    source="Prepare Linux for imaging in Azure, agent; CentOS 6, Oracle 6 and 7 articles; LISA "
    "verify_network_manager_not_installed",
    remedy="Release 6: rpm -e --nodeps NetworkManager. Later ones: dnf install NetworkManager; systemctl enable "
    "NetworkManager",
    applies=families(*RED_HAT),
)
def manager(guest: Guest) -> Outcome:
    """In release 6 it gets in the agent's way; from 8 on (Oracle: 7) it is what sets up the network."""
    program = guest.program("NetworkManager")
    major = guest.major or 0
    if major <= 6:
        return failed(f"{program} is installed") if program else passed("not installed")
    if major == 7 and guest.family != "oracle":
        return not_applicable("release 7 works with and without it")
    if program is None:
        return failed("there is no /usr/sbin/NetworkManager")
    unit = guest.units.state("NetworkManager.service")
    return passed(str(unit)) if unit.state is UnitState.ENABLED else failed(str(unit))


@check(
    "NET010",
    "network managers leave the second card of accelerated networking alone",
    levels=II,
    source="Prepare a Red Hat VHD for Azure (SR-IOV); Azure VM utilities; osbuild, Azure images of Red Hat",
    remedy={
        "": 'Install azure-vm-utils, or write /etc/udev/rules.d/68-azure-sriov-nm-unmanaged.rules: SUBSYSTEM=="net", '
        'DRIVERS=="hv_pci", ACTION=="add", ENV{NM_UNMANAGED}="1"',
        "rhel": "dnf install azure-vm-utils (9.8 and later), or write 68-azure-sriov-nm-unmanaged.rules as the article "
        "has it",
    },
    applies=ETC,
    cases=((WW, "the RHEL family"),),
)
def unmanaged(guest: Guest) -> Outcome:
    """With accelerated networking a second card with the same address appears, which must get none of its own."""
    rule = guest.udev_rule(*_UNMANAGED)
    if rule:
        return passed(rule)
    for folder in ("/etc/NetworkManager/conf.d", "/usr/lib/NetworkManager/conf.d"):
        if guest.tree.is_file(f"{folder}/{_CONF}"):
            return passed(f"{folder}/{_CONF}")
    started, _ = guest.units.any_enabled("NetworkManager.service", "systemd-networkd.service")
    if not started:
        return not_applicable("neither NetworkManager nor systemd-networkd starts at boot")
    return failed("there is no rule that says so", WW if guest.family == "rhel" else II)


@check(
    "NET011",
    "SUSE: DHCP does not set the host name",
    levels=WE,
    source="Prepare a SUSE VHD for Azure 12; LISA verify_dhcp_file_configuration",
    remedy=f"sed -i 's/^DHCLIENT_SET_HOSTNAME=.*/DHCLIENT_SET_HOSTNAME=\"no\"/' {_DHCP}",
    applies=families(*SUSE),
)
def dhcp_hostname(guest: Guest) -> Outcome:
    """The host name is what the deployment asks for, not what DHCP makes up."""
    if not guest.tree.is_file(_DHCP):
        return failed(f"there is no {_DHCP}")
    value = ifcfg(guest.tree, _DHCP).get("DHCLIENT_SET_HOSTNAME", "yes")
    text = f"{_DHCP}: DHCLIENT_SET_HOSTNAME={value}"
    return passed(text) if value.lower() == "no" else failed(text)


@check(
    "NET012",
    "dhclient waits for an answer for 300 seconds",
    levels=IW,
    source="LISA verify_dhcp_client_timeout",
    remedy="echo 'timeout 300;' >> /etc/dhcp/dhclient.conf",
    applies=families(when="when dhclient is installed"),
)
def patience(guest: Guest) -> Outcome:
    """In a large deployment the answer may take longer than dhclient's 60 seconds."""
    if guest.program("dhclient") is None:
        return not_applicable("dhclient is not installed")
    for path in ("/etc/dhcp/dhclient.conf", "/etc/dhclient.conf", "/etc/dhcp/dhclient-eth0.conf"):
        for number, line in guest.tree.lines(path) if guest.tree.is_file(path) else []:
            match = re.match(r"timeout\s+(\d{1,6})\s*;", line)
            if match:
                text = f"{path}:{number} {line}"
                return passed(text) if int(match[1]) >= 300 else failed(text)
    return failed("dhclient.conf sets no timeout; the default is 60 seconds")
