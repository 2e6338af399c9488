"""What is recorded, answered, and different."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["GUID", "OPERATION", "Answer", "Difference", "Interaction"]

GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
"""A GUID."""

OPERATION = re.compile(r"/(capsOperations|DiskOperations|operations)/([0-9a-f-]{36})", re.IGNORECASE)
"""Family and id of a long-running operation in a URL."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """One recorded request and its answer.

    Attributes:
        n: number in the recording.
        method: HTTP method.
        uri: path and query for Resource Manager, a whole URL for any other host.
        request: JSON body, or None.
        status: HTTP status of the answer.
        headers: headers of the answer, names in lower case.
        response: JSON body of the answer, or None.
    """

    n: int
    method: str
    uri: str
    request: Any
    status: int
    headers: Mapping[str, str]
    response: Any

    @property
    def path(self) -> str:
        """Path without the query."""
        return self.uri.split("?", 1)[0]

    @property
    def api_version(self) -> str:
        """The API version that the query names, empty if none."""
        found = re.search(r"[?&]api-version=([^&]+)", self.uri)
        return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the simulator answered; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the simulator differs from the recording.

    Attributes:
        n: number of the interaction.
        where: `status`, `header <name>` or the path in the body.
        recorded: what Azure answered there, None for nothing.
        simulated: what the simulator answered there, None for nothing.
        request: method and path, for people.
        api_version: API version of the request, empty if it names none.
    """

    n: int
    where: str
    recorded: Any
    simulated: Any
    request: str = ""
    api_version: str = ""

    def __str__(self) -> str:
        """Say it in one line."""
        return f"#{self.n} {self.where}: recorded {self.recorded!r}, simulated {self.simulated!r}"
