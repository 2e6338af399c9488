"""SEC001-SEC003: versions that certification asks for."""

import re

from gallery_operator.prerequisites.checks.scopes import FLATCAR, listed
from gallery_operator.prerequisites.facts.packages import dpkg_version
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import (
    WE,
    Levels,
    Outcome,
    Severity,
    failed,
    passed,
    unknown,
)
from gallery_operator.prerequisites.registry import AppliesTo, check

_WI = Levels(Severity.WARNING, Severity.INFO)
_NOT_FLATCAR = AppliesTo(except_distributions=FLATCAR)
_LIBRARIES = ("/usr/lib/*/libssl.so.*", "/usr/lib64/libssl.so.*", "/usr/lib/libssl.so.*", "/lib/*/libssl.so.*")
# Red Hat's soname of all 1.0.x; SUSE and Debian count on from 1.0.0.
_OLD_SONAMES = {"10": "1.0.2", "6": "0.9.8"}
_PYTHON = re.compile(r"(?:platform-)?python(?P<version>\d+\.\d+)$")
_OMI = (1, 6, 8, 1)


@check(
    "SEC001",
    "OpenSSL is new enough",
    levels=WE,
    source="Azure Linux Agent (1.0 or newer); LISA verify_openssl_version (3.0, 1.1.1 or 1.0.2); Marketplace "
    "certification test 44 (0.9.8)",
    remedy="Update OpenSSL, or the distribution: versions before 1.0.2 get no security updates.",
    applies=_NOT_FLATCAR,
)
def openssl(guest: Guest) -> Outcome:
    """The agent reads certificates with it, and everything that encrypts relies on it."""
    paths = [path for pattern in _LIBRARIES for path in guest.tree.glob(pattern)]
    versions = {path: path.rsplit("libssl.so.", 1)[1] for path in paths}
    texts = {path: _OLD_SONAMES.get(version, version) for path, version in versions.items()}
    numbered = [
        (tuple(map(int, re.findall(r"\d+", text)[:3])), path) for path, text in texts.items() if text[:1].isdigit()
    ]
    if not numbered:
        return failed("there is no libssl")
    version, path = max(numbered)
    if version == (1, 1):
        package = re.match(r"(\d+)\.(\d+)\.(\d+)", dpkg_version(guest.tree, "libssl1.1", "openssl") or "")
        if package is None:
            return unknown(f"{path} is of 1.1.0 or 1.1.1")
        version = (int(package[1]), int(package[2]), int(package[3]))
    good = version >= (3,) or version[:3] in ((1, 1, 1), (1, 0, 2))
    return passed(path) if good else failed(f"{path} is OpenSSL {'.'.join(map(str, version))}")


@check(
    "SEC002",
    "Python is new enough",
    levels=_WI,
    source="Marketplace certification test 45 (2.6); LISA verify_python_version (3.9, of low priority)",
    remedy="Install Python 3.9 or newer of the distribution.",
    applies=_NOT_FLATCAR,
    cases=((Levels(Severity.INFO, Severity.INFO), "Python 2.6 to 3.8"),),
)
def python(guest: Guest) -> Outcome:
    """Agent and cloud-init are Python programs, and newer versions of both need a newer one."""
    found = [
        (tuple(map(int, match["version"].split("."))), path)
        for folder in ("/usr/bin", "/usr/libexec", "/usr/local/bin")
        for path in guest.tree.glob(f"{folder}/*python[23]*")
        if (match := _PYTHON.match(path.rsplit("/", 1)[1]))
    ]
    if not found:
        return failed("there is no python")
    version, path = max(found)
    if version >= (3, 9):
        return passed(path)
    return failed(f"{path} is the newest", _WI if version < (2, 6) else Levels(Severity.INFO, Severity.INFO))


@check(
    "SEC003",
    "OMI is not installed, or mended",
    levels=WE,
    source="LISA verify_omi_version (CVE-2021-38647)",
    remedy="Remove OMI (apt-get purge omi; rpm -e omi), or update it to 1.6.8-1 or newer.",
    applies=_NOT_FLATCAR,
)
def omi(guest: Guest) -> Outcome:
    """Before 1.6.8-1 anybody in the network can run programs as root through it."""
    found = [each for each in ("/opt/omi/bin/omiserver", "/opt/omi/bin/omiengine") if guest.tree.is_file(each)]
    if not found:
        return passed("not installed")
    text = dpkg_version(guest.tree, "omi")
    if text is None:
        return unknown(f"the version of {listed(found)} cannot be told")
    version = tuple(int(each) for each in re.findall(r"\d+", text)[:4])
    return passed(f"omi {text}") if version >= _OMI else failed(f"omi {text}")
