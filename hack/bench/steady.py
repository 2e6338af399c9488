#!/usr/bin/env python3
"""Counts the operator's writes to Kubernetes and to Azure while every object is Ready. There should be none.

    hack/bench/steady.py [--seconds 600] [--kubeconfig FILE] [--context NAME]

It looks at a cluster with the operator and the Azure simulator, as `make demo` leaves it; it makes nothing and changes
nothing. Exit status: 0 if nothing was written, 1 if something was, 2 if not every object is Ready.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv/bin/python"
if Path(sys.prefix) != PYTHON.parents[1]:
    if not PYTHON.exists():
        sys.exit("error: there is no .venv in the checkout; run hack/setup python")
    os.execv(PYTHON, [str(PYTHON), __file__, *sys.argv[1:]])
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from tests.support.e2e import quiet  # noqa: E402  the path has to be set first
from tests.support.e2e.cluster import Cluster  # noqa: E402
from tests.support.e2e.kube import OUR_KINDS, Kube, is_ready  # noqa: E402
from tests.support.e2e.memory import operator_memory  # noqa: E402
from tests.support.e2e.target import Target  # noqa: E402


def main() -> int:
    """Measures; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long to count (default: 600)")
    parser.add_argument("--kubeconfig", type=Path, default=os.environ.get("KUBECONFIG"), help="default: $KUBECONFIG")
    parser.add_argument("--context", help="default: the kubeconfig's current one")
    options = parser.parse_args()
    if not options.kubeconfig:
        parser.error("name a cluster: --kubeconfig or KUBECONFIG")
    kube = Kube(Path(options.kubeconfig), options.context)
    cluster = Cluster(Target(Path(options.kubeconfig), kube.context, {}, own=False), kube)
    objects = {kind: kube.list(kind) for kind in OUR_KINDS}
    # An image that the checks refuse is as settled as one that is Ready.
    unsettled = [
        f"{kind} {item['metadata']['namespace']}/{item['metadata']['name']}"
        for kind, items in objects.items()
        for item in items
        if not is_ready(item) and not quiet.is_stalled(item)
    ]
    if not any(objects.values()):
        print("there are no objects; make some first, for example with make demo", file=sys.stderr)
        return 2
    if unsettled:
        print(f"neither Ready nor Stalled: {', '.join(unsettled)}", file=sys.stderr)
        return 2
    print(f"{', '.join(f'{len(items)} {kind}' for kind, items in objects.items())}; counting {options.seconds:.0f} s")
    found = quiet.watch(cluster, options.seconds)
    for text in (*found.kubernetes, *found.objects, *found.azure):
        print(f"written: {text}")
    if found.restarted:
        print("the operator was restarted meanwhile: its own count of writes is not the whole one")
    writes = "no writes" if found.quiet else "WRITES, see above"
    print(f"{writes} in {options.seconds:.0f} s; {found.reads} reads from Azure; operator {operator_memory(cluster)}")
    return 0 if found.quiet and not found.restarted else 1


if __name__ == "__main__":
    sys.exit(main())
