"""A real API server (etcd and kube-apiserver, no node) with our CRDs, once for all tests of a run.

``hack/cluster up --control-plane-only`` starts it under a name of its own, so several runs may go on at once.
Set ``GALLERY_OPERATOR_TEST_APISERVER`` to the path of a kubeconfig to use a server that runs already (quicker while
writing tests); its CRDs are replaced and it is left running.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from gallery_operator.api import GROUP, KINDS, VERSION

ROOT = Path(__file__).resolve().parents[2]
PLURALS = {kind.kind_name: kind.plural for kind in KINDS}
_RUN = "apitest"

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What the API server answered.

    Attributes:
        status: HTTP status code.
        body: Parsed JSON: an object, a list, or a ``Status`` that says what is wrong.
    """

    status: int
    body: Json

    @property
    def ok(self) -> bool:
        """Whether the request was carried out."""
        return self.status < 300

    @property
    def message(self) -> str:
        """What a person would read: the ``Status``' message."""
        return str(self.body.get("message", ""))

    @property
    def causes(self) -> list[Json]:
        """What is wrong, field by field."""
        causes: list[Json] = (self.body.get("details") or {}).get("causes") or []
        return causes


class ApiServer:
    """A client of the test API server, with all rights.

    Attributes:
        kubeconfig: For programs under test.
        url: Address of the server.
        pki: Its keys and certificates, where they are known.
    """

    def __init__(self, kubeconfig: Path, folder: Path, pki: Path | None = None) -> None:
        """Take address and certificates from a kubeconfig.

        Args:
            kubeconfig: With the certificates inline, as hack/cluster writes it.
            folder: Private, for the certificates as files.
            pki: Where the server has its keys and certificates.
        """
        self.kubeconfig = kubeconfig
        self.pki = pki
        config = yaml.safe_load(kubeconfig.read_text())
        context = next(item["context"] for item in config["contexts"] if item["name"] == config["current-context"])
        cluster = next(item["cluster"] for item in config["clusters"] if item["name"] == context["cluster"])
        user = next(item["user"] for item in config["users"] if item["name"] == context["user"])
        self.url: str = cluster["server"]
        files = {
            "ca.crt": cluster["certificate-authority-data"],
            "tls.crt": user["client-certificate-data"],
            "tls.key": user["client-key-data"],
        }
        for name, data in files.items():
            path = folder / name
            path.touch(mode=0o600)
            path.write_bytes(base64.b64decode(data))
        self._pool = urllib3.PoolManager(
            ca_certs=str(folder / "ca.crt"),
            cert_file=str(folder / "tls.crt"),
            key_file=str(folder / "tls.key"),
            timeout=urllib3.Timeout(connect=5, read=30),
            retries=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, content_type: str = "application/json"
    ) -> Answer:
        """Send a request; an error answer is returned, not raised."""
        reply = self._pool.request(
            method,
            self.url + path,
            body=None if body is None else json.dumps(body),
            headers={"Content-Type": content_type, "Accept": "application/json"},
        )
        data = reply.data.decode()
        # Some endpoints (readyz, 404 of an unknown path) answer in plain text.
        json_type = reply.headers.get("Content-Type", "").startswith("application/json")
        return Answer(reply.status, json.loads(data) if json_type else {"message": data})

    def create(self, document: Mapping[str, Any], namespace: str, *, dry_run: bool = False) -> Answer:
        """Create one of our objects; unknown fields are an error, as with ``kubectl apply``."""
        query = "?fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        return self.request("POST", self.path(document["kind"], namespace) + query, document)

    def replace(self, document: Mapping[str, Any], *, subresource: str = "", dry_run: bool = False) -> Answer:
        """Replace one of our objects, or its status."""
        metadata = document["metadata"]
        path = self.path(document["kind"], metadata["namespace"], metadata["name"])
        query = "?fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        return self.request("PUT", path + (f"/{subresource}" if subresource else "") + query, document)

    def get(self, kind: str, namespace: str, name: str) -> Answer:
        """Read one of our objects."""
        return self.request("GET", self.path(kind, namespace, name))

    @staticmethod
    def path(kind: str, namespace: str, name: str | None = None) -> str:
        """Path of one of our objects, or of all of a namespace."""
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURALS[kind]}"
        return path if name is None else f"{path}/{name}"

    def new_namespace(self, prefix: str = "test") -> str:
        """Make a namespace that nothing else uses, and return its name.

        It stays: nothing runs here that could remove one.
        """
        name = f"{prefix}-{uuid.uuid4().hex[:12]}"
        answer = self.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        assert answer.ok, answer.message
        return name

    def kubeconfig_of(self, namespace: str, service_account: str, folder: Path) -> Path:
        """Write a kubeconfig with the rights of a service account, and return its path.

        Args:
            namespace: Namespace of the service account; it must exist.
            service_account: Its name.
            folder: Private, for the file.
        """
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        answer = self.request("POST", path, request)
        assert answer.ok, answer.message
        config = yaml.safe_load(self.kubeconfig.read_text())
        for user in config["users"]:
            user["user"] = {"token": answer.body["status"]["token"]}
        file = folder / f"kubeconfig-{service_account}"
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(config))
        return file

    def install_crds(self, folder: Path = ROOT / "crds") -> None:
        """Create or replace the CRDs and wait until they are served.

        Raises:
            AssertionError: The server refused one, or does not serve it within 30 s.
        """
        collection = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for file in sorted(folder.glob("*.yaml")):
            document = yaml.safe_load(file.read_text())
            path = f"{collection}/{document['metadata']['name']}"
            answer = self.request(
                "PATCH", f"{path}?fieldManager=tests&force=true", document, "application/apply-patch+yaml"
            )
            assert answer.ok, f"{file.name}: {answer.message}"
        for kind in KINDS:
            self._wait_until_served(kind.kind_name)

    def _wait_until_served(self, kind: str) -> None:
        deadline = time.monotonic() + 30
        while (answer := self.request("GET", self.path(kind, "default"))).status != 200:
            assert time.monotonic() < deadline, f"{kind} is not served: {answer.message}"
            time.sleep(0.05)


