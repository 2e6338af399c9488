"""All rows, and questions about them that need no disk.

Importing this loads no reader of disk images: the operator uses it for remedies only.
"""

from functools import cache

from gallery_operator.prerequisites import checks  # noqa: F401 - registers the rows
from gallery_operator.prerequisites.registry import TOPICS, Row, registered

__all__ = ["TOPICS", "Row", "find", "remedy_of", "rows"]


@cache
def rows() -> tuple[Row, ...]:
    """Every row, by topic and number."""
    return registered()


@cache
def _by_id() -> dict[str, Row]:
    return {row.id: row for row in rows()}


def find(check_id: str) -> Row | None:
    """The row with this id (letter case does not matter), or None."""
    return _by_id().get(check_id.strip().upper())


def remedy_of(check_id: str, distribution: str | None = None) -> str:
    """What to do about a finding.

    Args:
        check_id: Id of the row.
        distribution: As in a report's ``distribution`` (``debian 12``) or a family; None for the general
            remedy.

    Returns:
        A text of one or a few lines; empty when the catalogue has none.
    """
    from gallery_operator.prerequisites.facts.os_release import family_of

    row = find(check_id)
    if row is None:
        return ""
    return row.remedy(family_of(distribution.split()[0]) if distribution else None)
