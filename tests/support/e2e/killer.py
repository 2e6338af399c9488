"""Kills the operator at random moments while scenarios run."""

from __future__ import annotations

import random
import threading
import time

from kubernetes.client import ApiException
from tests.support.e2e import leaks, names
from tests.support.e2e.cluster import Cluster

_SHORTEST, _LONGEST = 1.0, 12.0


class Killer:
    """A thread that kills the operator again and again; each time it lets it work for a random while.

    Attributes:
        seed: Makes the moments repeatable, as far as a cluster is.
        kills: What was done, with the second at which it was.
        leaked: Secrets found in the logs of those that were killed.
    """

    def __init__(self, cluster: Cluster, seed: int) -> None:
        """Prepare; ``start`` begins."""
        self.seed = seed
        self.kills: list[str] = []
        self.leaked: list[str] = []
        self._cluster = cluster
        self._chance = random.Random(seed)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="killer", daemon=True)
        self._started = time.monotonic()

    def start(self) -> None:
        """Begin to kill."""
        self._thread.start()

    def stop(self) -> None:
        """Kill no more."""
        self._end.set()
        self._thread.join(timeout=120)

    def story(self) -> str:
        """Return what was done, and how to do it again."""
        return "\n".join([f"killed with GALLERY_OPERATOR_E2E_SEED={self.seed}", *self.kills])

    def _work(self) -> None:
        while not self._end.is_set():
            # Only one that works can be caught in the middle of something.
            if not self._wait_for_operator():
                return
            if self._end.wait(self._chance.uniform(_SHORTEST, _LONGEST)):
                return
            try:
                self._keep_logs()
                what = self._cluster.kill_operator(self._chance)
            except ApiException as error:
                what = f"not killed: {error.status} {error.reason}"
            self.kills.append(f"{time.monotonic() - self._started:.1f} s: {what}")

    def _wait_for_operator(self) -> bool:
        while not self._end.is_set():
            try:
                if self._cluster.operator_at_work() is not None:
                    return True
            except ApiException:
                pass
            self._end.wait(0.3)
        return False

    def _keep_logs(self) -> None:
        for pod in self._cluster.operator_pods():
            name = pod["metadata"]["name"]
            secrets = self._cluster.secrets
            self.leaked += leaks.in_pod_logs(self._cluster.kube, names.OPERATOR_NAMESPACE, name, secrets)
