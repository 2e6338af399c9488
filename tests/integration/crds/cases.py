"""What a case of a rule is: an object to create, or a change to make, and what the API server must answer."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

ABSENT = object()
"""As a value in a case: take the field out."""


@dataclass(frozen=True)
class Case:
    """An object to create, or an object and a change to it.

    Attributes:
        kind: Kind of the object.
        title: What is tried.
        change: What is different from the minimal sample, by dotted path; numbers are indices of lists.
        message: Part of the answer that must be there; None: it must be accepted.
        update: Changes of a second request; None: only one is made.
        path: What the answer names as the field; None: not looked at.
    """

    kind: str
    title: str
    change: Mapping[str, Any] = field(default_factory=dict)
    message: str | None = None
    update: Mapping[str, Any] | None = None
    path: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.title}"


def changed(document: Any, changes: Mapping[str, Any]) -> Any:
    """Return a copy of an object with what a case has different."""
    document = copy.deepcopy(document)
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
        target = document
        for parent in parents:
            target = target.setdefault(parent, {}) if isinstance(target, dict) else target[parent]
        if value is ABSENT:
            del target[last]
        else:
            target[last] = value
    return document


def tag_cases(kind: str, path: str, others: Mapping[str, Any] = MappingProxyType({})) -> list[Case]:
    """Return the cases of a field with tags.

    Args:
        kind: Kind of the object.
        path: Where the tags are.
        others: What else the object needs.
    """
    characters = "a tag's name has at most 512 characters and none of < > % & \\ ? / (Azure's rule)"
    own = "tags that begin with gallery-operator.dev- say who owns the resource"
    return [
        Case(kind, f"tags: {title}", {**others, path: tags}, message)
        for title, tags, message in [
            ("slash", {"team/name": "a"}, characters),
            ("backslash", {"team\\name": "a"}, characters),
            ("513 characters", {"a" * 513: "a"}, characters),
            ("ours", {"gallery-operator.dev-uid": "a"}, own),
            ("other characters and scripts", {"a b.c:d-é_" + "a" * 502: ""}, None),
        ]
    ]
