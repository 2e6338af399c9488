"""A cluster made by kind, where a Docker engine answers."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from hack.localcluster.errors import ClusterError
from hack.localcluster.instance import Instance
from hack.localcluster.process import write_private
from hack.localcluster.shell import run, say, tool

# kind's own StorageClass makes hostPath volumes, to which the kubelet does not apply a pod's fsGroup.
LOCAL_VOLUMES = '{"metadata": {"annotations": {"defaultVolumeType": "local"}}}'


def docker_answers() -> bool:
    """Whether there is a Docker engine behind the docker command; the command alone proves nothing."""
    if not shutil.which("docker"):
        return False
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def exists(instance: Instance) -> bool:
    """Whether kind has a cluster of this name."""
    return instance.name in run([tool("kind"), "get", "clusters"]).split()


def up(instance: Instance) -> None:
    """Makes sure that the cluster is there and its kubeconfig is written."""
    instance.state.mkdir(parents=True, exist_ok=True)
    kind = tool("kind")
    if not exists(instance):
        say("making a cluster with kind...")
        private = instance.state / "kind.kubeconfig"
        create: list[str | Path] = [
            kind,
            "create",
            "cluster",
            "--name",
            instance.name,
            "--kubeconfig",
            private,
            "--wait",
            "180s",
        ]
        # kind's own progress is worth seeing.
        if subprocess.run(create, stdout=subprocess.DEVNULL, check=False).returncode != 0:
            raise ClusterError("kind could not make a cluster; its message is above")
    # A name that says what it is: the tests refuse contexts that do not look like a local cluster's.
    text = run([kind, "get", "kubeconfig", "--name", instance.name])
    write_private(instance.kubeconfig, text.replace(f"kind-{instance.name}", instance.context))
    patch = ["patch", "storageclass", "standard", "--patch", LOCAL_VOLUMES]
    run([tool("kubectl"), "--kubeconfig", instance.kubeconfig, *patch])


def down(instance: Instance) -> None:
    """Removes the cluster and its state folder."""
    if exists(instance):
        with tempfile.NamedTemporaryFile() as unused:
            run([tool("kind"), "delete", "cluster", "--name", instance.name, "--kubeconfig", unused.name])
    shutil.rmtree(instance.state, ignore_errors=True)


def load(instance: Instance, what: str) -> None:
    """Loads an archive, or an image that the Docker engine has."""
    if Path(what).is_file():
        run([tool("kind"), "load", "image-archive", what, "--name", instance.name])
        return
    reference = what if "/" in what else f"localhost/{what}:dev"
    run([tool("kind"), "load", "docker-image", reference, "--name", instance.name])
