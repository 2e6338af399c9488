"""Command line of hack/cluster."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from hack.localcluster import addons, images, kind, lifecycle, node
from hack.localcluster.controlplane import ask
from hack.localcluster.errors import ClusterError
from hack.localcluster.instance import REPO_ROOT, Instance
from hack.localcluster.process import Record
from hack.localcluster.shell import say, step, tool, tools

KIND = "kind"
DESCRIPTION = """\
A Kubernetes cluster on this machine: made by kind where a Docker engine answers, else a single node in namespaces
of its own. GALLERY_OPERATOR_CLUSTER names it (default: gallery-operator), so that several can be up at a time.
"""


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(prog="hack/cluster", description=DESCRIPTION)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start it, or make sure that it runs; prints its kubeconfig's path")
    up.add_argument("--control-plane-only", action="store_true", help="etcd and API server, no node; needs no rights")
    commands.add_parser("down", help="end it and remove everything of it")
    commands.add_parser("status", help="say how it is; exit status 1 unless it is all right")
    commands.add_parser("kubeconfig", help="print the path of its kubeconfig")
    load = commands.add_parser("load-image", help="make images known to it")
    load.add_argument("images", nargs="+", metavar="IMAGE", help="name of a built image, or path of an archive")
    inside = commands.add_parser("node", help="run a command inside the node, as root")
    inside.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    options = parser().parse_args(arguments)
    commands = {
        "up": up,
        "down": down,
        "status": status,
        "kubeconfig": kubeconfig,
        "load-image": load_image,
        "node": node_command,
    }
    try:
        return commands[options.command](Instance.from_environment(), options)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here, 'hack/cluster down' removes what there is")
        return 130


def provider(instance: Instance) -> str:
    """What carries the cluster: what made it if it is there, else what this machine offers."""
    chosen = os.environ.get("GALLERY_OPERATOR_CLUSTER_PROVIDER")
    if chosen not in (None, "", KIND, lifecycle.NODE):
        raise ClusterError(f"GALLERY_OPERATOR_CLUSTER_PROVIDER is '{chosen}'; it can be 'kind' or 'node'")
    record = Record.load(instance.record)
    if record:
        return record.mode
    if (instance.state / "kind.kubeconfig").exists():
        return KIND
    return chosen or (KIND if kind.docker_answers() else lifecycle.NODE)


def become_root() -> None:
    """Goes on as root where that needs no password; returns where it does, so that the caller can say so."""
    if os.geteuid() == 0 or not shutil.which("sudo"):
        return
    if subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode != 0:
        return
    # sudo clears the environment; these decide which cluster is meant.
    instance = Instance.from_environment()
    variables = {"GALLERY_OPERATOR_CACHE": str(instance.cache), "GALLERY_OPERATOR_CLUSTER": instance.name}
    variables["GALLERY_OPERATOR_CLUSTER_PROVIDER"] = lifecycle.NODE
    assignments = [f"{name}={value}" for name, value in variables.items()]
    script = str(REPO_ROOT / "hack/cluster")
    os.execvp("sudo", ["sudo", "-n", "env", *assignments, sys.executable, script, *sys.argv[1:]])


def give_back(instance: Instance) -> None:
    """Leaves the kubeconfig to whom the cache belongs, where root made it on somebody's behalf."""
    owner = instance.cache.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        for path in (instance.kubeconfig, instance.cache / "clusters"):
            os.chown(path, owner.st_uid, owner.st_gid)


def up(instance: Instance, options: argparse.Namespace) -> int:
    """Brings a cluster up and prints its kubeconfig's path."""
    if options.control_plane_only:
        with instance.lock(), step(f"control plane '{instance.name}' ready"):
            lifecycle.up_control_plane(instance)
    elif provider(instance) == KIND:
        with instance.lock(), step(f"cluster '{instance.name}' ready"):
            kind.up(instance)
    else:
        up_node(instance)
    print(instance.kubeconfig)
    return 0


