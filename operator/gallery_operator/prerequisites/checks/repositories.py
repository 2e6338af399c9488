"""REP001-REP008: package repositories."""

import re

from gallery_operator.prerequisites.checks.scopes import ETC, families, listed
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import IE, II, IW, WE, WW, Outcome, failed, passed
from gallery_operator.prerequisites.registry import check

_APT = ("/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources")
_RPM = ("/etc/yum.repos.d/*.repo", "/etc/zypp/repos.d/*.repo")
_REBUILDS = ("almalinux", "rockylinux", "rocky", "fedoraproject", "baseos", "appstream")
_MEDIUM = re.compile(
    r"(deb(-src)?\s+(\[[^]]*\]\s*)?cdrom:|URIs:.*\bcdrom:|baseurl\s*=\s*(cd|dvd|hd|media|file:///(media|mnt)))"
)


@check(
    "REP008",
    "no package repository is an installation medium",
    levels=WW,
    source="derived: installers leave their medium among the repositories",
    remedy="Remove the lines with cdrom: (apt), or the repositories of the medium (dnf, zypper).",
    applies=ETC,
)
def no_medium(guest: Guest) -> Outcome:
    """Updates stop at a medium that nobody will insert into a VM."""
    found = [
        f"{path}:{number}"
        for pattern in (*_APT, *_RPM)
        for path in guest.tree.glob(pattern)
        if guest.tree.is_file(path)
        for number, line in guest.tree.lines(path)
        if _MEDIUM.match(line)
    ]
    return failed(listed(found)) if found else passed("none")


def _enabled(guest: Guest, *texts: str) -> list[str]:
    """Places of the enabled repositories whose id, file or URL has one of these texts."""
    return [each.where for each in guest.repositories if each.enabled and each.mentions(*texts)]


def _has(guest: Guest, what: str, *texts: str) -> Outcome:
    found = _enabled(guest, *texts)
    return passed(listed(found)) if found else failed(f"no enabled repository is {what}")


@check(
    "REP001",
    "Ubuntu: packages come from Azure's mirror",
    levels=WE,
    source="Prepare an Ubuntu VHD for Azure (create-upload-ubuntu); LISA verify_repository_installed",
    remedy="sed -i 's/[a-z.]*archive.ubuntu.com/azure.archive.ubuntu.com/' /etc/apt/sources.list "
    "/etc/apt/sources.list.d/ubuntu.sources; apt-get update",
    applies=families("ubuntu"),
)
def ubuntu(guest: Guest) -> Outcome:
    """Azure's mirror is near, and its traffic is free; updates and security must be among it."""
    host = "ports.ubuntu.com" if guest.profile.architecture == "Arm64" else "azure.archive.ubuntu.com"
    suites = {suite for each in guest.repositories if each.enabled and each.mentions(host) for suite in each.suites}
    if not suites:
        return failed(f"no source is {host}")
    missing = [each for each in ("-updates", "-security") if not any(suite.endswith(each) for suite in suites)]
    return failed(f"{host} lacks {', '.join(missing)}") if missing else passed(f"{host}: {', '.join(sorted(suites))}")


@check(
    "REP002",
    "Debian: packages come from Debian or from Azure's mirror of it",
    levels=IE,
    source="LISA verify_repository_installed",
    remedy="Name Debian's own archive in /etc/apt/sources.list or sources.list.d/debian.sources; apt-get update",
    applies=families("debian"),
)
def debian(guest: Guest) -> Outcome:
    """A mirror inside the network where the image was made is not reached from Azure."""
    return _has(guest, "Debian's", "debian.org", "debian.azure.com", "azure.deb.debian.cloud",
                "debian-archive.trafficmanager.net")  # fmt: skip


