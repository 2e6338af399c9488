"""Budgets with a clock of their own: no test waits."""

import pytest

from gallery_operator.azure.error_kinds import AzureError, ErrorKind
from gallery_operator.azure.throttle import LIMITS, MAX_SLEEP, OperationClass, Throttle

C = OperationClass


class World:
    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.throttle = Throttle(clock=lambda: self.now, sleep=self.sleep, jitter=lambda: 0.5)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def refused(self, name: OperationClass = C.READ, subscription: str = "s") -> AzureError:
        with pytest.raises(AzureError) as caught:
            await self.throttle.acquire(subscription, name, "test.call")
        return caught.value

    async def allowed(self, name: OperationClass = C.READ, subscription: str = "s") -> None:
        await self.throttle.acquire(subscription, name, "test.call")


def error(kind: ErrorKind, status: int | None = None, code: str = "X", retry_after: float | None = None) -> AzureError:
    return AzureError(kind, code, "m", "n", "test.call", status, retry_after)


async def test_burst_then_short_waits_then_refusal() -> None:
    world = World()
    limit = LIMITS[C.READ]
    for _ in range(int(limit.burst)):
        await world.allowed()
    assert world.slept == []
    await world.allowed()
    assert world.slept == [pytest.approx(1 / limit.rate)]


async def test_long_waits_are_errors_spread_over_time() -> None:
    world = World()
    limit = LIMITS[C.SHARE]  # one in 40 seconds
    for _ in range(int(limit.burst)):
        await world.allowed(C.SHARE)
    waits = [(await world.refused(C.SHARE)).retry_after or 0 for _ in range(4)]
    assert waits == [pytest.approx(40 * (n + 2)) for n in range(4)]
    assert world.slept == []
    await world.allowed(C.VERSION_WRITE)  # other budgets of the subscription go on
    world.now += 40
    await world.allowed(C.SHARE)


async def test_waiting_callers_never_exceed_the_rate() -> None:
    world = World()
    started, sent = world.now, 0
    while world.now < started + 600:
        try:
            await world.allowed(C.DEFINITION_DELETE)
            sent += 1
        except AzureError:
            world.now += 1
    limit = LIMITS[C.DEFINITION_DELETE]
    assert sent <= limit.burst + limit.rate * (600 + MAX_SLEEP) + 1
    assert max(world.slept) <= MAX_SLEEP


async def test_subscriptions_do_not_share() -> None:
    world = World()
    for _ in range(int(LIMITS[C.SHARE].burst)):
        await world.allowed(C.SHARE, "one")
    await world.refused(C.SHARE, "ONE")
    await world.allowed(C.SHARE, "two")


async def test_one_who_asks_too_much_closes_only_the_own_door() -> None:
    world = World()
    world.throttle.record(
        "s", C.READ, "mallory", error=error(ErrorKind.THROTTLED, 429, "SubscriptionRequestsThrottled")
    )
    with pytest.raises(AzureError):
        await world.throttle.acquire("s", C.READ, "test.call", "mallory")
    await world.throttle.acquire("s", C.READ, "test.call", "alice")


async def test_one_without_rights_uses_nothing_up() -> None:
    world = World()
    for _ in range(200):
        await world.throttle.acquire("s", C.SHARE, "test.call", "mallory")
        world.throttle.record("s", C.SHARE, "mallory", error=error(ErrorKind.FORBIDDEN, 403))
    assert world.slept == []


async def test_memory_is_bounded() -> None:
    world = World()
    for number in range(3000):
        await world.allowed(C.READ, f"subscription-{number}")
        world.throttle.record("s", C.READ, f"who-{number}", error=error(ErrorKind.THROTTLED, 429))
    assert len(world.throttle._subscriptions) <= 1024
    assert len(world.throttle._subscriptions["s"].closed_principal) <= 256


async def test_throttling_closes_for_as_long_as_azure_says() -> None:
    world = World()
    world.throttle.record("s", C.READ, error=error(ErrorKind.THROTTLED, 429, "SubscriptionRequestsThrottled", 60))
    refused = await world.refused()
    assert (refused.kind, refused.code) == (ErrorKind.THROTTLED, "ClosedAfterThrottling")
    assert refused.retry_after == pytest.approx(66)
    await world.refused(C.VERSION_WRITE)
    await world.allowed(C.READ, "other")
    world.now += 67
    await world.allowed()


@pytest.mark.parametrize(("asked", "closed"), [(None, 5.5), (0, 5.5), (100_000, 1980)])
async def test_closing_has_bounds(asked: float | None, closed: float) -> None:
    world = World()
    world.throttle.record("s", C.READ, error=error(ErrorKind.THROTTLED, 429, "X", asked))
    assert (await world.refused()).retry_after == pytest.approx(closed)


async def test_throttling_of_one_group_of_writes_leaves_the_others() -> None:
    world = World()
    world.throttle.record("s", C.VERSION_WRITE, error=error(ErrorKind.THROTTLED, 429, "TooManyRequests", 60))
    await world.refused(C.VERSION_WRITE)
    await world.allowed(C.GALLERY_WRITE)
    await world.allowed(C.READ)


async def test_circuit_breaker() -> None:
    world = World()
    for _ in range(4):
        world.throttle.record("s", C.READ, error=error(ErrorKind.RETRY, 503))
    await world.allowed()
    world.throttle.record("s", C.READ, error=error(ErrorKind.UNREACHABLE))
    refused = await world.refused()
    assert (refused.kind, refused.code) == (ErrorKind.UNREACHABLE, "CircuitOpen")
    assert refused.retry_after == pytest.approx(33)
    world.now += 31
    await world.allowed()  # the probe
    await world.refused()  # and nobody beside it
    world.throttle.record("s", C.READ, error=error(ErrorKind.RETRY, 500))
    await world.refused()
    world.now += 31
    await world.allowed()
    world.throttle.record("s", C.READ)
    for _ in range(5):
        await world.allowed()


async def test_a_probe_that_never_reports_does_not_close_for_ever() -> None:
    world = World()
    for _ in range(5):
        world.throttle.record("s", C.READ, error=error(ErrorKind.UNREACHABLE))
    world.now += 31
    await world.allowed()
    await world.refused()
    world.now += 31
    await world.allowed()


async def test_errors_of_the_request_itself_do_not_trip_the_breaker() -> None:
    world = World()
    for _ in range(20):
        world.throttle.record("s", C.READ, error=error(ErrorKind.INVALID, 400))
        await world.allowed()


async def test_scarce_budget_halves_the_rate() -> None:
    world = World()
    name = "Microsoft.Compute/GetGallery3Min"
    world.throttle.record("s", C.READ, remaining=f"{name};350,Microsoft.Compute/GetGallery30Min;2500")
    for _ in range(int(LIMITS[C.READ].burst)):
        await world.allowed()
    world.throttle.record("s", C.READ, remaining=f"{name};34")
    await world.allowed()
    assert world.slept[-1] == pytest.approx(2 / LIMITS[C.READ].rate)
    world.throttle.record("s", C.READ, remaining=f"{name};300")
    await world.allowed()
    assert world.slept[-1] == pytest.approx(1 / LIMITS[C.READ].rate)


async def test_nonsense_in_the_header_is_ignored() -> None:
    world = World()
    for remaining in ("", ";", "a;b", "a;-1", "a;" + "9" * 40, "," * 50):
        world.throttle.record("s", C.READ, remaining=remaining)
    await world.allowed()


async def test_factor() -> None:
    fast = Throttle(1000.0)
    for _ in range(1000):
        await fast.acquire("s", C.SHARE, "test.call")
