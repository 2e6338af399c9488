"""The one loop of a reconcile: read live, add the finalizer, let the kind's module act, write status once, wake again.

Everything a reconcile can end with comes together here and becomes conditions, events, metrics and the next wake.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import ValidationError

from gallery_operator import metrics
from gallery_operator.api import KINDS, Resource
from gallery_operator.api.meta import FINALIZER
from gallery_operator.azure.errors import AzureError
from gallery_operator.kube import KubeError, KubeReason
from gallery_operator.planning.credential_use import held
from gallery_operator.planning.outcome import Done, Outcome, Report, Retry, Stalled, Waiting
from gallery_operator.planning.status import merge_difference, ready_condition, settle, without_none
from gallery_operator.reconcilers import credential_hold, definition, gallery, imageversion, vhdimport
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt, from_azure, from_kube
from gallery_operator.redact import redact
from gallery_operator.runtime.events import EventRecorder
from gallery_operator.runtime.workqueue import Key, WorkQueue

_log = logging.getLogger(__name__)

RECONCILE_TIMEOUT_SECONDS = 120.0

# Told only by a step that leaves them as they are.
_NO_DIFFERENCES: Mapping[str, Any] = {"differences": None}

Step = Callable[[Context, Any], Awaitable[Report]]


@dataclass(frozen=True)
class KindHandler:
    """What the engine needs to know of a kind."""

    model: type[Resource]
    reconcile: Step
    finalize: Step
    observe: Step


HANDLERS: Mapping[str, KindHandler] = {
    "Gallery": KindHandler(KINDS[0], gallery.reconcile, gallery.finalize, gallery.observe),
    "GalleryImageDefinition": KindHandler(KINDS[1], definition.reconcile, definition.finalize, definition.observe),
    "VhdImport": KindHandler(KINDS[2], vhdimport.reconcile, vhdimport.finalize, vhdimport.observe),
    "ImageVersion": KindHandler(KINDS[3], imageversion.reconcile, imageversion.finalize, imageversion.observe),
}


class Engine:
    """Reconciles keys."""

    def __init__(self, ctx: Context, queue: WorkQueue, events: EventRecorder, resync_seconds: float) -> None:
        """Prepare.

        Args:
            ctx: What reconcilers get.
            queue: Where the next wake goes.
            events: Where news go.
            resync_seconds: How often an object that is as desired is compared with Azure.
        """
        self._ctx = ctx
        self._queue = queue
        self._events = events
        self._resync_seconds = resync_seconds
        self._refused: dict[Key, dict[str, Any]] = {}
        # Lost with the process: after a restart an object that is still called ready gets the grace once more.
        self._retrying: dict[Key, datetime] = {}

    async def process(self, key: Key) -> None:
        """Reconcile one key; never raises but for cancellation."""
        outcome_name = "error"
        with metrics.RECONCILE_SECONDS.labels(kind=key.kind).time():
            try:
                outcome_name = await self._process(key)
            except KubeError as error:
                if error.reason is KubeReason.CONFLICT:
                    # Somebody wrote meanwhile; look again at once.
                    self._queue.add_after(key, 0.2)
                    outcome_name = "conflict"
                else:
                    delay = self._queue.retry(key, error.retry_after or 0.0)
                    _log.warning("%s: %s; next try in %.1f s", key, error, delay)
            except Exception as error:  # noqa: BLE001 - a bug in one object must not end the worker
                delay = self._queue.retry(key)
                _log.error("%s: unexpected %s: %s; next try in %.1f s", key, type(error).__name__, redact(error), delay)
                _log.debug("traceback", exc_info=error)
        metrics.RECONCILES.labels(kind=key.kind, outcome=outcome_name).inc()

    async def _process(self, key: Key) -> str:
        handler = HANDLERS[key.kind]
        body = await self._ctx.kube.get(key.kind, key.namespace, key.name)
        if body is None:
            self._gone(key)
            return "gone"
        deleting = bool(body["metadata"].get("deletionTimestamp"))
        holds = FINALIZER in (body["metadata"].get("finalizers") or [])
        if deleting and not holds:
            return "gone"
        if _only_observes(body):
            if holds:  # it was managed before; nothing in Azure depends on it any more
                body = await self._release(key, body)
                body = await self._let_go(key, body)
            if deleting:
                self._gone(key)
                return "deleted"
        elif not deleting:
            if not holds:
                body = await self._add_finalizer(key, body)
            body = await credential_hold.hold(self._ctx, key, body, partial(self._set_status, key))
        report, resource = await self._finished(handler, body) or await self._run(handler, body, deleting)
        if deleting and isinstance(report.outcome, Done):
            body = await self._release(key, body)
            await self._remove_finalizer(key, body)
            if resource is not None:
                await self._events.post(resource, "Normal", report.outcome.reason, report.outcome.message)
            _log.info("%s: %s", key, report.outcome.message)
            self._queue.forget(key)
            return "deleted"
        await self._write(key, body, resource, report)
        return self._wake(key, report.outcome)

    async def _finished(self, handler: KindHandler, body: dict[str, Any]) -> tuple[Report, Resource | None] | None:
        """Return the end of an object that has cleaned up before: its credential may be gone by now."""
        if not (body.get("status") or {}).get("finalized"):
            return None
        return Report(Done("It is cleaned up.", "Deleted")), handler.model.model_validate(body)

    async def _release(self, key: Key, body: dict[str, Any]) -> dict[str, Any]:
        """Let go of the Secrets that an object holds which has cleaned up, or has nothing to clean up any more."""
        names = held(body)
        if not names:
            return body
        deleting = bool(body["metadata"].get("deletionTimestamp"))
        if deleting and not body["status"].get("finalized"):
            # Said first: of two objects that end at the same time, the later one sees that it is the last.
            body = await self._set_status(key, body, {"finalized": True})
        for name in names:
            await credential_hold.let_go(self._ctx, key, name)
        return body if deleting else await self._set_status(key, body, {"credentialSecrets": None})

    async def _set_status(self, key: Key, body: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
        old = body.get("status") or {}
        new = without_none({**old, **fields})
        operations = _status_operations(body, merge_difference(old, new), new)
        return await self._ctx.kube.patch_status(key.kind, key.namespace, key.name, operations)

    async def _run(self, handler: KindHandler, body: dict[str, Any], deleting: bool) -> tuple[Report, Resource | None]:
        try:
            resource = handler.model.model_validate(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            return Report(Stalled("InvalidObject", f"{where}: {first['msg']}. Correct the object.")), None
        step = handler.finalize if deleting else handler.observe if _only_observes(body) else handler.reconcile
        try:
            async with asyncio.timeout(RECONCILE_TIMEOUT_SECONDS):
                done = await step(self._ctx, resource)
                return replace(done, status={**_NO_DIFFERENCES, **done.status}), resource
        except Halt as halt:
            return Report(halt.outcome, {**_NO_DIFFERENCES, **halt.status}), resource
        except AzureError as error:
            _log.info("%s: %s (request id %s)", resource.key, error, error.request_id)
            return Report(from_azure(error)), resource
        except KubeError as error:
            if error.reason is KubeReason.CONFLICT:
                raise
            return Report(from_kube(error)), resource
        except TimeoutError:
            return Report(Retry("TimedOut", f"A step took longer than {RECONCILE_TIMEOUT_SECONDS:.0f} s.")), resource

    async def _write(self, key: Key, body: dict[str, Any], resource: Resource | None, report: Report) -> None:
        old = body.get("status") or {}
        generation = int(body["metadata"]["generation"])
        now = self._ctx.now()
        failing = (now - self._failing_since(key, report.outcome, now)).total_seconds()
        new = settle(old, report, generation, now, retrying_seconds=failing)
        patch = merge_difference(old, new)
        news = self._news(old, new)
        if patch and self._refused.get(key) != new:
            self._tell(key, old, new)
            operations = _status_operations(body, patch, new)
            answer = await self._ctx.kube.patch_status(key.kind, key.namespace, key.name, operations)
            if (answer.get("status") or {}) != new:
                # The server pruned or changed something: writing it again would never end.
                _log.error("%s: the API server did not keep the status as written; are the CRDs of this version?", key)
                self._refused[key] = new
            else:
                self._refused.pop(key, None)
        if resource is None:
            return
        for kind, reason, message in (*report.events, *news):
            await self._events.post(resource, "Warning" if kind == "Warning" else "Normal", reason, message)

    def _failing_since(self, key: Key, outcome: Outcome, now: datetime) -> datetime:
        if isinstance(outcome, Retry):
            return self._retrying.setdefault(key, now)
        self._retrying.pop(key, None)
        return now

    @staticmethod
    def _tell(key: Key, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Log a change of the reason of ``Ready``; progress within one reason is left to status."""
        before, after = ready_condition(old), ready_condition(new)
        if after is not None and (before is None or before["reason"] != after["reason"]):
            _log.info("%s: %s: %s", key, after["reason"], after["message"])

    @staticmethod
    def _news(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
        """Return the change of ``Ready`` that is worth an Event: becoming ready, or stalling."""
        before, after = ready_condition(old), ready_condition(new)
        if after is None:
            return ()
        stalled = next((each for each in new["conditions"] if each["type"] == "Stalled"), None)
        if stalled is not None:
            if before is not None and (before["reason"], before["message"]) == (after["reason"], after["message"]):
                return ()
            return (("Warning", stalled["reason"], stalled["message"]),)
        if after["status"] == "True" and (before is None or before["status"] != "True"):
            return (("Normal", "Ready", after["message"]),)
        return ()

    def _wake(self, key: Key, outcome: Outcome) -> str:
        match outcome:
            case Done():
                self._queue.forget(key)
                due = self._resync_seconds if outcome.recheck is None else outcome.recheck
                self._queue.add_after(key, min(due, self._resync_seconds))
                return "done"
            case Waiting():
                self._queue.forget(key)
                self._queue.add_after(key, outcome.delay)
                return "waiting"
            case Retry():
                self._queue.retry(key, outcome.at_least)
                return "retry"
            case Stalled():
                self._queue.forget(key)
                self._queue.add_after(key, outcome.recheck)
                return "stalled"

    async def _add_finalizer(self, key: Key, body: dict[str, Any]) -> dict[str, Any]:
        finalizers = [*(body["metadata"].get("finalizers") or []), FINALIZER]
        return await self._ctx.kube.json_patch(
            key.kind, key.namespace, key.name, [*_unchanged(body), _set_finalizers(finalizers)]
        )

    async def _let_go(self, key: Key, body: dict[str, Any]) -> dict[str, Any]:
        finalizers = [each for each in body["metadata"].get("finalizers") or [] if each != FINALIZER]
        return await self._ctx.kube.json_patch(
            key.kind, key.namespace, key.name, [*_unchanged(body), _set_finalizers(finalizers)]
        )

    async def _remove_finalizer(self, key: Key, body: dict[str, Any]) -> None:
        try:
            await self._let_go(key, body)
        except KubeError as error:
            if error.reason is not KubeReason.NOT_FOUND:
                raise
        self._gone(key)

    def _gone(self, key: Key) -> None:
        # The watch tells of the deletion too, but the hints are forgotten by then.
        hints = self._ctx.hints
        for other in {*hints.referred(key), *hints.referrers(key), *hints.rivals(key)}:
            self._queue.add(other)
        self._ctx.hints.remove(key)
        self._queue.forget(key)
        self._refused.pop(key, None)
        self._retrying.pop(key, None)


def _status_operations(
    body: Mapping[str, Any], patch: Mapping[str, Any], new: Mapping[str, Any]
) -> list[dict[str, Any]]:
    # The uid makes it a conflict to write to another object that has taken the name meanwhile.
    operations: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/uid", "value": body["metadata"]["uid"]}]
    if "status" not in body:
        operations.append({"op": "add", "path": "/status", "value": {}})
    for name, change in patch.items():
        if change is None:
            operations.append({"op": "remove", "path": f"/status/{name}"})
        else:
            operations.append({"op": "add", "path": f"/status/{name}", "value": new[name]})
    return operations


def _only_observes(body: Mapping[str, Any]) -> bool:
    return bool((body.get("spec") or {}).get("managementPolicy") == "Observe")


def _unchanged(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"op": "test", "path": "/metadata/resourceVersion", "value": body["metadata"]["resourceVersion"]}]


def _set_finalizers(finalizers: list[str]) -> dict[str, Any]:
    return {"op": "add", "path": "/metadata/finalizers", "value": finalizers}
