"""DST001: the distribution."""

from gallery_operator.prerequisites.facts.os_release import PATHS
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, Outcome, failed, passed
from gallery_operator.prerequisites.readers.base import NotFoundError
from gallery_operator.prerequisites.registry import check


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
