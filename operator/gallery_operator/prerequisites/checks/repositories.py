"""REP008: package repositories."""

import re

from gallery_operator.prerequisites.checks.scopes import ETC, listed
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import WW, Outcome, failed, passed
from gallery_operator.prerequisites.registry import check

_APT = ("/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources")
_RPM = ("/etc/yum.repos.d/*.repo", "/etc/zypp/repos.d/*.repo")
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
