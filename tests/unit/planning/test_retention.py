"""Retention never takes what a rule keeps, and never what was not announced."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_operator.api.lifecycle import DUE_LIMIT, Retention, RetentionStatus, duration
from gallery_operator.planning.listed import Listed, all_latest
from gallery_operator.planning.ownership import Owner
from gallery_operator.planning.retention import BUDGET, Declared, Keep, Plan, Verdict, due_text, judge, plan, unneeded

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CLUSTER, NAMESPACE = "c", "n"
OURS = Owner(CLUSTER, NAMESPACE, "gone", "ImageVersion")
DAY = timedelta(days=1)


def rule(**fields: Any) -> Retention:
    return Retention.model_validate({"mode": "DeleteVersions", "keepVersions": 1, "notice": "1h", **fields})


def version(name: str, age: float = 100, **fields: Any) -> Listed:
    base = {"state": "Succeeded", "published": NOW - age * DAY, "owner": OURS, "regions": (("west", False),)}
    return Listed(name, **{**base, **fields})


def verdicts(versions: Sequence[Listed], wanted: Retention, objects: Sequence[Declared] = ()) -> dict[str, Verdict]:
    found = judge(unneeded(versions, wanted, NOW), wanted, objects, CLUSTER, NAMESPACE)
    return {each.version.name: each for each in found}


def decide(
    versions: Sequence[Listed],
    wanted: Retention,
    before: RetentionStatus | None = None,
    now: datetime = NOW,
    objects: Sequence[Declared] = (),
) -> Plan:
    return plan(judge(unneeded(versions, wanted, now), wanted, objects, CLUSTER, NAMESPACE), wanted, before, now)


LATEST = version("9.0.0", 0)


@pytest.mark.parametrize(
    ("candidate", "fields", "kept"),
    [
        (version("1.0.0"), {}, None),
        (version("1.0.0", 3), {"keepYoungerThan": "4d"}, Keep.YOUNG),
        (version("1.0.0", 5), {"keepYoungerThan": "4d"}, None),
        (version("1.0.0", published=None), {}, Keep.YOUNG),
        (version("1.0.0"), {"keepVersions": None, "keepYoungerThan": "4d"}, None),
        (version("1.0.0"), {"keepVersions": 2}, Keep.NEWEST),
        (version("1.0.0", state="Failed"), {"keepVersions": 2}, None),
        (version("1.0.0", state="Creating"), {}, Keep.BUSY),
        (version("1.0.0", state="Deleting"), {}, Keep.BUSY),
        (version("1.0.0", pinned=True), {}, Keep.PINNED),
        (version("1.0.0", end_of_life=NOW + DAY), {}, Keep.END_OF_LIFE),
        (version("1.0.0", end_of_life=NOW - DAY), {}, None),
        (version("1.0.0", owner=None), {}, Keep.UNMANAGED),
        (version("1.0.0", owner=None), {"unmanagedVersions": "Delete"}, None),
        (version("1.0.0", owner=Owner("other", NAMESPACE, "v", "ImageVersion")), {}, Keep.ANOTHERS),
        (version("1.0.0", owner=Owner(CLUSTER, "other", "v", "ImageVersion")), {}, Keep.ANOTHERS),
        (version("1.0.0", owner=Owner("o", "o", "v", "ImageVersion")), {"unmanagedVersions": "Delete"}, Keep.ANOTHERS),
        (version("1.0.0", regions=(("east", False),)), {}, Keep.LATEST),
    ],
    ids=str,
)
def test_why_a_version_stays(candidate: Listed, fields: dict[str, Any], kept: Keep | None) -> None:
    found = verdicts([candidate, LATEST], rule(**fields))["1.0.0"]
    assert found.kept == ((kept,) if kept else ())
    assert bool(found.reason) == (kept is None)


def test_failed_versions_do_not_push_the_last_good_one_out() -> None:
    failed = [version(f"2.0.{n}", 1, state="Failed") for n in range(5)]
    good = version("1.0.0", 50, excluded=True)
    found = verdicts([good, *failed], rule(keepVersions=3))
    assert found["1.0.0"].kept == (Keep.NEWEST,)
    assert {found[each.name].reason for each in failed} == {"Failed"}


def test_the_newest_that_succeeded_stays_although_it_is_old_and_not_latest() -> None:
    found = verdicts([version("1.0.0", 50, excluded=True)], rule(keepVersions=None, keepYoungerThan="1d"))
    assert found["1.0.0"].kept == (Keep.NEWEST,)


@pytest.mark.parametrize(
    ("declared", "fields", "kept", "action"),
    [
        (Declared("v", "u", "1.0.0"), {}, None, "Report"),
        (Declared("v", "u", "01.0.0"), {}, None, "Report"),
        (Declared("v", "u", "1.0.0"), {"deleteObjects": True}, None, "DeleteObject"),
        (Declared("v", "u", "1.0.0", retained=True), {"deleteObjects": True}, None, "Report"),
        (Declared("v", "u", "1.0.0", pinned=True), {"deleteObjects": True}, Keep.PINNED, "DeleteObject"),
        (Declared("v", "u", "1.0.0", deleting=True), {"deleteObjects": True}, Keep.LEAVING, "DeleteObject"),
        (Declared("v", "u", "2.0.0"), {"deleteObjects": True}, None, "DeleteVersion"),
    ],
)
def test_what_an_object_declares(declared: Declared, fields: dict[str, Any], kept: Keep | None, action: str) -> None:
    found = verdicts([version("1.0.0"), LATEST], rule(**fields), [declared])["1.0.0"]
    assert found.kept == ((kept,) if kept else ())
    assert found.action == action


def test_failed_version_with_an_object_is_left_to_it() -> None:
    found = verdicts([version("1.0.0", state="Failed"), LATEST], rule(), [Declared("v", "u", "1.0.0")])
    assert found["1.0.0"].kept == (Keep.DECLARED,)


def test_two_objects_for_one_version_are_no_reason_to_delete_either() -> None:
    twice = [Declared("a", "u", "1.0.0"), Declared("b", "w", "1.0.0")]
    assert verdicts([version("1.0.0"), LATEST], rule(deleteObjects=True), twice)["1.0.0"].action == "Report"


def test_announced_first_deleted_after_the_notice() -> None:
    versions = [version("1.0.0"), LATEST]
    first = decide(versions, rule())
    assert [each.version for each in first.status.due] == ["1.0.0"]
    assert first.fresh == first.status.due
    assert first.go == ()
    assert first.next_look == first.status.next_deletion == NOW + timedelta(hours=1)
    early = decide(versions, rule(), first.status, NOW + timedelta(minutes=59))
    assert (early.go, early.fresh, early.status) == ((), (), first.status)
    ripe = decide(versions, rule(), first.status, NOW + timedelta(hours=1))
    assert [(each.version, declared) for each, declared in ripe.go] == [("1.0.0", None)]
    # Nothing that the stored status does not say is known.
    assert decide(versions, rule(), None, NOW + timedelta(hours=1)).go == ()
    assert decide(versions, rule(notice="0s")).go == ()
    assert decide(versions, rule(notice="0s")).overdue


@pytest.mark.parametrize(
    ("later", "fields"),
    [
        (version("1.0.0", 99), {}),  # made anew under the same number
        (version("1.0.0"), {"deleteObjects": True}),  # now by its object
    ],
)
def test_what_has_changed_is_announced_anew(later: Listed, fields: dict[str, Any]) -> None:
    stored = decide([version("1.0.0"), LATEST], rule()).status
    objects = [Declared("v", "u", "1.0.0")] if fields else []
    after = decide([later, LATEST], rule(**fields), stored, NOW + timedelta(hours=5), objects)
    assert after.go == ()
    assert [each.since for each in after.status.due] == [NOW + timedelta(hours=5)]


def test_report_is_no_notice() -> None:
    versions = [version("1.0.0"), LATEST]
    reported = decide(versions, rule(mode="Report"))
    assert [each.action for each in reported.status.due] == ["Report"]
    assert reported.status.next_deletion is None
    after = decide(versions, rule(), reported.status, NOW + DAY)
    assert after.go == ()
    assert after.status.due[0].since == NOW + DAY


def test_time_alone_wakes_it() -> None:
    versions = [version("1.0.0", 3), version("2.0.0", 50, end_of_life=NOW + timedelta(hours=7)), LATEST]
    assert decide(versions, rule(keepYoungerThan="4d")).next_look == NOW + timedelta(hours=7)
    assert decide(versions[::2], rule(keepYoungerThan="4d")).next_look == NOW + DAY
    assert decide([LATEST], rule()).next_look is None


def test_lists_are_bounded_and_what_will_go_is_listed_first() -> None:
    ours = [version(f"1.0.{n}", 50 - n / 10) for n in range(DUE_LIMIT + 20)]
    told = [version(f"0.0.{n}", 500) for n in range(30)]
    objects = [Declared(f"v{n}", "u", f"0.0.{n}") for n in range(30)]
    found = decide([*told, *ours, LATEST], rule(), objects=objects)
    assert len(found.status.due) == DUE_LIMIT
    assert found.status.due_count == DUE_LIMIT + 50
    assert found.status.due[0].version == "1.0.0"
    assert {each.action for each in found.status.due} == {"DeleteVersion"}
    later = decide([*told, *ours, LATEST], rule(), found.status, NOW + DAY, objects)
    assert len(later.go) == BUDGET
    assert later.go[0][0].version == "1.0.0"


def test_what_is_told() -> None:
    entries = decide([*(version(f"1.0.{n}") for n in range(12)), LATEST], rule()).status.due
    assert due_text(entries, "24h").endswith(
        "1.0.9 and 2 more. They are deleted from Azure in 24h unless a rule keeps them until then."
    )


moments = st.one_of(st.none(), st.integers(-40, 40).map(lambda days: NOW + days * DAY))
owners = st.sampled_from(
    [None, OURS, Owner("other", NAMESPACE, "v", "ImageVersion"), Owner(CLUSTER, "x", "v", "ImageVersion")]
)


@st.composite
def galleries(draw: st.DrawFn) -> list[Listed]:
    names = draw(st.lists(st.tuples(*[st.integers(0, 3)] * 3), unique=True, max_size=12))
    return [
        Listed(
            ".".join(map(str, name)),
            draw(st.sampled_from(["Succeeded", "Succeeded", "Succeeded", "Failed", "Creating", "Deleting"])),
            draw(st.one_of(st.none(), st.integers(-40, 0).map(lambda days: NOW + days * DAY))),
            draw(st.booleans()),
            tuple(draw(st.dictionaries(st.sampled_from(["west", "east"]), st.booleans(), min_size=1)).items()),
            draw(st.one_of(st.none(), moments)),
            draw(owners),
            draw(st.booleans()) and draw(st.booleans()),
        )
        for name in names
    ]


rules = st.builds(
    lambda number, age, mode, unmanaged, objects: Retention.model_validate(
        {
            "keepVersions": number if number or age else 1,
            "keepYoungerThan": age,
            "mode": mode,
            "unmanagedVersions": unmanaged,
            "deleteObjects": objects and mode == "DeleteVersions",
            "notice": "1h",
        }
    ),
    st.one_of(st.none(), st.integers(1, 5)),
    st.one_of(st.none(), st.sampled_from(["1d", "10d", "240h"])),
    st.sampled_from(["Report", "DeleteVersions"]),
    st.sampled_from(["Keep", "Delete"]),
    st.booleans(),
)


@settings(deadline=None, max_examples=400)
@given(galleries(), rules, st.data())
def test_nothing_that_a_rule_protects_ever_goes(versions: list[Listed], wanted: Retention, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(versions), unique_by=lambda each: each.name)) if versions else []
    objects = [
        Declared(
            f"v-{each.name}",
            "u",
            each.name,
            data.draw(st.booleans()),
            data.draw(st.booleans()),
            data.draw(st.booleans()),
        )
        for each in chosen
    ]
    first = decide(versions, wanted, objects=objects)
    later = NOW + timedelta(hours=2)
    second = decide(versions, wanted, first.status, later, objects)
    gone = {each.version for each, _ in second.go}
    declared = {each.version: each for each in objects}
    assert first.go == ()
    assert len(gone) <= BUDGET
    assert gone <= {each.version for each in first.status.due}
    assert not gone & all_latest(versions)
    left = [each for each in versions if each.succeeded and each.name not in gone]
    good = [each for each in versions if each.succeeded]
    assert len(left) >= min(wanted.keep_versions or 1, len(good))
    for entry, by in second.go:
        each = next(one for one in versions if one.name == entry.version)
        assert wanted.mode == "DeleteVersions"
        assert each.state in ("Succeeded", "Failed")
        assert not each.pinned
        assert each.end_of_life is None or each.end_of_life <= later
        assert each.published is not None
        if wanted.keep_younger_than is not None:
            assert later - each.published >= duration(wanted.keep_younger_than)
        mine = declared.get(each.name)
        if mine is not None:
            assert by == mine
            assert wanted.delete_objects
            assert not (mine.pinned or mine.retained or mine.deleting)
        else:
            assert by is None
            assert each.owner == OURS or (each.owner is None and wanted.unmanaged_versions == "Delete")
    # Every version has either a reason to stay or one to go.
    for verdict in judge(unneeded(versions, wanted, NOW), wanted, objects, CLUSTER, NAMESPACE):
        assert bool(verdict.kept) != bool(verdict.reason)
    # Nothing is written while nothing happens.
    again = decide(versions, wanted, first.status, NOW + timedelta(minutes=1), objects)
    assert (again.status, again.fresh) == (first.status, ())


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("30m", 1800), ("720h", 2592000), ("30d", 2592000)]
)
def test_durations(text: str, seconds: int) -> None:
    assert duration(text).total_seconds() == seconds