@check(
    "REP003",
    "CentOS: packages come from the mirror in Azure",
    levels=II,
    source="Prepare a CentOS VHD for Azure; LISA verify_yum_conf",
    remedy="Use http://olcentgbl.trafficmanager.net/centos/ in /etc/yum.repos.d/CentOS-Base.repo; on CentOS 6 also "
    "http_caching=packages in /etc/yum.conf",
    applies=families("centos"),
)
def centos(guest: Guest) -> Outcome:
    """The mirror of OpenLogic; it is optional, and CentOS itself has come to its end."""
    if guest.major == 6 and not re.search(
        r"^http_caching\s*=\s*packages", guest.text_of("/etc/yum.conf"), re.MULTILINE
    ):
        return failed("/etc/yum.conf: no http_caching=packages")
    return _has(guest, "OpenLogic's (olcentgbl.trafficmanager.net)", "olcentgbl.trafficmanager.net", "openlogic")


@check(
    "REP004",
    "RHEL: where packages come from is settled",
    levels=IW,
    source="LISA verify_repository_installed (rhui-*); osbuild, Azure images of Red Hat",
    remedy="Pay as you go: install the rhui-azure package of the release. Your own subscription: register each VM "
    "(subscription-manager), and set licenseType RHEL_BYOS at deployment.",
    applies=families("rhel"),
)
def rhui(guest: Guest) -> Outcome:
    """Red Hat's update infrastructure in Azure answers only images that carry its package."""
    if guest.os_release.id not in ("rhel", "redhat"):
        found = _enabled(guest, *_REBUILDS)
        return passed(listed(found)) if found else failed(f"no enabled repository of {guest.os_release.id}")
    return _has(guest, "Red Hat's in Azure (rhui)", "rhui", "rh-cloud")


@check(
    "REP005",
    "SLES: the modules and repositories for Azure are there",
    levels=IW,
    source="Prepare a SUSE VHD for Azure 3-5; LISA verify_repository_installed",
    remedy="SUSEConnect -p sle-module-public-cloud/VERSION/x86_64; pay as you go: zypper install "
    "cloud-regionsrv-client cloud-regionsrv-client-plugin-azure",
    applies=families("sles"),
)
def sles(guest: Guest) -> Outcome:
    """The agent and cloud-init come from the module Public Cloud."""
    if guest.program("registercloudguest"):
        return passed("cloud-regionsrv-client registers each VM")
    missing = []
    if not guest.tree.glob("/etc/products.d/*public-cloud*") and not _enabled(guest, "public-cloud", "public_cloud"):
        missing.append("module Public Cloud")
    missing += [each for each in ("Pool", "Updates") if not _enabled(guest, each.lower())]
    return failed(f"missing: {', '.join(missing)}") if missing else passed("Public Cloud, Pool, Updates")


@check(
    "REP006",
    "openSUSE: the repositories Cloud:Tools, OSS and Updates are there",
    levels=IE,
    source="Prepare a SUSE VHD for Azure (openSUSE); LISA verify_repository_installed",
    remedy="zypper ar -f https://download.opensuse.org/repositories/Cloud:Tools/openSUSE_Tumbleweed Cloud:Tools; and "
    "the same for oss and update",
    applies=families("opensuse"),
)
def opensuse(guest: Guest) -> Outcome:
    """Cloud:Tools has the newest agent."""
    wanted = {"Cloud:Tools": ("cloud:tools", "cloud:/tools", "cloud_tools"), "OSS": ("oss",), "Updates": ("update",)}
    missing = [name for name, texts in wanted.items() if not _enabled(guest, *texts)]
    return failed(f"missing: {', '.join(missing)}") if missing else passed(", ".join(wanted))


@check(
    "REP007",
    "Oracle Linux: the repository addons is enabled",
    levels=WW,
    source="Prepare an Oracle Linux VHD for Azure, notes",
    remedy="Set enabled=1 below [ol7_addons] (or [ol6_addons]) in /etc/yum.repos.d",
    applies=families("oracle", versions={"oracle": (6, 7)}),
)
def oracle(guest: Guest) -> Outcome:
    """The agent comes from there."""
    name = f"ol{guest.major or 7}_addons"
    return _has(guest, name, name)
