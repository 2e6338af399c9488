"""Servers that have a file, and what is known of it."""

from collections.abc import Callable
from dataclasses import dataclass

from gallery_operator.worker.answers import OF_A_URL, Advice
from gallery_operator.worker.http import HttpClient
from gallery_operator.worker.segments import Written


@dataclass(frozen=True, slots=True)
class Origin:
    """A server that has the file.

    Attributes:
        url: Of the file; never with a secret in it, as it tells one download from another.
        client: Asks for it.
        written: Tells which bytes of the file have ever been written; None, or an answer of None: perhaps all.
    """

    url: str
    client: HttpClient
    written: Callable[[], Written | None] | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is.

    Attributes:
        origins: Servers that have it, in the order in which they are asked; at least one.
        checksum: ``sha256:<hex>`` or ``sha512:<hex>`` of the file; None when nobody has said.
        advice: What a person may do when they do not give it.
    """

    origins: tuple[Origin, ...]
    checksum: str | None
    advice: Advice = OF_A_URL
