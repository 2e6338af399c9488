"""The report of differences between what would be sent and what Azure has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.planning.compare import MAX_DIFFERENCES, differences

Json = dict[str, Any]


def told(wanted: Json, found: Json) -> list[tuple[str, str | None, str | None]]:
    return [(each.field, each.found, each.wanted) for each in differences(wanted, found)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"location": "westeurope"}, {"location": "West Europe"}),
        ({"properties": {"description": None}}, {"properties": {"description": "there"}}),
        ({"properties": {}}, {"properties": {"description": "there"}}),
        ({"properties": {"allowUpdateImage": True}}, {"properties": {}}),
        ({"a": False}, {}),
        ({"endOfLifeDate": "2030-01-01T00:00:00Z"}, {"endOfLifeDate": "2030-01-01T00:00:00.1234567+00:00"}),
        ({"value": "NVMe, SCSI"}, {"value": "SCSI, NVMe"}),
        ({"value": "true"}, {"value": "True"}),
        ({"targetRegions": [{"name": "eastus2"}]}, {"targetRegions": [{"name": "East US 2", "replicas": 1}]}),
        ({"diskTypes": ["a", "b"]}, {"diskTypes": ["B", "A"]}),
    ],
)
def test_what_azure_says_in_other_words_is_no_difference(wanted: Json, found: Json) -> None:
    assert told(wanted, found) == []


@pytest.mark.parametrize(
    ("wanted", "found", "difference"),
    [
        ({"properties": {"description": "a"}}, {"properties": {"description": "b"}}, ("description", "b", "a")),
        ({"properties": {"description": "a"}}, {"properties": {}}, ("description", None, "a")),
        ({"tags": {"team": "x"}}, {"tags": None}, ("tags.team", None, "x")),
        ({"excludeFromLatest": True}, {}, ("excludeFromLatest", None, "true")),
        ({"p": {"min": 2}}, {"p": {"min": 1}}, ("p.min", "1", "2")),
        (
            {"targetRegions": [{"name": "eastus2", "regionalReplicaCount": 3}]},
            {"targetRegions": [{"name": "East US 2", "regionalReplicaCount": 1}]},
            ("targetRegions[eastus2].regionalReplicaCount", "1", "3"),
        ),
        (
            {"targetRegions": [{"name": "eastus2"}]},
            {"targetRegions": []},
            ("targetRegions[eastus2]", None, "to be added"),
        ),
        ({"targetRegions": [{"name": "a"}]}, {"targetRegions": None}, ("targetRegions[a]", None, "to be added")),
        ({"diskTypes": ["a"]}, {"diskTypes": ["b"]}, ("diskTypes", "['b']", "['a']")),
        (
            {"features": [{"name": "S", "value": "1"}]},
            {"features": [{"name": "s", "value": "2"}]},
            ("features[S].value", "2", "1"),
        ),
    ],
)
def test_a_difference_names_the_field_and_both_values(
    wanted: Json, found: Json, difference: tuple[str, str | None, str | None]
) -> None:
    assert told(wanted, found) == [difference]


def test_a_region_that_would_be_taken_out_is_told() -> None:
    found = {"targetRegions": [{"name": "West Europe"}, {"name": "East US 2"}]}
    assert told({"targetRegions": [{"name": "westeurope"}]}, found) == [("targetRegions[East US 2]", "there", None)]


def test_the_report_is_bounded() -> None:
    many = {f"field{number}": "x" * 9000 for number in range(100)}
    found = differences({"tags": many}, {})
    assert len(found) == MAX_DIFFERENCES
    assert all(len(each.wanted or "") <= 256 for each in found)


_scalar = st.one_of(st.text(max_size=8), st.booleans(), st.integers(0, 9))
_document = st.recursive(
    _scalar, lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=4)
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=2), _document, max_size=4))
def test_nothing_differs_from_itself(document: Json) -> None:
    assert differences(document, document) == ()


@given(st.dictionaries(st.text("abc", min_size=1, max_size=2), _document, max_size=4), _document)
def test_whatever_azure_answers_is_compared(document: Json, answer: Any) -> None:
    found = answer if isinstance(answer, dict) else {"a": answer}
    assert all(each.field for each in differences(document, found))
