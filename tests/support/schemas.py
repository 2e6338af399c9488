"""Walking the generated CRDs: which leaf has which limits, and where it is in a sample object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hack.generate_crd import crd

from gallery_operator.api import KINDS

Json = dict[str, Any]
Path = tuple[str, ...]
ITEM = "[]"
"""Stands for any item of a list or any value of a map in a path."""


@dataclass(frozen=True)
class Node:
    """A place in the schema of a kind.

    Attributes:
        kind: Kind of the object.
        path: Names from the root; ``[]`` for an item.
        schema: The schema there.
    """

    kind: str
    path: Path
    schema: Json

    def __str__(self) -> str:
        return f"{self.kind}.{'.'.join(self.path)}"


def nodes(part: str) -> Iterator[Node]:
    """Yield every place in ``spec`` or ``status`` of every kind."""
    for kind in KINDS:
        schema = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part]
        yield from _walk(Node(kind.kind_name, (part,), schema))


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for name, schema in node.schema.get("properties", {}).items():
        yield from _walk(Node(node.kind, (*node.path, name), schema))
    for part in ("items", "additionalProperties"):
        if part in node.schema:
            yield from _walk(Node(node.kind, (*node.path, ITEM), node.schema[part]))


def rules() -> Iterator[tuple[str, str, str]]:
    """Yield kind, path and message of every CEL rule, those of the whole object too."""
    for kind in KINDS:
        schema = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for rule in schema.get("x-kubernetes-validations", []):
            yield kind.kind_name, "", rule["message"]
    for node in nodes("spec"):
        for rule in node.schema.get("x-kubernetes-validations", []):
            yield node.kind, ".".join(node.path), rule["message"]


def lookup(document: Any, path: Path) -> list[tuple[Any, Any]]:
    """Return the places of an object that a path names, as (container, key)."""
    head, *rest = path
    if isinstance(document, list):
        keys: list[Any] = list(range(len(document))) if head == ITEM else []
    elif isinstance(document, dict):
        keys = list(document) if head == ITEM else [head] if head in document else []
    else:
        keys = []
    if not rest:
        return [(document, key) for key in keys]
    return [place for key in keys for place in lookup(document[key], tuple(rest))]
