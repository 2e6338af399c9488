"""`hack/cluster up --control-plane-only`: an API server for anybody, without rights."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hack.localcluster.instance import Instance, cache_folder
from hack.localcluster.process import Record

ROOT = Path(__file__).resolve().parents[3]
NAME = "gallery-operator-selftest-api"
CLUSTER = str(ROOT / "hack/cluster")

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]


def cluster(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run([CLUSTER, *arguments], env=environment(), capture_output=True, text=True, check=check)


def environment() -> dict[str, str]:
    return os.environ | {"GALLERY_OPERATOR_CLUSTER": NAME, "GALLERY_OPERATOR_CLUSTER_PROVIDER": "node"}


@pytest.fixture
def instance() -> Iterator[Instance]:
    instance = Instance(NAME, cache_folder())
    cluster("down")
    yield instance
    cluster("down")
    assert processes() == []
    assert not instance.state.exists()


def processes() -> list[str]:
    """Command lines of everything that belongs to this cluster, supervisors included."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if f"clusters/{NAME}/" in command:
            found.append(command)
    return found


def server_version(instance: Instance) -> str:
    program = subprocess.run([ROOT / "hack/tools/path", "kubectl"], capture_output=True, text=True, check=True).stdout
    argv = [program.strip(), "--kubeconfig", str(instance.kubeconfig), "version", "-o", "json"]
    answer = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    version: str = json.loads(answer)["serverVersion"]["gitVersion"]
    return version


def test_it_serves_and_a_second_up_changes_nothing(instance: Instance) -> None:
    assert cluster("up", "--control-plane-only").stdout.strip() == str(instance.kubeconfig)
    pinned = (ROOT / "hack/tools/kubernetes/go.mod").read_text()
    assert f"k8s.io/kubernetes {server_version(instance)}" in pinned
    record = Record.load(instance.record)
    cluster("up", "--control-plane-only")
    assert Record.load(instance.record) == record
    assert "API server" in cluster("status").stdout


def test_secrets_are_for_their_owner_only(instance: Instance) -> None:
    cluster("up", "--control-plane-only")
    open_to_others = [
        path
        for folder in (instance.pki, instance.conf, instance.kubeconfig)
        for path in [folder, *folder.rglob("*")]
        if path.is_file() and path.stat().st_mode & 0o077
    ]
    assert open_to_others == []


def test_killed_it_comes_back(instance: Instance) -> None:
    cluster("up", "--control-plane-only")
    record = Record.load(instance.record)
    assert record is not None
    record.supervisor.kill(signal.SIGKILL)
    record.supervisor.wait(10)
    assert "dead" in cluster("status", check=False).stdout
    cluster("up", "--control-plane-only")
    assert server_version(instance)


def test_a_whole_cluster_does_not_take_its_place(instance: Instance) -> None:
    cluster("up", "--control-plane-only")
    done = cluster("up", check=False)
    assert done.returncode == 1
    assert "control plane alone" in done.stderr
    assert server_version(instance)


@pytest.mark.parametrize("attempt", range(3))
def test_interrupted_anywhere_it_leaves_no_process_after_down(instance: Instance, attempt: int) -> None:
    argv = [CLUSTER, "up", "--control-plane-only"]
    with subprocess.Popen(argv, env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as up:
        time.sleep(random.Random(attempt).uniform(0.1, 2.5))  # the moment is the point of the test
        up.send_signal(signal.SIGKILL if attempt % 2 else signal.SIGINT)
    cluster("down")
    assert processes() == []
