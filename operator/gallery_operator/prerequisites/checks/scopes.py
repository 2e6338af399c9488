"""Sets of disks that several topics share, and words that their messages share."""

from collections.abc import Mapping, Sequence
from typing import Final

from gallery_operator.prerequisites.registry import AppliesTo

FLATCAR: Final = frozenset({"flatcar"})

ETC: Final = AppliesTo(except_distributions=FLATCAR)
"""Rows about /etc: on Flatcar it is filled at boot (FLC006)."""

GENERALIZED_ETC: Final = AppliesTo(os_states=frozenset({"Generalized"}), except_distributions=FLATCAR)

RED_HAT: Final = frozenset({"rhel", "centos", "oracle"})
SUSE: Final = frozenset({"sles", "opensuse"})


def families(
    *names: str,
    versions: Mapping[str, tuple[int, int]] | None = None,
    state: str | None = None,
    generation: str | None = None,
    when: str = "",
) -> AppliesTo:
    """OS disks of some distribution families, with bounds of their major versions; no name means all."""
    return AppliesTo(
        os_states=frozenset({state}) if state else frozenset(),
        generations=frozenset({generation}) if generation else frozenset(),
        distributions=frozenset(names),
        versions=versions or {},
        when=when,
    )


_MAX_NAMED: Final = 8


def listed(items: Sequence[str]) -> str:
    """A list for a message: the first few by name, the rest by number."""
    shown = ", ".join(items[:_MAX_NAMED])
    return shown if len(items) <= _MAX_NAMED else f"{shown} and {len(items) - _MAX_NAMED} more"
