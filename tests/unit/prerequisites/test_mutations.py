"""A check that is broken is noticed: the tables of rows are run against catalogues with one wrong check.

Twenty rows, others in every run; the seed is in each failure. ``MUTATION_SEED=number`` repeats a run,
``MUTATION_ROWS=all`` takes all rows (a minute).
"""

import dataclasses
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.prerequisites.changes import ATTENTION, PASS, Case
from tests.unit.prerequisites.machine import Machine
from tests.unit.prerequisites.test_rows import CASES

from gallery_operator.contract import PrerequisitesConfig
from gallery_operator.prerequisites import checker
from gallery_operator.prerequisites.catalogue import rows
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import Outcome, Verdict, failed, passed, unknown
from gallery_operator.prerequisites.registry import Row

SEED = int(os.environ.get("MUTATION_SEED") or random.SystemRandom().randrange(1 << 32))
ALL = [row.id for row in rows()]
SAMPLE = ALL if os.environ.get("MUTATION_ROWS") == "all" else sorted(random.Random(SEED).sample(ALL, 20))


def always_passes(_: Row) -> Callable[[Guest], Outcome]:
    return lambda guest: passed("it is fine")


def always_fails(_: Row) -> Callable[[Guest], Outcome]:
    return lambda guest: failed("it is bad")


def never_decides(_: Row) -> Callable[[Guest], Outcome]:
    return lambda guest: unknown("who knows")


def turned_round(row: Row) -> Callable[[Guest], Outcome]:
    def run(guest: Guest) -> Outcome:
        outcome = row.run(guest)
        turned = {Verdict.PASSED: Verdict.FAILED, Verdict.FAILED: Verdict.PASSED}
        return dataclasses.replace(outcome, verdict=turned.get(outcome.verdict, outcome.verdict))

    return run


def noticed(cases: list[Case], folder: Path) -> Iterator[bool]:
    """Whether a case comes out otherwise than its table says, for each case."""
    for number, case in enumerate(cases):
        machine = Machine(folder / str(number))
        case.change(machine)
        yield machine.result(case.id, **case.profile).status is not case.default


@pytest.mark.parametrize("mutation", [always_passes, always_fails, never_decides, turned_round])
@pytest.mark.parametrize("check_id", SAMPLE)
def test_a_broken_check_is_noticed(
    check_id: str,
    mutation: Callable[[Row], Callable[[Guest], Outcome]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = next(each for each in rows() if each.id == check_id)
    wrong = dataclasses.replace(row, run=mutation(row))
    cases = [case for case in CASES if case.id == check_id]
    # One that passes and one that does not are enough to tell right from wrong.
    pair = [
        next(case for case in cases if case.default is PASS),
        next(case for case in cases if case.default in ATTENTION),
    ]
    assert not any(noticed(pair, tmp_path / "right")), f"the tables fit the check as it is (seed {SEED})"

    monkeypatch.setattr(checker, "rows", lambda: (wrong,))
    assert any(noticed(pair, tmp_path / "wrong")), f"a broken {check_id} is not noticed (seed {SEED})"


def test_a_row_that_is_gone_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = SAMPLE[0]
    monkeypatch.setattr(checker, "rows", lambda: tuple(row for row in rows() if row.id != gone))
    report = checker.check_guest(Machine(tmp_path).guest(), PrerequisitesConfig())
    assert {case.id for case in CASES} - {each.id for each in report.results} == {gone}
