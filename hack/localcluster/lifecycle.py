"""Starting and ending the process that everything of a cluster hangs from."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hack.localcluster import controlplane
from hack.localcluster.errors import ClusterError
from hack.localcluster.instance import REPO_ROOT, Instance
from hack.localcluster.process import Identity, Record, write_private
from hack.localcluster.shell import tools
from hack.localcluster.supervisor import STOP_SECONDS, Spec

CONTROL_PLANE = "control-plane"
NODE = "node"


def running(instance: Instance) -> Record | None:
    """The record of a cluster whose supervisor still runs."""
    record = Record.load(instance.record)
    return record if record and record.supervisor.alive() else None


def start(
    instance: Instance,
    spec: Spec,
    *,
    mode: str,
    identity: str,
    address: str,
    prefix: Sequence[str] = (),
    connect: Callable[[int], None] = lambda pid: None,
    environment: Mapping[str, str] | None = None,
) -> Record:
    """Starts a supervisor.

    Nothing it starts can outlive an interruption of this function unrecorded: the supervisor itself waits for
    a word from here that comes only after it has been written down.

    Args:
        instance: the cluster.
        spec: what to run.
        mode: what kind of cluster it is, for the record.
        identity: digest of everything that decides what it runs, for the record.
        address: where its API server will listen.
        prefix: command that runs the supervisor in its namespaces.
        connect: called with the process id of the prefix while the supervisor waits; makes its network.
        environment: what the programs see; of a person's own environment nothing else reaches them.

    Raises:
        ClusterError: it ended before it was ready; carries its last words.
    """
    text = spec.to_json()
    path = instance.conf / "supervisor-spec.json"
    write_private(path, text)
    instance.logs.mkdir(parents=True, exist_ok=True)
    log = instance.logs / "supervisor.log"
    # -P: the current folder must not become part of a privileged process's module path.
    command = [*prefix, sys.executable, "-P", "-m", "hack.localcluster.supervisor", str(path)]
    with log.open("wb") as errors:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd="/",
            env={
                **(os.environ if environment is None else environment),
                "PYTHONPATH": str(REPO_ROOT),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            start_new_session=True,
        )
    if child.stdin is None or child.stdout is None:
        raise AssertionError("both were asked for as pipes")
    try:
        process = Identity.of(child.pid)
        if child.stdout.readline() != b"ready\n" or process is None:
            raise ClusterError(f"could not start; {controlplane.log_hint(instance, 'supervisor')}")
        record = Record(process, mode, identity, address)
        record.save(instance.record)
        connect(child.pid)
        child.stdin.write(b"go\n")
        child.stdin.flush()
    except BaseException:
        child.kill()
        child.wait()
        raise
    finally:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        child.stdout.close()
    # It goes on by itself; without this the interpreter would warn that nobody waited for it.
    child.returncode = 0
    return record


def digest(spec: Spec, *configuration: str) -> str:
    """Identifies what a cluster runs and how; another digest means it has to be started anew."""
    return hashlib.sha256("\0".join([spec.to_json(), *configuration]).encode()).hexdigest()[:16]


def stop(record: Record, *, gently: bool) -> None:
    """Ends a supervisor and with it everything it started.

    Raises:
        ClusterError: it survived SIGKILL for ten seconds.
    """
    if gently:
        record.supervisor.kill(signal.SIGTERM)
        if record.supervisor.wait(STOP_SECONDS + 2):
            return
    record.supervisor.kill(signal.SIGKILL)
    if not record.supervisor.wait(10):
        raise ClusterError(f"process {record.supervisor.pid} does not end; is a disk or a network file system stuck?")


def up_control_plane(instance: Instance) -> Record:
    """Makes sure that etcd and an API server run, on ports of the loopback address; needs no rights.

    Raises:
        ClusterError: another kind of cluster has this name, or it did not become ready.
    """
    binaries = tools("etcd", "kube-apiserver")
    current = Record.load(instance.record)
    if current and current.mode != CONTROL_PLANE:
        raise ClusterError(
            f"'{instance.name}' is a whole cluster, not a control plane alone: take it down first, or set "
            "GALLERY_OPERATOR_CLUSTER to another name"
        )
    if current and current.supervisor.alive():
        host, _, port = current.address.rpartition(":")
        ports = controlplane.Ports(host, int(port), *_etcd_ports(instance))
        if digest(_control_plane_spec(instance, binaries, ports)) == current.digest:
            controlplane.wait_ready(instance, current)
            return current
        stop(current, gently=True)

    instance.conf.mkdir(mode=0o700, parents=True, exist_ok=True)
    ports = controlplane.Ports("127.0.0.1", *free_ports(3))
    write_private(instance.conf / "etcd-ports", f"{ports.etcd} {ports.etcd_peer}")
    shutil.rmtree(instance.state / "etcd", ignore_errors=True)  # its peer address has changed
    controlplane.make_keys(instance, ports)
    spec = _control_plane_spec(instance, binaries, ports)
    record = start(instance, spec, mode=CONTROL_PLANE, identity=digest(spec), address=ports.api_server)
    controlplane.wait_ready(instance, record)
    return record


def _control_plane_spec(instance: Instance, binaries: dict[str, Path], ports: controlplane.Ports) -> Spec:
    programs = (
        controlplane.etcd(instance, binaries["etcd"], ports),
        controlplane.apiserver(instance, binaries["kube-apiserver"], ports),
    )
    return Spec(programs, instance.logs, instance.status_file)


def _etcd_ports(instance: Instance) -> tuple[int, int]:
    client, peer = (instance.conf / "etcd-ports").read_text().split()
    return int(client), int(peer)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
