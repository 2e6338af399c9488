"""One condition for all ways of sharing, and what it means for the object."""

from __future__ import annotations

from datetime import UTC, datetime

from gallery_operator.api.meta import Condition
from gallery_operator.planning.access import CONDITION, Part, Problem, report
from gallery_operator.planning.outcome import Done, Waiting

NOW = datetime(2026, 11, 24, tzinfo=UTC)
DONE = Done("The gallery is as desired.")
PROBLEM = Problem("AuthorizationFailed", "No right.", 300.0)
LATER = Problem("Throttled", "Wait.", 20.0)


def before(status: str, reason: str) -> list[Condition]:
    return [
        Condition.model_validate({"type": CONDITION, "status": status, "reason": reason, "lastTransitionTime": NOW})
    ]


def test_nothing_asked_nothing_told() -> None:
    found = report([Part(), Part(fields={"sharing": {}})], {"a": 1}, DONE, [])
    assert (found.outcome, found.events, found.status) == (DONE, (), {"a": 1, "sharing": {}})
    assert found.conditions[0].status is None


def test_all_is_well() -> None:
    found = report([Part(asked=True), Part()], {}, DONE, [])
    assert found.outcome == DONE
    assert found.conditions[0].status == "True"
    assert [each[1] for each in found.events] == ["Shared"]
    assert report([Part(asked=True)], {}, DONE, before("True", "Shared")).events == ()


def test_under_way_is_not_news() -> None:
    found = report([Part(True, pending="Sharing.", delay=3.0), Part()], {}, DONE, [])
    assert found.outcome == Waiting("Sharing", "Sharing.", 3.0, ready=True)
    assert (found.conditions[0].status, found.conditions[0].reason) == ("False", "InProgress")
    assert found.events == ()


def test_trouble_leaves_the_object_ready_and_is_told_once() -> None:
    parts = [Part(True, problems=(PROBLEM, PROBLEM)), Part(True, problems=(LATER,))]
    found = report(parts, {}, DONE, [])
    assert isinstance(found.outcome, Waiting)
    assert found.outcome.ready
    assert found.outcome.delay == 20.0
    assert found.outcome.message == "The gallery is as desired, but not who may use it: No right. Wait."
    assert found.events == (("Warning", "AuthorizationFailed", "No right. Wait."),)
    assert report(parts, {}, DONE, before("False", "AuthorizationFailed")).events == ()
    assert len(report(parts, {}, DONE, before("False", "InProgress")).events) == 1
