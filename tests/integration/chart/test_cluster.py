"""The Helm chart on a real API server: every document is valid there, and the rights are exactly the ones intended."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.chart.install import as_list, install_rights, kubectl, user_of
from tests.support.apiserver import ApiServer, tool
from tests.support.chart import CHART, NAMESPACE, VALUE_SETS, render

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("release_namespaces")]

KINDS = ("galleries", "galleryimagedefinitions", "vhdimports", "imageversions")
GROUP = "gallery-operator.dev"
ALL_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")

# (group, resource) -> verbs; what is not here must be forbidden.
RIGHTS: dict[tuple[str, str], set[str]] = {
    **{(GROUP, kind): {"get", "list", "watch", "patch"} for kind in KINDS},
    (GROUP, "vhdimports"): {"get", "list", "watch", "patch", "create", "delete"},
    (GROUP, "imageversions"): {"get", "list", "watch", "patch", "delete"},
    **{(GROUP, f"{kind}/status"): {"patch"} for kind in KINDS},
    (GROUP, "vhdimports/finalizers"): {"update"},
    (GROUP, "imageversions/finalizers"): {"update"},
    ("batch", "jobs"): {"get", "list", "watch", "create", "delete"},
    ("", "pods"): {"list"},
    ("", "secrets"): {"get", "create", "update", "delete"},
    ("", "pods/log"): {"get"},
    ("", "configmaps"): {"get", "create", "update"},
    ("", "persistentvolumeclaims"): {"get", "list", "create", "delete"},
    ("", "events"): {"create"},
    # Nothing at all:
    ("", "pods/exec"): set(),
    ("", "serviceaccounts"): set(),
    ("", "serviceaccounts/token"): set(),
    ("", "namespaces"): set(),
    ("", "nodes"): set(),
    ("apps", "deployments"): set(),
    ("rbac.authorization.k8s.io", "roles"): set(),
    ("rbac.authorization.k8s.io", "clusterroles"): set(),
    ("apiextensions.k8s.io", "customresourcedefinitions"): set(),
}


@pytest.mark.parametrize("name", sorted(VALUE_SETS))
def test_every_document_is_valid(apiserver: ApiServer, tmp_path: Path, name: str) -> None:
    release = render(tmp_path, VALUE_SETS[name])
    done = kubectl(
        apiserver, "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-",
        stdin=as_list(release),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def allowed(apiserver: ApiServer, user: str, attributes: dict[str, Any]) -> bool:
    group, resource = attributes.pop("key")
    resource, _, subresource = resource.partition("/")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user,
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": {"group": group, "resource": resource, "subresource": subresource} | attributes,
        },
    }
    answer = apiserver.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer.ok, answer.message
    return bool(answer.body["status"]["allowed"])


def rights(apiserver: ApiServer, user: str, namespace: str) -> dict[tuple[str, str], set[str]]:
    return {
        key: {
            verb for verb in ALL_VERBS if allowed(apiserver, user, {"key": key, "verb": verb, "namespace": namespace})
        }
        for key in RIGHTS
    }


def leases(apiserver: ApiServer, user: str, namespace: str, name: str) -> set[str]:
    key = ("coordination.k8s.io", "leases")
    return {
        verb
        for verb in ALL_VERBS
        if allowed(apiserver, user, {"key": key, "verb": verb, "namespace": namespace, "name": name})
    }


def test_rights_in_the_cluster(apiserver: ApiServer, tmp_path: Path) -> None:
    user = user_of(install_rights(apiserver, tmp_path, {"fullnameOverride": "rights-cluster"}))
    # Without a namespace: watches of the whole cluster.
    for namespace in ("team-a", ""):
        assert rights(apiserver, user, namespace) == RIGHTS
    assert leases(apiserver, user, NAMESPACE, "gallery-operator") == {"get", "create", "update"}
    assert leases(apiserver, user, NAMESPACE, "another") == {"create"}
    assert leases(apiserver, user, "team-a", "gallery-operator") == set()


def test_rights_in_named_namespaces(apiserver: ApiServer, tmp_path: Path) -> None:
    values = {"fullnameOverride": "rights-named", "watchNamespaces": ["team-a"]}
    user = user_of(install_rights(apiserver, tmp_path, values))
    assert rights(apiserver, user, "team-a") == RIGHTS
    for elsewhere in ("team-b", NAMESPACE, "kube-system"):
        assert not any(rights(apiserver, user, elsewhere).values())
    assert leases(apiserver, user, NAMESPACE, "gallery-operator") == {"get", "create", "update"}


def test_rights_without_reports(apiserver: ApiServer, tmp_path: Path) -> None:
    values = {"fullnameOverride": "rights-less", "rbac": {"checkReports": False}}
    user = user_of(install_rights(apiserver, tmp_path, values))
    less = {("", "pods/log"): set(), ("", "configmaps"): {"get"}}
    assert rights(apiserver, user, "team-a") == RIGHTS | less


@pytest.fixture
def release(apiserver: ApiServer) -> Iterator[str]:
    """Name of a release that a test installs; afterwards the CRDs are again those of the checkout, and nobody's."""
    name = "upgraded"
    yield name
    helm(apiserver, "uninstall", name, "--ignore-not-found")
    apiserver.install_crds()


def helm(apiserver: ApiServer, *arguments: str) -> None:
    command = [tool("helm"), *arguments, "--namespace", NAMESPACE, "--kubeconfig", str(apiserver.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def crd(apiserver: ApiServer) -> dict[str, Any]:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/imageversions.gallery-operator.dev"
    answer = apiserver.request("GET", path)
    assert answer.ok, answer.message
    return answer.body


def test_crds_are_upgraded_and_kept(apiserver: ApiServer, release: str, tmp_path: Path) -> None:
    values = ["--set", "fullnameOverride=upgraded"]
    # The CRDs of the tests are there already.
    helm(apiserver, "install", release, str(CHART), "--take-ownership", *values)
    assert crd(apiserver)["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"

    newer = Path(shutil.copytree(CHART, tmp_path / "chart"))
    file = newer / "templates/crds/imageversions.yaml"
    file.write_text(file.read_text().replace("name: Regions\n", "name: Replicated\n"))
    helm(apiserver, "upgrade", release, str(newer), *values)
    columns = [column["name"] for column in crd(apiserver)["spec"]["versions"][0]["additionalPrinterColumns"]]
    assert "Replicated" in columns

    helm(apiserver, "uninstall", release)
    assert "deletionTimestamp" not in crd(apiserver)["metadata"]
