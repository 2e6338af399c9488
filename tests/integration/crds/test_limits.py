"""Every enum, number range, length and count that the CRDs' schemas promise, on a real API server.

The cases come from the schema itself, so a new limit is tested without writing anything, as long as a sample in
``tests/support/samples.py`` has the field.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.support import samples, schemas
from tests.support.apiserver import Answer, ApiServer
from tests.support.schemas import Node

pytestmark = pytest.mark.apiserver

_REASONS = {
    "enum": "FieldValueNotSupported",
    "minimum": "FieldValueInvalid",
    "maximum": "FieldValueInvalid",
    "minLength": "FieldValueInvalid",
    "maxLength": "FieldValueTooLong",
    "minItems": "FieldValueInvalid",
    "maxItems": "FieldValueTooMany",
    "maxProperties": "FieldValueTooMany",
}


@dataclass(frozen=True)
class Limit:
    """One limit of one field.

    Attributes:
        node: The field.
        keyword: Keyword of the schema.
        good: Values within the limit, as close to it as possible.
        bad: Value just beyond it.
    """

    node: Node
    keyword: str
    good: tuple[Any, ...]
    bad: Any

    def __str__(self) -> str:
        return f"{self.node}-{self.keyword}"


def _limits(node: Node) -> Iterator[Limit]:
    schema = node.schema
    if "enum" in schema:
        yield Limit(node, "enum", tuple(schema["enum"]), "Nonsense")
    if "minimum" in schema:
        yield Limit(node, "minimum", (schema["minimum"],), schema["minimum"] - 1)
    if "maximum" in schema:
        yield Limit(node, "maximum", (schema["maximum"],), schema["maximum"] + 1)
    if schema["type"] == "string":
        if schema.get("minLength", 0) > 0:
            shortest = "a" * schema["minLength"]
            yield Limit(node, "minLength", (shortest,), shortest[1:])
        if "maxLength" in schema:
            longest = "a" * schema["maxLength"]
            yield Limit(node, "maxLength", (longest,), longest + "a")
    for keyword, beyond in (("minItems", -1), ("maxItems", 1)):
        if keyword in schema:
            limit = schema[keyword]
            yield Limit(node, keyword, (_items(schema["items"], limit),), _items(schema["items"], limit + beyond))
    if "maxProperties" in schema:
        limit = schema["maxProperties"]
        yield Limit(node, "maxProperties", (_properties(limit),), _properties(limit + 1))


def _items(schema: dict[str, Any], count: int) -> list[Any]:
    """Return items with unlike keys; they may break other rules, only the count matters."""
    keys = [key for key, value in schema.get("properties", {}).items() if value["type"] == "string"]
    if schema["type"] == "object":
        return [dict.fromkeys(keys, f"a{number}") for number in range(count)]
    return [f"a{number}" for number in range(count)]


def _properties(count: int) -> dict[str, str]:
    return {f"key{number}": "value" for number in range(count)}


LIMITS = [limit for node in schemas.nodes("spec") for limit in _limits(node)]


@pytest.fixture(scope="module")
def place(apiserver: ApiServer) -> str:
    return apiserver.new_namespace("limits")


@pytest.mark.parametrize("limit", LIMITS, ids=str)
def test_limit(apiserver: ApiServer, place: str, limit: Limit) -> None:
    for value in limit.good:
        answer = _create_with(apiserver, place, limit.node, value)
        assert not _complains(answer, limit), f"{value!r} is within the limit: {answer.message}"
    answer = _create_with(apiserver, place, limit.node, limit.bad)
    assert answer.status == 422
    assert _complains(answer, limit), f"{limit.bad!r} is beyond the limit: {answer.message}"


def test_samples_set_every_field() -> None:
    """Otherwise a field's limits could not be tested, and the samples were not worth their name."""
    missing = [str(node) for node in schemas.nodes("spec") if not _samples_with(node)]
    assert not missing


@pytest.mark.parametrize("kind", samples.KINDS)
def test_full_samples_are_accepted(apiserver: ApiServer, place: str, kind: str) -> None:
    for document in samples.full(kind):
        answer = apiserver.create(document, place, dry_run=True)
        assert answer.ok, answer.message


def _samples_with(node: Node) -> list[dict[str, Any]]:
    return [sample for sample in samples.full(node.kind) if schemas.lookup(sample, node.path)]


def _create_with(apiserver: ApiServer, place: str, node: Node, value: Any) -> Answer:
    document = copy.deepcopy(_samples_with(node)[0])
    container, key = schemas.lookup(document, node.path)[0]
    container[key] = value
    return apiserver.create(document, place, dry_run=True)


def _complains(answer: Answer, limit: Limit) -> bool:
    """Whether the answer says that this limit is exceeded; other rules may be broken, too."""
    parts = limit.node.path[:-1] if limit.node.path[-1] == schemas.ITEM else limit.node.path
    name = parts[-1]
    words = {
        "minimum": "greater than or equal",
        "maximum": "less than or equal",
        "minLength": "at least",
        "minItems": "at least",
    }.get(limit.keyword, "")
    return any(
        cause["reason"] == _REASONS[limit.keyword] and name in cause["field"] and words in cause["message"]
        for cause in answer.causes
    )
