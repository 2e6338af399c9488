"""Scaled time and what survives a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from azure_simulator.clock import Clock, timestamp
from azure_simulator.store import Resource, Store
from hypothesis import given
from hypothesis import strategies as st


class Wall:
    """A wall clock moved by hand."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_azure_time_runs_at_its_scale() -> None:
    wall = Wall()
    clock = Clock(60, wall=wall)
    wall.now += 1
    assert clock.now() == pytest.approx(60)
    assert clock.real_seconds(120) == pytest.approx(2)


def test_changing_the_scale_moves_nothing_that_has_passed() -> None:
    wall = Wall()
    clock = Clock(60, wall=wall)
    wall.now += 1
    clock.set_scale(1)
    assert clock.now() == pytest.approx(60)
    wall.now += 5
    assert clock.now() == pytest.approx(65)
    assert clock.wall_at(62) == pytest.approx(1003)


def test_time_passes_while_the_process_is_down() -> None:
    wall = Wall()
    clock = Clock(10, wall=wall)
    wall.now += 1
    state = clock.state
    wall.now += 9
    assert Clock(10, state=state, wall=wall).now() == pytest.approx(100)


@given(st.lists(st.one_of(st.floats(-100, 100), st.tuples(st.floats(0.1, 1000))), max_size=30))
def test_time_never_runs_backwards(steps: list[float | tuple[float]]) -> None:
    """Whatever the wall clock does and however the scale changes."""
    wall = Wall()
    clock = Clock(1, wall=wall)
    last = clock.now()
    for step in steps:
        if isinstance(step, tuple):
            clock.set_scale(step[0])
        else:
            wall.now += step
        assert clock.now() >= last
        last = clock.now()


@pytest.mark.parametrize("scale", [0, -1])
def test_scale_must_be_positive(scale: float) -> None:
    with pytest.raises(ValueError, match="greater than 0"):
        Clock(scale)
    with pytest.raises(ValueError, match="greater than 0"):
        Clock().set_scale(scale)
    with pytest.raises(ValueError, match="backwards"):
        Clock().skip(-1)


def test_timestamps_look_like_compute_writes_them() -> None:
    assert timestamp(1736229406.464847) == "2025-01-07T05:56:46.4648470+00:00"


def test_state_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    store = Store(path)
    resource = Resource(
        "/subscriptions/s/a", "t", "/subscriptions/s", {"id": "/subscriptions/S/A", "name": "A"}, {"x": 1}
    )
    store.put(resource)
    store.add_timer(5, "later", {"key": "k"})
    store.put_operation("o", {"status": "InProgress"})
    store.set_meta("clock", {"azure": 1})
    store.close()
    again = Store(path)
    assert again.get("/SUBSCRIPTIONS/s/A") == resource
    assert [(timer.due, timer.kind) for timer in again.timers()] == [(5, "later")]
    assert again.operation("o") == {"status": "InProgress"}
    assert again.meta("clock") == {"azure": 1}
    again.close()


def test_timers_fall_due_in_order_and_once() -> None:
    store = Store(None)
    store.add_timer(5, "b", {})
    store.add_timer(3, "a", {})
    store.add_timer(9, "c", {})
    seen = []
    while (timer := store.due_timer(6)) is not None:
        store.drop_timer(timer.id)
        seen.append(timer.kind)
    assert seen == ["a", "b"]
    store.close()


def test_a_failed_transaction_leaves_nothing() -> None:
    store = Store(None)
    with pytest.raises(RuntimeError), store.transaction():
        store.set_meta("a", 1)
        raise RuntimeError
    assert store.meta("a") is None
    store.close()
