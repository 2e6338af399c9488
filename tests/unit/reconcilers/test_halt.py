"""What errors of the gateways mean, and what the engine makes of outcomes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gallery_operator.api import Gallery
from gallery_operator.api.meta import Condition
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.kube import KubeError, KubeReason
from gallery_operator.kube.errors import from_status
from gallery_operator.planning.outcome import RETRY_GRACE_SECONDS, Done, Outcome, Report, Retry, Stalled, Waiting
from gallery_operator.reconcilers import engine as module
from gallery_operator.reconcilers.engine import Engine, KindHandler
from gallery_operator.reconcilers.halt import Halt, camel, from_azure, from_kube
from gallery_operator.runtime.events import EventRecorder
from gallery_operator.runtime.hints import Hints
from gallery_operator.runtime.workqueue import Backoff, Key, WorkQueue

Json = dict[str, Any]
STALLING = {ErrorKind.INVALID, ErrorKind.FORBIDDEN, ErrorKind.UNAUTHENTICATED, ErrorKind.QUOTA}
WAITING = {ErrorKind.DEPENDENTS, ErrorKind.DEPENDENCY, ErrorKind.CONFLICT}


def azure_error(kind: ErrorKind, **changes: Any) -> AzureError:
    return AzureError(kind, "Some-code", "It failed.", "Do this.", "galleries.put", **changes)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_of_azure_error_has_an_outcome(kind: ErrorKind) -> None:
    outcome = from_azure(azure_error(kind, retry_after=7.0))
    expected: type = Stalled if kind in STALLING else Waiting if kind in WAITING else Retry
    assert isinstance(outcome, expected)
    assert "It failed. Do this." in str(outcome)
    if isinstance(outcome, Retry):
        assert outcome.at_least == 7.0


@pytest.mark.parametrize("reason", list(KubeReason))
def test_every_kubernetes_error_has_an_outcome(reason: KubeReason) -> None:
    outcome = from_kube(KubeError(reason, "x", retry_after=3.0))
    assert isinstance(outcome, Stalled if reason in (KubeReason.FORBIDDEN, KubeReason.INVALID) else Retry)


@pytest.mark.parametrize("code", ["429", "", "not-found", "a.b c", "AuthorizationFailed", "409 Conflict"])
def test_any_code_is_a_reason(code: str) -> None:
    stamp = "2026-01-01T00:00:00Z"
    Condition.model_validate({"type": "Ready", "status": "False", "reason": camel(code), "lastTransitionTime": stamp})


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, {}, KubeReason.NOT_FOUND),
        (409, {"reason": "AlreadyExists"}, KubeReason.ALREADY_EXISTS),
        (409, {"reason": "Conflict"}, KubeReason.CONFLICT),
        (422, {"message": "the server rejected our request due to an error in our request"}, KubeReason.CONFLICT),
        (422, {"message": "spec.x: Invalid value"}, KubeReason.INVALID),
        (400, {}, KubeReason.INVALID),
        (401, {}, KubeReason.FORBIDDEN),
        (403, {}, KubeReason.FORBIDDEN),
        (429, {}, KubeReason.UNAVAILABLE),
        (500, {}, KubeReason.UNAVAILABLE),
        (504, {}, KubeReason.UNAVAILABLE),
    ],
)
def test_kubernetes_answers_are_told_apart(status: int, body: Json, reason: KubeReason) -> None:
    assert from_status(status, body, "what").reason is reason


# -- the engine ---------------------------------------------------------------------------------------------------

KEY = Key("Gallery", "n", "g")
OBJECT: Json = {
    "metadata": {"name": "g", "namespace": "n", "uid": "u", "generation": 2, "resourceVersion": "1"},
    "spec": {"resourceGroup": "r", "location": "westeurope"},
}


@dataclass
class Kube:
    """Holds one object, and says no when told to."""

    body: Json | None = field(default_factory=lambda: copy.deepcopy(OBJECT))
    writes: list[str] = field(default_factory=list)
    errors: list[KubeError] = field(default_factory=list)
    prune: bool = False

    async def get(self, kind: str, namespace: str, name: str) -> Json | None:
        return copy.deepcopy(self.body) if kind == "Gallery" else None

    async def json_patch(self, kind: str, namespace: str, name: str, operations: list[Json]) -> Json:
        self._write("finalizers")
        assert self.body is not None
        test, change = operations
        assert test["value"] == self.body["metadata"]["resourceVersion"]
        self.body["metadata"]["finalizers"] = change["value"]
        if not change["value"] and self.body["metadata"].get("deletionTimestamp"):
            self.body = None
            return {}
        return copy.deepcopy(self.body)

    async def patch_status(self, kind: str, namespace: str, name: str, operations: list[Json]) -> Json:
        self._write("status")
        assert self.body is not None
        assert operations[0] == {"op": "test", "path": "/metadata/uid", "value": self.body["metadata"]["uid"]}
        status = self.body.setdefault("status", {})
        for each in [] if self.prune else operations[1:]:
            field_name = each["path"].removeprefix("/status").removeprefix("/")
            if each["op"] == "remove":
                del status[field_name]
            elif field_name:
                status[field_name] = each["value"]
        return copy.deepcopy(self.body)

    async def create(self, kind: str, body: Json) -> Json:
        return body

    def _write(self, what: str) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.writes.append(what)


@dataclass(frozen=True)
class Ctx:
    kube: Kube
    hints: Hints
    now: Callable[[], Any]


def stand(monkeypatch: pytest.MonkeyPatch, kube: Kube, outcome: Outcome | Exception) -> tuple[Engine, WorkQueue]:
    async def step(ctx: Any, resource: Any) -> Report:
        if isinstance(outcome, Exception):
            raise outcome
        return Report(outcome, {"resourceId": "x"})

    monkeypatch.setattr(module, "HANDLERS", {"Gallery": KindHandler(Gallery, step, step, step)})
    queue = WorkQueue(Backoff(jitter=0.0))
    ctx = Ctx(kube, Hints(), lambda: datetime(2026, 1, 1, tzinfo=UTC))
    return Engine(ctx, queue, EventRecorder(kube, "me"), 600.0), queue  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "reason", "failures"),
    [
        (Done("fine"), "Succeeded", 0),
        (Waiting("Updating", "x", 5.0), "Updating", 0),
        (Retry("Odd", "x"), "Odd", 1),
        (Stalled("Bad", "x"), "Bad", 0),
        (Halt(Stalled("Halted", "x")), "Halted", 0),
        (azure_error(ErrorKind.FORBIDDEN), "SomeCode", 0),
        (KubeError(KubeReason.UNAVAILABLE, "x"), "KubernetesUnavailable", 1),
        (TimeoutError(), "TimedOut", 1),
    ],
)
async def test_every_end_is_written_once_and_wakes_again(
    monkeypatch: pytest.MonkeyPatch, outcome: Outcome | Exception, reason: str, failures: int
) -> None:
    kube = Kube()
    engine, queue = stand(monkeypatch, kube, outcome)
    await engine.process(KEY)
    assert kube.writes == ["finalizers", "status"]
    await engine.process(KEY)
    assert kube.writes == ["finalizers", "status"], "nothing changed, nothing is written"
    assert kube.body is not None
    assert kube.body["status"]["conditions"][0]["reason"] == reason
    assert kube.body["status"]["observedGeneration"] == 2
    assert queue.is_scheduled(KEY)
    assert bool(queue.failures(KEY)) == bool(failures)


async def test_a_bug_in_one_object_does_not_end_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, queue = stand(monkeypatch, Kube(), ZeroDivisionError("bug"))
    await engine.process(KEY)
    assert queue.failures(KEY) == 1


async def test_a_conflict_is_looked_at_again_soon_without_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    kube = Kube(errors=[KubeError(KubeReason.CONFLICT, "changed")])
    engine, queue = stand(monkeypatch, kube, Done("fine"))
    await engine.process(KEY)
    assert queue.failures(KEY) == 0
    assert queue.is_scheduled(KEY)


async def test_a_server_that_prunes_is_not_written_to_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    kube = Kube(prune=True)
    engine, _ = stand(monkeypatch, kube, Done("fine"))
    for _ in range(5):
        await engine.process(KEY)
    assert kube.writes.count("status") == 1


async def test_an_object_that_does_not_fit_the_model_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    body = copy.deepcopy(OBJECT)
    del body["spec"]["location"]
    kube = Kube(body)
    engine, _ = stand(monkeypatch, kube, Done("fine"))
    await engine.process(KEY)
    assert kube.body is not None
    condition = kube.body["status"]["conditions"][0]
    assert condition["reason"] == "InvalidObject"
    assert "spec.location" in condition["message"]


async def test_the_finalizer_goes_only_when_all_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    body = copy.deepcopy(OBJECT)
    body["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [module.FINALIZER]}
    kube = Kube(body)
    engine, queue = stand(monkeypatch, kube, Waiting("Deleting", "x", 5.0))
    await engine.process(KEY)
    assert kube.body is not None
    engine, queue = stand(monkeypatch, kube, Done("gone", "Deleted"))
    await engine.process(KEY)
    assert kube.body is None
    await engine.process(KEY)
    assert not queue.is_scheduled(KEY)


async def test_a_passing_failure_does_not_make_what_was_ready_unready(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    outcomes: list[Outcome | Exception] = [Done("fine")]
    kube = Kube()

    async def step(ctx: Any, resource: Any) -> Report:
        if isinstance(outcomes[-1], Exception):
            raise outcomes[-1]
        return Report(outcomes[-1])

    monkeypatch.setattr(module, "HANDLERS", {"Gallery": KindHandler(Gallery, step, step, step)})
    ctx = Ctx(kube, Hints(), lambda: now)
    engine = Engine(ctx, WorkQueue(Backoff(jitter=0.0)), EventRecorder(kube, "me"), 600.0)  # type: ignore[arg-type]

    async def look(after: float) -> dict[str, str]:
        nonlocal now
        now += timedelta(seconds=after)
        await engine.process(KEY)
        assert kube.body is not None
        return {each["type"]: each["status"] for each in kube.body["status"]["conditions"]}

    assert await look(0) == {"Ready": "True"}
    outcomes.append(azure_error(ErrorKind.THROTTLED))
    assert await look(0) == {"Ready": "True", "Reconciling": "True"}
    assert await look(RETRY_GRACE_SECONDS - 1) == {"Ready": "True", "Reconciling": "True"}
    outcomes.append(Done("fine"))
    assert await look(1) == {"Ready": "True"}
    outcomes.append(azure_error(ErrorKind.UNREACHABLE))
    assert await look(1000) == {"Ready": "True", "Reconciling": "True"}, "a new trouble has a grace of its own"
    assert await look(RETRY_GRACE_SECONDS) == {"Ready": "False", "Reconciling": "True"}
