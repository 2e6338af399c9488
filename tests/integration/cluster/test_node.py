"""The single-node cluster as a whole: it works, and nothing of it stays."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hack.localcluster import node
from hack.localcluster.errors import ClusterError
from hack.localcluster.instance import Instance, cache_folder
from hack.localcluster.process import Record

ROOT = Path(__file__).resolve().parents[3]
NAME = "gallery-operator-selftest"
CLUSTER = str(ROOT / "hack/cluster")
IMAGE = "localhost/gallery-operator:dev"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def _possible() -> None:
    try:
        node.preflight()
    except ClusterError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def instance() -> Instance:
    return Instance(NAME, cache_folder())


def cluster(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run([CLUSTER, *arguments], env=environment(), capture_output=True, text=True, check=check)


def environment() -> dict[str, str]:
    return os.environ | {"GALLERY_OPERATOR_CLUSTER": NAME, "GALLERY_OPERATOR_CLUSTER_PROVIDER": "node"}


def output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def traces(instance: Instance) -> dict[str, Any]:
    """Everything a cluster could leave on the machine; tests that run beside this one must not show in it."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    processes = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if f"clusters/{NAME}/" in command or (f" {NAME} " in command and "containerd-shim" in command):
            processes.append(command)
    groups = [str(path) for path in Path("/sys/fs/cgroup").rglob(f"{NAME}-*")]
    settings = {path: Path(path).read_text() for path in sorted(SETTINGS)}
    return {
        "processes": processes,
        "mounts": [line for line in mounts if NAME in line],
        "link": instance.link in output("ip", "link"),
        "addresses": [line for line in output("ip", "-o", "address").splitlines() if instance.link in line],
        "rules": output("nft", "list", "ruleset"),
        "named network namespaces": sorted(path.name for path in Path("/run/netns").glob("*")),
        "cgroups": groups,
        "settings": settings,
        "folders": [str(folder) for folder in FOLDERS if folder.exists()],
        "state": instance.state.exists(),
    }


SETTINGS = (
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/kernel/panic",
    "/proc/sys/kernel/panic_on_oops",
    "/proc/sys/kernel/keys/root_maxkeys",
)
FOLDERS = tuple(
    map(
        Path,
        (
            "/var/lib/cni",
            "/var/lib/kubelet",
            "/var/log/pods",
            "/var/log/containers",
            "/run/containerd",
            "/run/netns",
            "/usr/libexec/kubernetes",
            "/etc/cni/net.d",
        ),
    )
)


@pytest.fixture(scope="module")
def before(instance: Instance) -> dict[str, Any]:
    cluster("down")
    return traces(instance)


@pytest.fixture(scope="module")
def running(instance: Instance, before: dict[str, Any]) -> Iterator[Instance]:
    cluster("up")
    yield instance
    cluster("down")
    assert traces(instance) == before


def kubectl(instance: Instance, *arguments: str, text: str | None = None) -> str:
    program = output(str(ROOT / "hack/tools/path"), "kubectl").strip()
    argv = [program, "--kubeconfig", str(instance.kubeconfig), *arguments]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


MANIFESTS: list[dict[str, Any]] = [
    {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "selftest", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    },
    {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "selftest"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "selftest"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8000}]},
    },
    *(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "selftest", "labels": {"app": name}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "fsGroup": 4321,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "main",
                        "image": IMAGE,
                        "imagePullPolicy": "Never",
                        "command": ["python3", "-m", "http.server", "--directory", "/data"],
                        "resources": {"limits": {"memory": "128Mi"}},
                        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
                "volumes": [{"name": "data", **volume}],
            },
        }
        for name, volume in (
            ("web", {"persistentVolumeClaim": {"claimName": "data"}}),
            ("client", {"emptyDir": {}}),
        )
    ),
]


