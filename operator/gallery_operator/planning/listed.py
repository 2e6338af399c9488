"""What a list of versions says, as Azure gives it: which one `latest` is, where, and which ends next."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gallery_operator.api.lifecycle import RETAIN_TAG, NextEndOfLife, RegionLatest
from gallery_operator.planning.moments import parsed
from gallery_operator.planning.ownership import Owner, owner_of
from gallery_operator.planning.regions import normal


@dataclass(frozen=True)
class Listed:
    """A version as a list shows it.

    Attributes:
        name: Its number.
        state: ``provisioningState``.
        published: When it was published, or None when Azure does not say.
        excluded: Excluded from ``latest`` everywhere.
        regions: Where it is replicated to (normal form), and whether it is excluded from ``latest`` there.
        end_of_life: Its end of life.
        owner: Whose tags it carries.
        pinned: The tag that keeps it is there.
    """

    name: str
    state: str
    published: datetime | None = None
    excluded: bool = False
    regions: tuple[tuple[str, bool], ...] = ()
    end_of_life: datetime | None = None
    owner: Owner | None = None
    pinned: bool = False

    @property
    def numbers(self) -> tuple[int, ...]:
        """The parts of the number, for comparing."""
        return numbers(self.name)

    @property
    def succeeded(self) -> bool:
        """Whether Azure has finished it and is not at work on it."""
        return self.state == "Succeeded"


def numbers(version: str) -> tuple[int, ...]:
    """Return the parts of a version's number: ``1.02.3`` and ``1.2.3`` are the same to Azure."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def listed(versions: Iterable[Mapping[str, Any]]) -> list[Listed]:
    """Read a list of versions, in REST form."""
    return [_listed(each) for each in versions]


def _listed(version: Mapping[str, Any]) -> Listed:
    properties = version.get("properties") or {}
    publishing = properties.get("publishingProfile") or {}
    tags = version.get("tags") or {}
    return Listed(
        name=str(version.get("name")),
        state=str(properties.get("provisioningState") or "Unknown"),
        published=parsed(publishing.get("publishedDate")),
        excluded=bool(publishing.get("excludeFromLatest")),
        regions=tuple(
            (normal(str(each.get("name"))), bool(each.get("excludeFromLatest")))
            for each in publishing.get("targetRegions") or []
        ),
        end_of_life=parsed(publishing.get("endOfLifeDate")),
        owner=owner_of(tags),
        pinned=str(tags.get(RETAIN_TAG, "")).lower() == "true",
    )


def latest(versions: Iterable[Listed], region: str | None = None) -> str | None:
    """Return what ``latest`` resolves to: the highest version that succeeded and is not excluded.

    Args:
        versions: All versions.
        region: A region in normal form: only versions that are there and not excluded there count. None: where no
            region has an exclusion of its own and every version is replicated.
    """
    candidates = [
        each
        for each in versions
        if each.succeeded and not each.excluded and (region is None or (region, False) in each.regions)
    ]
    return max(candidates, key=lambda each: each.numbers).name if candidates else None


def latest_by_region(versions: Sequence[Listed]) -> list[RegionLatest]:
    """Return the regions in which ``latest`` is another version than elsewhere, by name.

    Args:
        versions: All versions.
    """
    usual = latest(versions)
    names = sorted({name for each in versions if each.succeeded for name, _ in each.regions})
    found = [RegionLatest(name=name, version=latest(versions, name)) for name in names]
    return [each for each in found if each.version != usual]


def all_latest(versions: Sequence[Listed]) -> frozenset[str]:
    """Return every version that ``latest`` resolves to somewhere."""
    regions = {name for each in versions for name, _ in each.regions}
    found = {latest(versions), *(latest(versions, name) for name in regions)}
    return frozenset(each for each in found if each is not None)


def next_end_of_life(versions: Iterable[Listed], now: datetime) -> NextEndOfLife | None:
    """Return the version whose end of life comes next, or None."""
    coming = [(each.end_of_life, each.name) for each in versions if each.end_of_life and each.end_of_life > now]
    if not coming:
        return None
    when, name = min(coming)
    return NextEndOfLife(version=name, end_of_life_date=when.replace(microsecond=0))
