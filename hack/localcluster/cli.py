"""Command line of hack/cluster."""

from __future__ import annotations

import argparse
import shutil
import sys

from hack.localcluster import addons, images, lifecycle, node
from hack.localcluster.errors import ClusterError
from hack.localcluster.instance import Instance
from hack.localcluster.process import Record
from hack.localcluster.shell import say, step


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(prog="hack/cluster", description="A Kubernetes cluster on this machine.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start it, or make sure that it runs; prints its kubeconfig's path")
    up.add_argument("--control-plane-only", action="store_true", help="etcd and API server, no node; needs no rights")
    commands.add_parser("down", help="end it and remove everything of it")
    commands.add_parser("kubeconfig", help="print the path of its kubeconfig")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; returns the exit status."""
    options = parser().parse_args(arguments)
    try:
        instance = Instance.from_environment()
        return {"up": up, "down": down, "kubeconfig": kubeconfig}[options.command](instance, options)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from here, 'hack/cluster down' removes what there is")
        return 130


def up(instance: Instance, options: argparse.Namespace) -> int:
    """Brings a cluster up and prints its kubeconfig's path."""
    with instance.lock():
        if options.control_plane_only:
            with step(f"control plane '{instance.name}' ready"):
                lifecycle.up_control_plane(instance)
        else:
            with step("API server ready"):
                record = node.up(instance)
            with step("own images loaded"):
                images.load_own(instance, record)
            with step("node ready"):
                addons.wait_node(instance, record)
            with step("DNS and storage ready"):
                addons.apply(instance)
                addons.wait_deployments(instance)
    print(instance.kubeconfig)
    return 0


def down(instance: Instance, options: argparse.Namespace) -> int:
    """Ends a cluster and removes everything of it."""
    with instance.lock():
        record = Record.load(instance.record)
        if record and record.mode == lifecycle.CONTROL_PLANE:
            lifecycle.stop(record, gently=True)
            shutil.rmtree(instance.state)
        else:
            node.down(instance)
    return 0


def kubeconfig(instance: Instance, options: argparse.Namespace) -> int:
    if not instance.kubeconfig.exists():
        raise ClusterError(f"there is no cluster '{instance.name}'; 'hack/cluster up' starts one")
    print(instance.kubeconfig)
    return 0


if __name__ == "__main__":
    sys.exit(main())