def tool(name: str) -> str:
    """Return the path of a tool of hack/tools, building it where it is missing; skip the test where that fails."""
    found = subprocess.run([ROOT / "hack/tools/path", name], capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip(f"{name} is not built and could not be: {found.stderr.strip()[-300:]}")
    return found.stdout.strip()


def _cluster(command: str, name: str, *arguments: str) -> str:
    done = subprocess.run(
        [ROOT / "hack/cluster", command, *arguments],
        env={**os.environ, "GALLERY_OPERATOR_CLUSTER": name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"hack/cluster {command}: {done.stderr}"
    return done.stdout.strip()


def _remove_leftovers() -> None:
    """Take down what runs that were killed have left behind: their process id is in the name."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    clusters = Path(os.environ.get("GALLERY_OPERATOR_CACHE") or Path(base) / "gallery-operator") / "clusters"
    for folder in clusters.glob(f"{_RUN}-*"):
        process = folder.name.removeprefix(f"{_RUN}-")
        if process.isdecimal() and not Path("/proc", process).exists():
            _cluster("down", folder.name)


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The API server of this run, with the CRDs of this checkout.

    Import it in a conftest.py; ``tests/integration/conftest.py`` does so for all integration tests.
    """
    folder = tmp_path_factory.mktemp("apiserver", numbered=True)
    folder.chmod(0o700)
    existing = os.environ.get("GALLERY_OPERATOR_TEST_APISERVER")
    if existing:
        server = ApiServer(Path(existing), folder, Path(existing).parent / "pki")
        server.install_crds()
        yield server
        server.close()
        return
    for name in ("etcd", "kube-apiserver"):
        tool(name)
    _remove_leftovers()
    run = f"{_RUN}-{os.getpid()}"
    try:
        # A copy: `down` removes the original, and a program under test may still read it while it ends.
        original = Path(_cluster("up", run, "--control-plane-only").splitlines()[-1])
        kubeconfig = Path(shutil.copy(original, folder / "kubeconfig"))
        server = ApiServer(kubeconfig, folder, original.parent / "pki")
        server.install_crds()
        yield server
        server.close()
    finally:
        _cluster("down", run)


@pytest.fixture
def namespace(apiserver: ApiServer) -> str:
    """A namespace that only this test uses."""
    return apiserver.new_namespace()
