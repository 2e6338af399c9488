"""The operator's process: opens the gateways, waits for the lease, runs kopf and the workers, ends cleanly."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

import kopf
from prometheus_client import REGISTRY

from gallery_operator.api import GROUP, KINDS, VERSION
from gallery_operator.azure.gateway import AzureGateway
from gallery_operator.azure.settings import AzureSettings
from gallery_operator.handlers import watches
from gallery_operator.kube import KubeError, KubeGateway
from gallery_operator.reconcilers.context import Context, Settings
from gallery_operator.reconcilers.engine import RECONCILE_TIMEOUT_SECONDS, Engine
from gallery_operator.reconcilers.sweep import Sweep
from gallery_operator.runtime.census import Census
from gallery_operator.runtime.events import EventRecorder
from gallery_operator.runtime.health import Health, HealthServer
from gallery_operator.runtime.hints import Hints
from gallery_operator.runtime.lease import LOST_LEASE_EXIT_CODE, LeaderLease, LeaseSettings
from gallery_operator.runtime.memory import give_back
from gallery_operator.runtime.progress import ProgressReader
from gallery_operator.runtime.workqueue import Backoff, Key, ShutDown, WorkQueue

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How to run, from the command line.

    Attributes:
        reconcilers: Settings of the reconcilers.
        azure: Settings of the Azure gateway.
        lease: Names and times of the lease; None: run without (a single process, tests).
        namespaces: Namespaces to serve; empty: all.
        workers: Reconciles at the same time.
        resync_seconds: Interval of the periodic list and of comparing settled objects with Azure.
        health_port: Port of the probes.
        metrics_port: Port of the metrics.
        host: Address to listen on.
        identity: Name of this process.
        kubeconfig: Path of a kubeconfig; None: the service account or the default.
        trust_env: Whether proxies of the environment apply to the Kubernetes API.
        backoff: Pace of repeating what failed.
    """

    reconcilers: Settings
    azure: AzureSettings
    lease: LeaseSettings | None
    namespaces: tuple[str, ...] = ()
    workers: int = 8
    resync_seconds: float = 600.0
    health_port: int = 8081
    metrics_port: int = 9090
    host: str = "0.0.0.0"  # noqa: S104 - a pod's probes come from outside
    identity: str = field(default_factory=lambda: os.environ.get("POD_ID") or f"pid-{os.getpid()}")
    kubeconfig: str | None = None
    trust_env: bool = False
    backoff: Backoff = field(default_factory=Backoff)


async def run(options: Options) -> None:
    """Run the operator until it is told to stop (SIGTERM, SIGINT).

    Raises:
        KubeError: There is no way to reach a cluster.
        OSError: A port is taken.
    """
    queue = WorkQueue(options.backoff)
    health = Health(queue, RECONCILE_TIMEOUT_SECONDS, options.resync_seconds)
    server = HealthServer(health, options.health_port, options.metrics_port, options.host)
    await server.start()
    try:
        async with (
            KubeGateway(options.kubeconfig) as kube,
            AzureGateway(options.azure) as azure,
            ProgressReader() as progress,
        ):
            give_back()
            context = Context(kube, azure, options.reconcilers, Hints(), progress)
            lease = None
            if options.lease is not None:
                lease = LeaderLease(kube, options.lease, _lost)
                await lease.acquire()
            health.leader = True
            census = Census()
            REGISTRY.register(census)
            try:
                await _lead(options, context, queue, health, census)
            finally:
                REGISTRY.unregister(census)
                health.leader = False
                if lease is not None:
                    await lease.release()
    finally:
        await server.stop()


def _lost() -> None:
    # Another process may lead already: nothing more may be written, not even by a finally block.
    os._exit(LOST_LEASE_EXIT_CODE)


