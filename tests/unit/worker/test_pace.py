"""How many requests are in flight, against models of services; and the gate that threads pass."""

from __future__ import annotations

import heapq
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.worker.gate import Gate
from gallery_operator.worker.layout import MIB, PAGE_BYTES
from gallery_operator.worker.pace import Allowance, Pace
from gallery_operator.worker.seal import Seal
from gallery_operator.worker.target import Stopping


def simulate(pace: Pace, rate: float, latency: float, seconds: float, patience: float = 1e9) -> tuple[float, list[int]]:
    """Send pieces of 4 MiB to a service that takes ``rate`` bytes a second and ``latency`` seconds a request.

    Returns:
        The share of the service's rate that was used, and the numbers allowed over time.
    """
    now = free = 0.0
    flying: list[tuple[float, bool]] = []
    done, seen = 0, []
    while now < seconds:
        while len(flying) < pace.allowed:
            if free - now > patience:
                heapq.heappush(flying, (now + latency, False))
            else:
                free = max(free, now) + PAGE_BYTES / rate
                heapq.heappush(flying, (max(now + latency, free), True))
        now, took = heapq.heappop(flying)
        if took:
            done += PAGE_BYTES
            pace.done(now, PAGE_BYTES)
        else:
            pace.throttled(now)
        seen.append(pace.allowed)
    return done / rate / now, seen


@given(
    rate=st.sampled_from([10 * MIB, 60 * MIB, 500 * MIB]),
    latency=st.sampled_from([0.005, 0.04, 0.1, 0.25]),
    most=st.integers(1, 64),
)
def test_the_rate_of_the_service_is_found(rate: float, latency: float, most: int) -> None:
    share, seen = simulate(Pace(most), rate, latency, 60.0)
    assert all(1 <= each <= most for each in seen)
    possible = min(1.0, most * PAGE_BYTES / latency / rate)
    assert share > 0.85 * possible


def test_azure_s_limits_are_used_up() -> None:
    share, seen = simulate(Pace(16), 60 * MIB, 0.04, 120.0)
    assert share > 0.97
    # No more than is of use: every request in flight is 4 MiB of memory.
    assert max(seen) <= 6
    assert min(seen[len(seen) // 2 :]) <= 3


def test_a_busy_service_is_given_way_to() -> None:
    share, seen = simulate(Pace(64, allowed=64), 60 * MIB, 0.04, 60.0, patience=0.5)
    assert share > 0.95
    assert max(seen[len(seen) // 2 :]) <= 16


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from(["done", "throttled"]), st.integers(0, PAGE_BYTES))))
def test_whatever_happens_the_number_stays_within_bounds(steps: list[tuple[float, str, int]]) -> None:
    pace, now = Pace(16), 0.0
    for passed, what, length in steps:
        now += passed
        before = pace.allowed
        if what == "done":
            pace.done(now, length)
        else:
            pace.throttled(now)
            assert pace.allowed <= before
        assert 1 <= pace.allowed <= 16


def test_many_refusals_at_once_count_once() -> None:
    pace = Pace(64, allowed=32)
    for _ in range(20):
        pace.throttled(1.0)
    assert pace.allowed == 16
    pace.throttled(2.5)
    assert pace.allowed == 8


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, PAGE_BYTES)), min_size=1), st.integers(1000, 100 * MIB))
def test_an_allowance_is_never_exceeded(sends: list[tuple[float, int]], rate: int) -> None:
    allowance, now, sent, first = Allowance(rate), 0.0, 0, None
    for passed, length in sends:
        now += passed
        start = now + allowance.take(now, length)
        first = start if first is None else first
        # What went before must have had its time.
        assert sent <= (start - first) * rate * 1.000001 + 1
        sent += length
    assert Allowance(None).take(now, 1 << 40) == 0.0


def gate(allowed: int, most_bytes: int = 10 * PAGE_BYTES) -> tuple[Gate, threading.Event]:
    stopping = threading.Event()
    return Gate(Pace(allowed, allowed=allowed), Allowance(None), stopping, most_bytes), stopping


def test_the_gate_lets_in_what_the_pace_allows() -> None:
    door, stopping = gate(1)
    door.enter()
    got = threading.Event()

    def second() -> None:
        door.enter()
        got.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not got.wait(0.05)
    door.leave(None)
    assert got.wait(5)
    thread.join()
    stopping.set()
    with pytest.raises(Stopping):
        door.enter()


def test_buffers_are_bounded_and_used_again() -> None:
    door, stopping = gate(4, 2 * PAGE_BYTES)
    first = door.take_buffer(PAGE_BYTES)
    door.take_buffer(PAGE_BYTES - 512)
    got: list[bytearray] = []
    thread = threading.Thread(target=lambda: got.append(door.take_buffer(512)))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    door.give_buffer(first)
    thread.join(5)
    assert [len(each) for each in got] == [512]
    door.give_buffer(got[0])
    assert door.take_buffer(PAGE_BYTES) is first
    stopping.set()
    with pytest.raises(Stopping):
        door.take_buffer(512)


def test_a_limit_on_bandwidth_gives_way_to_a_stop() -> None:
    stopping = threading.Event()
    door = Gate(Pace(1), Allowance(1), stopping)
    door.hold_back(1000)
    stopping.set()
    with pytest.raises(Stopping):
        door.hold_back(1)


@given(st.binary(min_size=1, max_size=200), st.integers(0, 1 << 43), st.data())
def test_a_seal_fits_its_bytes_only(data: bytes, offset: int, draw: st.DataObject) -> None:
    seal = Seal.fresh()
    tag = seal.tag(data, offset)
    assert seal.fits(memoryview(bytearray(data)), offset, tag)
    other = bytearray(data)
    other[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    assert not seal.fits(other, offset, tag)
    assert not seal.fits(data, offset + 512, tag)
    assert not Seal.fresh().fits(data, offset, tag)
