"""DST001-DST003: the distribution."""

from gallery_operator.prerequisites.facts.os_release import PATHS
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, II, WW, Outcome, failed, not_applicable, passed
from gallery_operator.prerequisites.readers.base import NotFoundError
from gallery_operator.prerequisites.registry import check

# The last major version that has ended, by family (of Ubuntu and openSUSE Leap with the minor one). A table, not a
# clock: a check must say the same today and tomorrow.
_ENDED = {
    "centos": (8,),
    "oracle": (6,),
    "rhel": (6,),
    "debian": (10,),
    "ubuntu": (17, 10),
    "sles": (11, 99),
    "opensuse": (15, 4),
}


@check(
    "DST001",
    "os-release says which distribution it is",
    levels=EE,
    source="derived: cloud-init and the agent choose by it what to do",
    remedy=f"Restore {' or '.join(PATHS)} from the distribution's package.",
)
def os_release(guest: Guest) -> Outcome:
    """cloud-init and the agent read it to know how to set up network, users and services."""
    try:
        release = guest.os_release
    except NotFoundError as error:
        return failed(str(error))
    return passed(f"{release.path}: {release.name}")


@check(
    "DST002",
    "the distribution is one that Azure's documents know",
    levels=II,
    source="Azure Linux Agent, requirements; Endorsed Linux distributions (endorsed-distros)",
    remedy="Nothing is wrong with others; check that their agent and cloud-init know Azure.",
)
def known(guest: Guest) -> Outcome:
    """Rows about one distribution do not apply to an unknown one, which gets the general rows only."""
    name = guest.os_release.name
    return failed(f"{name} is none of them") if guest.family == "other" else passed(name)


@check(
    "DST003",
    "the release is still maintained",
    levels=WW,
    source="CentOS, Oracle articles (end of life); the distributions' own tables",
    remedy="Move to a release that gets security updates.",
)
def maintained(guest: Guest) -> Outcome:
    """A release at its end gets no security updates, and its repositories go away."""
    release = guest.os_release
    last = _ENDED.get(guest.family)
    if last is None or not release.number:
        return not_applicable(f"no table for {release.name}")
    ended = release.number[: len(last)] <= last
    return failed(f"{release.name} has come to its end") if ended else passed(release.name)
