"""Conditions by the kstatus convention, and patches that give what was meant."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.api.meta import Condition
from gallery_operator.planning.outcome import (
    RETRY_GRACE_SECONDS,
    Done,
    Finding,
    Outcome,
    Report,
    Retry,
    Stalled,
    Waiting,
)
from gallery_operator.planning.status import conditions, merge_difference, ready_condition, settle, timestamp

NOW = datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
OUTCOMES: list[tuple[Outcome, dict[str, str]]] = [
    (Done("fine"), {"Ready": "True"}),
    (Waiting("Updating", "x", 1.0), {"Ready": "False", "Reconciling": "True"}),
    (Waiting("Updating", "x", 1.0, ready=True), {"Ready": "True", "Reconciling": "True"}),
    (Retry("Unavailable", "x"), {"Ready": "False", "Reconciling": "True"}),
    (Stalled("Forbidden", "x"), {"Ready": "False", "Stalled": "True"}),
]

scalars = st.one_of(st.booleans(), st.integers(-5, 5), st.text(max_size=3))
documents = st.dictionaries(
    st.sampled_from("abcd"),
    st.recursive(
        st.one_of(scalars, st.lists(scalars, max_size=2)),
        lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386, as written there."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


@given(documents, documents)
def test_merge_patch_gives_the_new_document(old: dict[str, Any], new: dict[str, Any]) -> None:
    before = copy.deepcopy(old)
    patch = merge_difference(old, new)
    assert merge(old, patch) == new
    assert old == before


@given(documents)
def test_equal_documents_need_no_patch(document: dict[str, Any]) -> None:
    assert merge_difference(document, copy.deepcopy(document)) == {}


@pytest.mark.parametrize(("outcome", "expected"), OUTCOMES)
def test_each_outcome_has_its_conditions(outcome: Outcome, expected: dict[str, str]) -> None:
    found = conditions([], outcome, 3, NOW)
    assert {each["type"]: each["status"] for each in found} == expected
    for each in found:
        assert each["observedGeneration"] == 3
        Condition.model_validate(each)  # also the pattern of the reason


@pytest.mark.parametrize("first", [each for each, _ in OUTCOMES])
@pytest.mark.parametrize("second", [each for each, _ in OUTCOMES])
def test_transition_time_moves_only_with_the_status(first: Outcome, second: Outcome) -> None:
    old = conditions([], first, 1, NOW)
    before = {each["type"]: each for each in old}
    for each in conditions(old, second, 2, LATER):
        same = each["type"] in before and before[each["type"]]["status"] == each["status"]
        assert each["lastTransitionTime"] == timestamp(NOW if same else LATER)


def test_foreign_conditions_stay_and_secrets_do_not() -> None:
    foreign = {"type": "Approved", "status": "True", "reason": "x", "lastTransitionTime": timestamp(NOW)}
    found = conditions([foreign], Retry("X", "https://a.blob.core.windows.net/b?sv=1&sig=canary"), 1, NOW)
    assert foreign in found
    assert "canary" not in str(found)


def test_conditions_of_a_kind_are_set_kept_and_taken_away() -> None:
    shared, spare = Finding("Shared", "False", "Throttled", "later"), Finding("Spare", "True", "Fine", "x")
    old = conditions([], Done("fine"), 1, NOW, [spare, shared])
    kept = conditions(old, Done("fine"), 1, LATER, [spare])
    assert merge_difference({"conditions": old}, {"conditions": kept}) == {}
    found = conditions(
        old, Done("fine"), 2, LATER, [Finding("Shared", "True", "Shared", "now"), Finding("Spare", None)]
    )
    assert [(each["type"], each["status"]) for each in found] == [("Ready", "True"), ("Shared", "True")]
    assert found[1]["lastTransitionTime"] == timestamp(LATER)


def test_settle_keeps_sets_and_removes() -> None:
    old = {"resourceId": "x", "phase": "Failed", "progress": {"percent": 3}, "conditions": []}
    new = settle(
        old, Report(Done("fine"), {"phase": "Pending", "progress": None, "target": {"a": None, "b": 1}}), 7, NOW
    )
    assert new["resourceId"] == "x"
    assert new["phase"] == "Pending"
    assert "progress" not in new
    assert new["target"] == {"b": 1}
    assert new["observedGeneration"] == 7
    assert (ready_condition(new) or {})["message"] == "fine"
    again = settle(new, Report(Done("fine"), {"phase": "Pending"}), 7, LATER)
    assert merge_difference(new, again) == {}


def test_messages_are_cut() -> None:
    assert len(conditions([], Stalled("X", "y" * 9000), 1, NOW)[0]["message"]) == 2000


GRACE = RETRY_GRACE_SECONDS


@pytest.mark.parametrize(
    ("before", "generation", "seconds", "ready"),
    [
        (Done("fine"), 1, 0.0, "True"),
        (Done("fine"), 1, GRACE - 1, "True"),
        (Done("fine"), 1, GRACE, "False"),
        (Waiting("Updating", "x", 1.0, ready=True), 1, 0.0, "True"),
        (Waiting("Updating", "x", 1.0), 1, 0.0, "False"),
        (Stalled("Bad", "x"), 1, 0.0, "False"),
        (Done("fine"), 2, 0.0, "False"),  # the spec has changed: nobody knows yet whether Azure fits it
    ],
)
def test_a_failed_try_leaves_ready_as_it_was_for_a_while(
    before: Outcome, generation: int, seconds: float, ready: str
) -> None:
    old = conditions([], before, 1, NOW)
    found = {
        each["type"]: each
        for each in conditions(old, Retry("TooBusy", "503"), generation, LATER, retrying_seconds=seconds)
    }
    assert found["Ready"]["status"] == ready
    if ready == "True":
        assert found["Ready"] == old[0]
    assert (found["Reconciling"]["status"], found["Reconciling"]["reason"]) == ("True", "TooBusy")


def test_what_is_not_ready_yet_does_not_become_so_by_failing() -> None:
    found = {each["type"]: each["status"] for each in conditions([], Retry("TooBusy", "503"), 1, NOW)}
    assert found == {"Ready": "False", "Reconciling": "True"}
