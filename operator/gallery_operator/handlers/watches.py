"""kopf's part: an informer. Its events put keys on the queue and nothing else.

No create, update, delete or timer handlers, no indexes, no results: a timer of kopf's ends for ever after one rejected
patch, an index costs quadratic time at start (measured at 1.45.2; see ``docs/adr``).
"""

import random
from collections.abc import Iterator
from typing import Any

import kopf

from gallery_operator.api import GROUP, KINDS, VERSION
from gallery_operator.kube import KubeGateway
from gallery_operator.planning import jobs
from gallery_operator.runtime.census import Census
from gallery_operator.runtime.hints import Hints
from gallery_operator.runtime.workqueue import Key, WorkQueue


class EndlessBackoff:
    """kopf's ``error_backoffs``: grows to a cap and never ends, with jitter.

    With a finite list kopf ends the process when the API server is away for longer than its sum.
    """

    def __init__(self, first: float = 0.2, cap: float = 30.0) -> None:
        self._first = first
        self._cap = cap

    def __iter__(self) -> Iterator[float]:
        """Yield delays in seconds."""
        delay = self._first
        while True:
            yield delay * random.uniform(0.7, 1.3)  # noqa: S311 - jitter, not cryptography
            delay = min(self._cap, delay * 2)


def settings(*, trust_env: bool) -> kopf.OperatorSettings:
    """Return kopf's settings.

    Args:
        trust_env: Whether ``HTTPS_PROXY`` and friends apply to the Kubernetes API.
    """
    result = kopf.OperatorSettings()
    result.persistence.finalizer = f"{GROUP}/kopf"  # unused by event handlers; renamed for safety
    result.posting.enabled = False
    # The kinds are waited for before kopf starts, so no right to watch CRDs and namespaces is needed.
    result.scanning.disabled = True
    result.networking.request_timeout = 30
    result.networking.connect_timeout = 10
    result.networking.error_backoffs = EndlessBackoff()
    result.networking.trust_env = trust_env
    result.watching.inactivity_timeout = 70
    result.watching.reconnect_backoff = 1.0
    result.watching.label_selectors["batch", "v1", "jobs"] = f"{jobs.MANAGED_BY_LABEL}={jobs.MANAGED_BY}"
    return result


def registry(
    queue: WorkQueue, hints: Hints, census: Census, kube: KubeGateway, *, trust_env: bool
) -> kopf.OperatorRegistry:
    """Return kopf's registry: log in, watch the four kinds and our Jobs.

    Args:
        queue: Where keys go.
        hints: What the watches tell.
        census: What is counted.
        kube: Whose cluster and credentials kopf uses, too.
        trust_env: Whether proxies of the environment apply.
    """
    result = kopf.OperatorRegistry()

    @kopf.on.login(registry=result, id="login")
    async def login(**_: Any) -> kopf.ConnectionInfo:
        # Called again when the API server answers 401: the gateway has the present token.
        how = await kube.connection()
        return kopf.ConnectionInfo(
            server=how.server,
            ca_path=how.ca_path,
            certificate_path=how.certificate_path,
            private_key_path=how.private_key_path,
            token=how.token,
            insecure=how.insecure or None,
            trust_env=trust_env,
        )

    for each in KINDS:
        kind = each.kind_name

        @kopf.on.event(GROUP, VERSION, each.plural, registry=result, id=f"watch-{each.plural}")
        async def watch(event: kopf.RawEvent, kind: str = kind, **_: Any) -> None:
            on_object(queue, hints, census, kind, str(event["type"]), dict(event["object"]))

    @kopf.on.event("batch", "v1", "jobs", registry=result, id="watch-jobs")
    async def watch_jobs(event: kopf.RawEvent, **_: Any) -> None:
        on_job(queue, dict(event["object"]))

    return result


def on_object(queue: WorkQueue, hints: Hints, census: Census, kind: str, event_type: str, body: dict[str, Any]) -> None:
    """Put on the queue what an event of one of our kinds concerns."""
    meta = body["metadata"]
    key = Key(kind, meta["namespace"], meta["name"])
    if event_type == "DELETED":
        concerned = {*hints.referred(key), *hints.referrers(key), *hints.rivals(key)}
        hints.remove(key)
        census.remove(key)
        queue.add(key)
    else:
        before = set(hints.referred(key))
        change = hints.update(key, body)
        census.update(key, body)
        if change.own:
            queue.add(key)
        concerned = set(hints.referrers(key)) if change.others else set()
        if change.parents:
            concerned |= {*before, *hints.referred(key)}
    for each in concerned:
        queue.add(each)


def on_job(queue: WorkQueue, body: dict[str, Any]) -> None:
    """Put the import on the queue that a Job belongs to."""
    meta = body["metadata"]
    for owner in meta.get("ownerReferences") or []:
        if owner.get("kind") == "VhdImport" and str(owner.get("apiVersion", "")).startswith(f"{GROUP}/"):
            queue.add(Key("VhdImport", meta["namespace"], owner["name"]))
