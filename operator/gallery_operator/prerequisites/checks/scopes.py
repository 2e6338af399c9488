"""Sets of disks that several topics share, and words that their messages share."""

from collections.abc import Sequence
from typing import Final

from gallery_operator.prerequisites.registry import AppliesTo

FLATCAR: Final = frozenset({"flatcar"})

ETC: Final = AppliesTo(except_distributions=FLATCAR)
"""Rows about /etc: on Flatcar it is filled at boot (FLC006)."""

GENERALIZED_ETC: Final = AppliesTo(os_states=frozenset({"Generalized"}), except_distributions=FLATCAR)

_MAX_NAMED: Final = 8


def listed(items: Sequence[str]) -> str:
    """A list for a message: the first few by name, the rest by number."""
    shown = ", ".join(items[:_MAX_NAMED])
    return shown if len(items) <= _MAX_NAMED else f"{shown} and {len(items) - _MAX_NAMED} more"
