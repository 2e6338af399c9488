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
    """A meaning recognised by the text, for codes that say too little (``InvalidParameter``, ``BadRequest``)."""

    pattern: re.Pattern[str]
    meaning: Meaning


def rows(kind: ErrorKind, next_step: str, *codes: str) -> dict[str, Meaning]:
    """Return one meaning for several codes, by code in lower case."""
    return {code.lower(): Meaning(kind, next_step) for code in codes}
