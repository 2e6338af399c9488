"""How a check gets into the catalogue: one decorated function a row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from gallery_operator.prerequisites.model import Levels, Outcome

if TYPE_CHECKING:
    from gallery_operator.contract import GuestProfile
    from gallery_operator.prerequisites.guest import Guest

CheckFunction = Callable[["Guest"], Outcome]

OsState = Literal["Generalized", "Specialized"]
Generation = Literal["V1", "V2"]
DiskRole = Literal["os", "data"]

LATEST: Final = 9999
"""Highest major version of a row that has no end."""

TOPICS: Mapping[str, str] = {
    "VHD": "Container (VHD)",
    "PRT": "Partitions, boot, swap",
    "KRN": "Kernel, drivers, initramfs",
    "CMD": "Kernel command line",
    "FST": "fstab",
    "NET": "Network",
    "SSH": "SSH",
    "AGT": "Azure Linux Agent",
    "CLD": "cloud-init",
    "DPR": "Deprovisioned",
    "TIM": "Time",
    "REP": "Package repositories",
    "DST": "Distribution",
    "SEC": "Security",
    "FLC": "Flatcar",
    "DEF": "Image definition",
}
"""Topics by the first three letters of an id, in the order of the report."""


@dataclass(frozen=True, slots=True)
class AppliesTo:
    """Which disks a row is for. An empty set means all.

    Attributes:
        os_states: ``Generalized``, ``Specialized``.
        generations: ``V1``, ``V2``.
        architectures: ``x64``, ``Arm64``.
        disk_roles: ``os``, ``data``.
        distributions: Distribution families (``facts.os_release.FAMILIES``).
        except_distributions: Families that the row is not for.
        versions: Lowest and highest major version by family, both included; a family that is not named
            counts with all of its versions.
        when: A further condition in words, which the check itself decides (for example who provisions).
    """

    os_states: frozenset[str] = frozenset()
    generations: frozenset[str] = frozenset()
    architectures: frozenset[str] = frozenset()
    disk_roles: frozenset[str] = frozenset({"os"})
    distributions: frozenset[str] = frozenset()
    except_distributions: frozenset[str] = frozenset()
    versions: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    when: str = ""

    def why_not(self, profile: "GuestProfile") -> str | None:
        """Why the row is not for an image declared like this; None when it is."""
        for allowed, value, what in (
            (self.disk_roles, profile.disk_role, "disks of role"),
            (self.os_states, profile.os_state, "OS state"),
            (self.generations, profile.hyper_v_generation, "generation"),
            (self.architectures, profile.architecture, "architecture"),
        ):
            if allowed and value not in allowed:
                return f"only for {what} {', '.join(sorted(allowed))}"
        return None

    def why_not_distribution(self, family: str, major: int | None = None) -> str | None:
        """Why the row is not for a distribution of this family and major version; None when it is."""
        if self.distributions and family not in self.distributions:
            return f"only for {', '.join(sorted(self.distributions))}"
        if family in self.except_distributions:
            return f"not for {family}"
        low, high = self.versions.get(family, (0, LATEST))
        if major is not None and not low <= major <= high:
            return f"only for {family} {low} and later" if high == LATEST else f"only for {family} {low} to {high}"
        return None

    @property
    def names_distributions(self) -> bool:
        """Whether the distribution must be known to decide if the row applies."""
        return bool(self.distributions or self.except_distributions or self.versions)


GENERALIZED = AppliesTo(os_states=frozenset({"Generalized"}))
EVERY_OS_DISK = AppliesTo()
EVERY_DISK = AppliesTo(disk_roles=frozenset({"os", "data"}))


@dataclass(frozen=True, slots=True)
class Row:
    """One prerequisite.

    Attributes:
        id: Three letters of the topic and three digits.
        title: The prerequisite in one line, as what passes.
        levels: Severity of a finding.
        cases: Findings of this row that are judged otherwise: (severity, when).
        applies: Which disks it is for.
        remedies: What to do, by distribution family; the entry ``""`` is for all others.
        source: The document that asks for it, or why it is derived.
        run: The check.
        why: What it is good for, a paragraph; the check's docstring.
    """

    id: str
    title: str
    levels: Levels
    applies: AppliesTo
    remedies: Mapping[str, str]
    source: str
    run: CheckFunction
    why: str
    cases: tuple[tuple[Levels, str], ...] = field(default=())

    @property
    def topic(self) -> str:
        """The topic's name."""
        return TOPICS[self.id[:3]]

    def remedy(self, family: str | None = None) -> str:
        """What to do on a distribution of this family."""
        return self.remedies.get(family or "", "") or self.remedies.get("", "")


class DuplicateRowError(ValueError):
    """Two checks have one id."""


_ROWS: dict[str, Row] = {}


def check(
    id: str,  # noqa: A002 - the word of the catalogue
    title: str,
    *,
    levels: Levels,
    source: str,
    remedy: str | Mapping[str, str] = "",
    applies: AppliesTo = EVERY_OS_DISK,
    cases: tuple[tuple[Levels, str], ...] = (),
) -> Callable[[CheckFunction], CheckFunction]:
    """Register a check; the function's docstring says what the prerequisite is good for.

    Args:
        id: Id of the row.
        title: The prerequisite in one line, as what passes.
        levels: Severity of a finding.
        source: The document that asks for it.
        remedy: What to do about a finding; a mapping gives it by distribution family.
        applies: Which disks it is for.
        cases: Findings of this row that are judged otherwise: (severity, when).

    Returns:
        A decorator that leaves the function as it is.

    Raises:
        DuplicateRowError: The id is taken, or names no topic.
    """

    def register(function: CheckFunction) -> CheckFunction:
        if id in _ROWS or id[:3] not in TOPICS:
            raise DuplicateRowError(f"check id {id} is taken or names no topic")
        _ROWS[id] = Row(
            id=id,
            title=title,
            levels=levels,
            applies=applies,
            remedies={"": remedy} if isinstance(remedy, str) else remedy,
            source=source,
            run=function,
            why=" ".join((function.__doc__ or "").split()),
            cases=cases,
        )
        return function

    return register


def registered() -> tuple[Row, ...]:
    """All rows registered so far, by topic and number."""
    order = list(TOPICS)
    return tuple(sorted(_ROWS.values(), key=lambda row: (order.index(row.id[:3]), row.id)))