def test_a_restricted_pod_has_volume_dns_service_logs_and_exec(running: Instance) -> None:
    subprocess.run([ROOT / "hack/images/build", "operator"], check=True)
    cluster("load-image", "gallery-operator")
    kubectl(running, "apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": MANIFESTS}))
    kubectl(running, "-n", "selftest", "wait", "--for=condition=Ready", "pod/web", "pod/client", "--timeout=120s")

    def execute(pod: str, script: str) -> str:
        return kubectl(running, "-n", "selftest", "exec", pod, "--", "sh", "-c", script)

    # A claim belongs to root, and the group of the pod may write.
    assert execute("web", "echo hello >/data/file && stat -c '%u %g %a' /data").strip() == "0 4321 2775"
    # From pod to pod through the service, by each form of its name: both on one node, so the answer must be
    # translated back on its way.
    fetch = "import sys,urllib.request;print(urllib.request.urlopen(sys.argv[1],timeout=10).read().decode())"
    # A pod is ready a moment before kube-proxy has heard of it.
    wait_until(lambda: execute("client", f"python3 -c '{fetch}' http://web/file || true").strip() == "hello", 20)
    for host in ("web", "web.selftest", "web.selftest.svc.cluster.local"):
        assert execute("client", f"python3 -c '{fetch}' http://{host}/file").strip() == "hello"
    # A name outside of the cluster is denied at once, not after a timeout.
    lookup = (
        "import socket,time;t=time.time()\n"
        'try: socket.getaddrinfo("example.org",80)\n'
        "except OSError: print(time.time()-t)"
    )
    assert float(execute("client", f"python3 -c '{lookup}'")) < 2
    # A pod reaches its own service.
    assert execute("web", f"python3 -c '{fetch}' http://web.selftest/file").strip() == "hello"
    assert '"GET /file HTTP/1.1" 200' in kubectl(running, "-n", "selftest", "logs", "web")

    kubectl(running, "delete", "namespace", "selftest", "--timeout=120s")
    kubectl(running, "wait", "--for=delete", "pv", "--all", "--timeout=60s")
    assert list((running.state / "volumes").iterdir()) == []


def test_up_again_changes_nothing(running: Instance) -> None:
    record = Record.load(running.record)
    cluster("up")
    assert Record.load(running.record) == record
    status = cluster("status")
    assert "kubelet: running" in status.stdout
    assert "started again" not in status.stdout


def test_an_image_is_loaded_once(running: Instance) -> None:
    cluster("load-image", "gallery-operator")
    started = time.monotonic()
    cluster("load-image", "gallery-operator")
    assert time.monotonic() - started < 3


def test_a_program_that_dies_is_started_again(running: Instance) -> None:
    cluster("node", "pkill", "-9", "-x", "kube-controller")
    again = "kube-controller-manager: running, started again 1 times"
    wait_until(lambda: again in cluster("status", check=False).stdout)


def test_killed_and_started_again_it_still_holds_what_it_held(running: Instance) -> None:
    kubectl(running, "create", "configmap", "kept", "--from-literal=a=b")
    record = Record.load(running.record)
    assert record is not None
    record.supervisor.kill(signal.SIGKILL)
    wait_until(lambda: cluster("status", check=False).returncode == 1)
    cluster("up")
    assert kubectl(running, "get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "b"


def test_a_record_of_another_process_with_the_same_id_is_not_believed(running: Instance) -> None:
    with subprocess.Popen(["sleep", "600"]) as bystander:
        data = json.loads(running.record.read_text())
        genuine = running.record.read_text()
        try:
            data["supervisor"]["pid"] = bystander.pid
            running.record.write_text(json.dumps(data))
            assert "dead" in cluster("status", check=False).stdout
        finally:
            running.record.write_text(genuine)
            assert bystander.poll() is None
            bystander.kill()


@pytest.mark.parametrize("attempt", range(4))
def test_interrupted_anywhere_it_leaves_nothing_after_down(
    instance: Instance, before: dict[str, Any], attempt: int
) -> None:
    cluster("down")
    with subprocess.Popen(
        [CLUSTER, "up"], env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as up:
        time.sleep(random.Random(attempt).uniform(0.1, 6.0))  # the moment is the point of the test
        up.send_signal(signal.SIGKILL if attempt % 2 else signal.SIGINT)
    cluster("down")
    assert traces(instance) == before


def wait_until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