def up_node(instance: Instance) -> None:
    """Brings the single-node cluster up."""
    # As the person who asked, before root takes over.
    tools(*node.BINARIES, *(name for name, _ in images.OWN_IMAGES.values()))
    become_root()
    with instance.lock():
        with step("API server ready"):
            record = node.up(instance)
        with step("own images loaded"):
            images.load_own(instance, record)
        with step("node ready"):
            addons.wait_node(instance, record)
        with step("DNS and storage ready"):
            addons.apply(instance)
            addons.wait_deployments(instance)
        give_back(instance)


def down(instance: Instance, options: argparse.Namespace) -> int:
    """Ends a cluster and removes everything of it."""
    carrier = provider(instance)
    if carrier == lifecycle.NODE and instance.state.exists():
        become_root()
    with instance.lock():
        record = Record.load(instance.record)
        if carrier == KIND:
            kind.down(instance)
        elif carrier == lifecycle.CONTROL_PLANE and record:
            lifecycle.stop(record, gently=True)
            shutil.rmtree(instance.state)
        elif os.geteuid() == 0:
            node.down(instance)
        elif instance.state.exists():
            raise ClusterError(f"the cluster '{instance.name}' belongs to root: run 'hack/cluster down' as root")
        instance.lock_file.unlink()
    return 0


def status(instance: Instance, options: argparse.Namespace) -> int:
    """Says how a cluster is."""
    record = Record.load(instance.record)
    if record is None:
        if provider(instance) == KIND and kind.exists(instance):
            print(run_kubectl(instance, "get", "nodes"))
            return 0
        print(f"cluster {instance.name}: not there")
        return 1
    if record.mode == lifecycle.NODE:
        become_root()
    alive = record.supervisor.alive()
    code, answer = ask(instance, record.address, "/readyz") if alive else (0, "its processes have ended")
    print(f"cluster {instance.name}: {record.mode}, {'running' if alive else 'dead: hack/cluster up starts it again'}")
    print(f"API server https://{record.address}: {'ready' if code == 200 else answer.strip()}")
    print(f"kubeconfig {instance.kubeconfig}, logs {instance.logs}")
    if not alive:
        return 1
    components = json.loads(instance.status_file.read_text())
    for name, one in components.items():
        restarts = f", started again {one['restarts']} times" if one["restarts"] else ""
        print(f"  {name}: {'running' if one['running'] else 'not running'}{restarts}")
    return 0 if code == 200 and all(one["running"] for one in components.values()) else 1


def run_kubectl(instance: Instance, *arguments: str) -> str:
    """Output of kubectl for this cluster."""
    argv: list[str | Path] = [tool("kubectl"), "--kubeconfig", instance.kubeconfig, *arguments]
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False).stdout


def kubeconfig(instance: Instance, options: argparse.Namespace) -> int:
    """Prints where the kubeconfig is."""
    if not instance.kubeconfig.exists():
        raise ClusterError(f"there is no cluster '{instance.name}'; 'hack/cluster up' starts one")
    print(instance.kubeconfig)
    return 0


def load_image(instance: Instance, options: argparse.Namespace) -> int:
    """Loads images into a cluster."""
    carrier = provider(instance)
    if carrier == lifecycle.NODE:
        become_root()
    for name in options.images:
        with step(f"image {name} loaded"):
            if carrier == KIND:
                kind.load(instance, name)
                continue
            record = running_node(instance)
            if Path(name).is_file():
                with Path(name).open("rb") as stream:
                    say(images.load_archive(instance, record, stream).strip())
            else:
                images.load_named(instance, record, name)
    return 0


def node_command(instance: Instance, options: argparse.Namespace) -> int:
    """Runs a command inside the node."""
    become_root()
    return subprocess.run([*node.inside(running_node(instance)), *options.argv], check=False).returncode


def running_node(instance: Instance) -> Record:
    """The record of a running node.

    Raises:
        ClusterError: it does not run.
    """
    record = lifecycle.running(instance)
    if record is None or record.mode != lifecycle.NODE:
        raise ClusterError(f"the cluster '{instance.name}' does not run; 'hack/cluster up' starts it")
    return record
