"""When everything is Ready, nothing is written; what it costs to watch over a hundred objects."""

from __future__ import annotations

import os

from tests.support.e2e import journeys, quiet
from tests.support.e2e.cluster import Cluster
from tests.support.e2e.install import RESYNC_SECONDS
from tests.support.e2e.memory import operator_memory
from tests.support.e2e.sandbox import ACCOUNT, CONTAINER, GROUP_NAME, LOCATION, Sandbox

_MIB = 1024 * 1024
_OBJECTS = 100
# hack/bench/steady.py does the same for the ten minutes of a release.
_SECONDS = float(os.environ.get("GALLERY_OPERATOR_E2E_QUIET_SECONDS") or 45)


def test_quiet_with_a_hundred_objects(cluster: Cluster, measured: list[str]) -> None:
    """All four kinds are Ready: not one write to Kubernetes or Azure, in several resyncs; memory stays small."""
    with Sandbox.make(cluster, "quiet") as sandbox:
        journeys.small_image(sandbox, ("westeurope", "northeurope"))
        blob = {"storageAccountId": ACCOUNT, "container": CONTAINER, "blobName": "quiet.vhd"}
        sandbox.small_import("blob", 8, destination={"pageBlob": blob})
        for number in range(_OBJECTS - 5):
            name = f"gallery{number:03}"
            spec = {"galleryName": f"{sandbox.gallery_name}_{number:03}", "resourceGroup": GROUP_NAME}
            sandbox.create("Gallery", name, spec | {"location": LOCATION})
        sandbox.wait("100 objects to be Ready", lambda: everything_ready(sandbox), seconds=240)
        # Namespaces of the scenarios before go on being removed for a while.
        sandbox.wait("the cluster to be quiet", lambda: quiet.watch(cluster, RESYNC_SECONDS).quiet, seconds=180)
        memory = operator_memory(cluster)
        found = quiet.watch(cluster, _SECONDS)
        measured.append(
            f"{_OBJECTS} objects in {_SECONDS:.0f} s: {found.writes} writes, {found.reads} reads; operator {memory}"
        )
        assert found.quiet, found
        assert not found.restarted
        assert found.reads > 0, "nothing was compared with Azure: was there a resync at all?"
        assert memory.resident <= 200 * _MIB, memory
        for item in sandbox.kube.list("Gallery", sandbox.namespace):
            sandbox.kube.delete("Gallery", sandbox.namespace, item["metadata"]["name"])


def everything_ready(sandbox: Sandbox) -> bool:
    """Whether the sandbox has its hundred objects and all are Ready."""
    return len(sandbox.objects()) >= _OBJECTS and all(
        each["status"] == "True"
        for item in sandbox.objects()
        for each in (item.get("status") or {}).get("conditions") or [{"type": "Ready", "status": "False"}]
        if each["type"] == "Ready"
    )