async def _lead(options: Options, context: Context, queue: WorkQueue, health: Health, census: Census) -> None:
    engine = Engine(context, queue, EventRecorder(context.kube, options.identity), options.resync_seconds)
    await _wait_for_kinds(context.kube)
    ready, listed = asyncio.Event(), asyncio.Event()
    tasks = [
        asyncio.create_task(_resync(options, context, queue, census, health, listed), name="resync"),
        asyncio.create_task(_sweep(options, context, census), name="sweep"),
        asyncio.create_task(_note_ready(ready, health), name="ready"),
        *(asyncio.create_task(_work(queue, engine, listed), name=f"worker-{n}") for n in range(options.workers)),
    ]
    try:
        # kopf identifies itself by the login name unless POD_ID is set, and fails for a UID without one.
        os.environ.setdefault("POD_ID", options.identity)
        await kopf.operator(
            registry=watches.registry(queue, context.hints, census, context.kube, trust_env=options.trust_env),
            settings=watches.settings(trust_env=options.trust_env),
            standalone=True,
            clusterwide=not options.namespaces,
            namespaces=options.namespaces,
            ready_flag=ready,
        )
    finally:
        queue.shut_down()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _note_ready(ready: asyncio.Event, health: Health) -> None:
    await ready.wait()
    health.watching = True


async def _wait_for_kinds(kube: KubeGateway) -> None:
    """Wait until all four CRDs are served; kopf never picks up one that is absent at its start."""
    wanted = {each.plural for each in KINDS}
    told = False
    while True:
        try:
            found = await kube.raw(f"/apis/{GROUP}/{VERSION}")
            missing = wanted - {each["name"] for each in found.get("resources") or []}
        except KubeError as error:
            missing = wanted
            _log.debug("%s", error)
        if not missing:
            return
        if not told:
            _log.warning(
                "waiting for the CustomResourceDefinitions of %s (missing: %s)", GROUP, ", ".join(sorted(missing))
            )
            told = True
        await asyncio.sleep(1.0)


async def _work(queue: WorkQueue, engine: Engine, listed: asyncio.Event) -> None:
    # "Nobody refers to it" is only known when everybody has been listed.
    await listed.wait()
    while True:
        try:
            key = await queue.get()
        except ShutDown:
            return
        try:
            await engine.process(key)
        finally:
            queue.done(key)


async def _resync(
    options: Options, context: Context, queue: WorkQueue, census: Census, health: Health, listed: asyncio.Event
) -> None:
    """List everything now and then: finds what a watch has missed, purges what is gone, wakes nothing else."""
    while True:
        delay = options.resync_seconds
        try:
            for kind in (each.kind_name for each in KINDS):
                await _list_kind(options, context, queue, census, kind)
            health.listed_at = asyncio.get_running_loop().time()
            listed.set()
        except KubeError as error:
            _log.warning("resync: %s", error)
            delay = min(30.0 if listed.is_set() else 2.0, options.resync_seconds)
        except Exception:  # noqa: BLE001
            # This task must not end: without it nothing missed is ever found.
            _log.exception("resync")
            delay = min(30.0, options.resync_seconds)
        await asyncio.sleep(delay)


async def _list_kind(options: Options, context: Context, queue: WorkQueue, census: Census, kind: str) -> None:
    alive: list[Key] = []
    namespaces: Iterable[str | None] = options.namespaces or (None,)
    for namespace in namespaces:
        for body in await context.kube.list(kind, namespace):
            meta = body["metadata"]
            key = Key(kind, meta["namespace"], meta["name"])
            alive.append(key)
            # A list may be older than the watch: it may wake, but not overwrite what the watch has told.
            if context.hints.note_if_new(key, body):
                census.update(key, body)
                queue.add(key)
            elif not queue.is_scheduled(key):
                queue.add(key)
    for ghost in context.hints.retain(kind, alive):
        census.remove(ghost)
        queue.add(ghost)


async def _sweep(options: Options, context: Context, census: Census) -> None:
    """Look for what imports have left, now and then; never in the way of anything else."""
    sweep = Sweep(context, census.swept, options.namespaces)
    # A start is busy enough.
    await asyncio.sleep(min(60.0, options.resync_seconds))
    while True:
        try:
            await sweep.run()
        except KubeError as error:
            _log.warning("sweep: %s", error)
        except Exception:  # noqa: BLE001
            # Nothing depends on it, and the next look may go better.
            _log.exception("sweep")
        await asyncio.sleep(options.resync_seconds)


def main(options: Options) -> int:
    """Run the operator; returns the exit code."""
    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(run(options))
        except (KubeError, OSError) as error:
            _log.critical("%s", error)
            return 1
    return 0
