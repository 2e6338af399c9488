"""What a row of the table of errors is."""

import re
from dataclasses import dataclass

from gallery_operator.azure.error_kinds import ErrorKind


@dataclass(frozen=True)
class Meaning:
    """What an error means and what the user does next (one or two sentences)."""

    kind: ErrorKind
    next_step: str


@dataclass(frozen=True)
class TextRule:
    """A meaning recognised by the text, for codes that say too little (``InvalidParameter``, ``BadRequest``).

    Attributes:
        pattern: What the text must have in it.
        meaning: What it means.
        says: Texts of the service that are meant, shortened; for the tests and the page of documentation.
    """

    pattern: re.Pattern[str]
    meaning: Meaning
    says: tuple[str, ...]


def rows(kind: ErrorKind, next_step: str, *codes: str) -> dict[str, Meaning]:
    """Return one meaning for several codes, by code as Azure spells it."""
    return {code: Meaning(kind, next_step) for code in codes}
