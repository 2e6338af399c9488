"""The work queue against a model of client-go's, in invented time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.runtime.clockloop import run

from gallery_operator.runtime.workqueue import Backoff, Key, ShutDown, WorkQueue

KEYS = tuple(Key("Gallery", "ns", name) for name in "abc")
EXACT = Backoff(base=1.0, cap=60.0, jitter=0.0)


class Model:
    """What client-go's delaying, rate limiting queue would hold."""

    def __init__(self) -> None:
        self.ready: list[Key] = []
        self.busy: set[Key] = set()
        self.dirty: set[Key] = set()
        self.later: dict[Key, float] = {}
        self.failures: dict[Key, int] = {}

    def add(self, key: Key) -> None:
        self.later.pop(key, None)
        if key in self.busy:
            self.dirty.add(key)
        elif key not in self.ready:
            self.ready.append(key)

    def add_after(self, key: Key, delay: float, now: float) -> None:
        if delay <= 0:
            self.add(key)
        elif key not in self.ready and key not in self.dirty:
            self.later[key] = min(self.later.get(key, float("inf")), now + delay)

    def advance(self, now: float) -> None:
        for key, at in sorted(self.later.items(), key=lambda item: item[1]):
            if at <= now:
                self.add(key)

    def done(self, key: Key) -> None:
        self.busy.discard(key)
        if key in self.dirty:
            self.dirty.discard(key)
            self.add(key)


# Few keys and long scripts: only so a key is often added while it is being processed.
keys = st.sampled_from(KEYS[:2])
step = st.sampled_from(["add", "get", "done", "add", "get", "done", "after", "retry", "forget", "sleep"]).flatmap(
    lambda name: {
        "after": st.tuples(st.just(name), keys, st.integers(0, 8)),
        "retry": st.tuples(st.just(name), keys, st.sampled_from([0, 5])),
        "get": st.just((name,)),
        "sleep": st.tuples(st.just(name), st.integers(1, 10)),
    }.get(name, st.tuples(st.just(name), keys))
)
steps = st.integers(10, 60).flatmap(lambda size: st.lists(step, min_size=size, max_size=size))


@settings(max_examples=150, deadline=None)
@given(steps)
def test_queue_does_what_client_go_does(script: list[tuple[Any, ...]]) -> None:
    async def play() -> None:
        queue, model = WorkQueue(EXACT), Model()
        loop = asyncio.get_running_loop()
        for step in script:
            match step:
                case ("add", key):
                    queue.add(key)
                    model.add(key)
                case ("after", key, delay):
                    queue.add_after(key, delay)
                    model.add_after(key, delay, loop.time())
                case ("retry", key, least):
                    model.failures[key] = model.failures.get(key, 0) + 1
                    expected = max(least, min(60.0, 2.0 ** (model.failures[key] - 1)))
                    assert queue.retry(key, least) == expected
                    model.add_after(key, expected, loop.time())
                case ("forget", key):
                    queue.forget(key)
                    model.failures.pop(key, None)
                case ("get",) if model.ready:
                    got = await queue.get()
                    assert got in model.ready
                    model.ready.remove(got)
                    assert got not in model.busy, "one key in two workers"
                    model.busy.add(got)
                case ("done", key) if key in model.busy:
                    queue.done(key)
                    model.done(key)
                case ("sleep", seconds):
                    # Half a second off, so that no timer is due at the very end of the sleep.
                    await asyncio.sleep(seconds + 0.5)
                    model.advance(loop.time())
            for key in KEYS:
                waiting = key in model.ready or key in model.later or key in model.busy
                assert queue.is_scheduled(key) == waiting
                assert queue.failures(key) == model.failures.get(key, 0)
            assert sum(queue.depth().values()) == len(model.ready)

    run(play)


def test_keys_come_in_the_order_they_were_added() -> None:
    async def play() -> list[Key]:
        queue = WorkQueue()
        for key in (*KEYS, KEYS[0]):
            queue.add(key)
        return [await queue.get() for _ in KEYS]

    assert run(play) == list(KEYS)


def test_get_waits_for_a_key_and_for_the_end() -> None:
    async def play() -> tuple[Key, float]:
        queue = WorkQueue()
        queue.add_after(KEYS[0], 30)
        key = await queue.get()
        at = asyncio.get_running_loop().time()
        waiting = [asyncio.create_task(queue.get()) for _ in range(3)]
        await asyncio.sleep(0)
        queue.shut_down()
        for task in waiting:
            with pytest.raises(ShutDown):
                await task
        queue.add(KEYS[1])
        queue.add_after(KEYS[1], 1)
        with pytest.raises(ShutDown):
            await queue.get()
        return key, at

    assert run(play) == (KEYS[0], 1030.0)


def test_no_wake_is_lost_when_many_workers_share_the_queue() -> None:
    async def play() -> int:
        queue, seen = WorkQueue(), 0
        busy: set[Key] = set()

        async def work() -> None:
            nonlocal seen
            while True:
                try:
                    key = await queue.get()
                except ShutDown:
                    return
                assert key not in busy
                busy.add(key)
                await asyncio.sleep(0.3)
                busy.discard(key)
                seen += 1
                queue.done(key)

        keys = [Key("Gallery", "ns", str(number)) for number in range(50)]
        workers = [asyncio.create_task(work()) for _ in range(8)]
        for _ in range(3):
            for key in keys:
                queue.add(key)
            await asyncio.sleep(10)
        queue.shut_down()
        await asyncio.gather(*workers)
        return seen

    assert run(play) == 150


def test_backoff_grows_to_its_cap_with_jitter() -> None:
    backoff = Backoff(base=1.0, cap=300.0, jitter=0.3)
    assert [backoff.delay(n, lambda low, high: 1.0) for n in (1, 2, 3, 9, 10, 1000)] == [1, 2, 4, 256, 300, 300]
    assert backoff.delay(1, lambda low, high: low) == pytest.approx(0.7)
    assert backoff.delay(1, lambda low, high: high) == pytest.approx(1.3)


def test_ages() -> None:
    async def play() -> None:
        queue = WorkQueue()
        assert (queue.oldest_seconds(), queue.longest_running_seconds()) == (0.0, 0.0)
        queue.add(KEYS[0])
        await asyncio.sleep(5)
        queue.add(KEYS[1])
        assert queue.oldest_seconds() == 5.0
        await queue.get()
        await asyncio.sleep(7)
        assert queue.oldest_seconds() == 7.0
        assert queue.longest_running_seconds() == 7.0

    run(play)
