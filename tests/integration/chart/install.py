"""Putting parts of a release onto the API server of the tests."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.support.apiserver import ApiServer, tool
from tests.support.chart import NAMESPACE, Rendered, render


def kubectl(apiserver: ApiServer, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [tool("kubectl"), "--kubeconfig", str(apiserver.kubeconfig), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def as_list(release: Rendered) -> str:
    # The Prometheus operator's kinds are not known here.
    known = [each for each in release if not each["apiVersion"].startswith("monitoring.coreos.com/")]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": known})


def install_rights(apiserver: ApiServer, tmp_path: Path, values: dict[str, Any]) -> str:
    """Apply the roles of a release; return the name of the operator's service account."""
    release = render(tmp_path, values)
    wanted = {"ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
    mine = Rendered(each for each in release if each["kind"] in wanted)
    done = kubectl(apiserver, "apply", "-f", "-", stdin=as_list(mine))
    assert done.returncode == 0, done.stderr
    name: str = mine.one("ServiceAccount")["metadata"]["name"]
    return name


def user_of(service_account: str) -> str:
    """Return the name under which the API server knows a service account of the release's namespace."""
    return f"system:serviceaccount:{NAMESPACE}:{service_account}"
