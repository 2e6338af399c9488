"""The disk server in the cluster, and the real disks it serves."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.e2e import names
from tests.support.e2e.diskserver import random_disk
from tests.support.e2e.kube import Json, Kube
from tests.support.e2e.shell import ROOT, CommandError, run, tool

from gallery_operator.worker.formats.vhd import build_footer

# What is fetched without a checksum has to come over TLS.
HTTPS = f"https://{names.DISKS_HOST}"
HTTP = f"http://{names.DISKS_HOST}"
PREPARED, UNPREPARED, DATA = "debian-12-gen2", "debian-12-unprepared", "data-disk"
FILES = (f"{PREPARED}.qcow2.xz", f"{PREPARED}.vhd", f"{UNPREPARED}.qcow2.xz", f"{DATA}.vhd")
_POD = "disks"
_SECURE = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_POD_SECURE = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "fsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True)
class Digests:
    """SHA-256 sums of the real disks that are served.

    Attributes:
        download: Of the prepared disk's qcow2.xz, as it is served.
        prepared: Of the fixed VHD that the prepared disk becomes.
        data: Of the fixed VHD that the data disk becomes.
    """

    download: str
    prepared: str
    data: str


_once = threading.Lock()


def digests() -> Digests:
    """Return what to compare with. It is found out once: the disks' recipe may change while tests run."""
    with _once:
        return _digests()


@cache
def _digests() -> Digests:
    files = built()
    with files[f"{PREPARED}.qcow2.xz"].open("rb") as stream:
        download = hashlib.file_digest(stream, "sha256").hexdigest()
    return Digests(download, file_sha256(files[f"{PREPARED}.raw"]), file_sha256(files[f"{DATA}.raw"]))


@cache
def built() -> dict[str, Path]:
    """Return the real disks by name; they are built from Debian's packages if they are missing."""
    wanted = [*FILES, f"{PREPARED}.raw", f"{UNPREPARED}.raw", f"{DATA}.raw"]
    arguments = [name.removesuffix(".raw") for name in wanted]
    paths = [Path(line) for line in run([ROOT / "hack/images/disks/build", *arguments]).splitlines()]
    return {path.name: path for path in paths}


def build(name: str) -> Path:
    """Return a real disk by its name for hack/images/disks/build; it is built if it is missing."""
    return Path(run([ROOT / "hack/images/disks/build", name]).splitlines()[-1])


def vhdx(name: str) -> Path:
    """Return a real disk as a dynamic VHDX; it is kept beside the disk."""
    raw = build(name)
    target = raw.with_suffix(".vhdx")
    if not target.exists():
        part = target.with_suffix(".part")
        run(["qemu-img", "convert", "-f", "raw", "-O", "vhdx", "-o", "subformat=dynamic", raw, part])
        part.rename(target)
    return target


def vhd_sha256(raw: bytes) -> str:
    """Return the SHA-256 of the fixed VHD that a raw disk of whole mebibytes becomes."""
    return hashlib.sha256(raw + build_footer(len(raw), hashlib.sha256(raw).digest())).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of the fixed VHD that a raw disk in a file becomes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    digest_of_data = digest.digest()
    digest.update(build_footer(path.stat().st_size, digest_of_data))
    return digest.hexdigest()


def random_sha256(mebibytes: int, seed: int) -> str:
    """Return the SHA-256 of the fixed VHD that a made-up disk becomes."""
    return vhd_sha256(random_disk(mebibytes, seed))


def random_url(mebibytes: int, seed: int) -> str:
    """Return the URL of a made-up disk."""
    return f"{HTTPS}/random/{mebibytes}/{seed}.raw"


def deploy(kube: Kube, image: str) -> None:
    """Start the disk server and give it the real disks, unless it has them."""
    from tests.support.e2e.install import certificates, namespace

    space = names.DISKS_NAMESPACE
    kube.apply(namespace(space))
    if kube.get("Secret", space, "disks-tls") is None:
        with tempfile.TemporaryDirectory() as folder:
            certificates(Path(folder), names.DISKS_HOST)
            content = {name: (Path(folder) / name).read_bytes() for name in ("tls.crt", "tls.key", "ca.crt")}
        data = {name: base64.b64encode(text).decode() for name, text in content.items()}
        kube.apply(_object("v1", "Secret", "disks-tls", {"data": data}))
    script = (Path(__file__).parent / "diskserver.py").read_text()
    kube.apply(_object("v1", "ConfigMap", "disks-server", {"data": {"diskserver.py": script}}))
    ports = [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443, "targetPort": 8443}]
    kube.apply(_object("v1", "Service", "disks", {"spec": {"selector": {"app": "disks"}, "ports": ports}}))
    pod = _server(image, hashlib.sha256(script.encode()).hexdigest()[:12])
    running = kube.get("Pod", space, _POD)
    if (
        running is not None
        and running["metadata"]["annotations"].get("e2e/script") != pod["metadata"]["annotations"]["e2e/script"]
    ):
        kube.delete("Pod", space, _POD, grace=0)
        kube.wait("the old disk server to go", lambda: kube.get("Pod", space, _POD) is None, seconds=60)
        running = None
    if running is None:
        kube.create(pod)
    kube.wait("the disk server", lambda: _pod_ready(kube.get("Pod", space, _POD)), seconds=120, namespaces=(space,))
    digests()
    send(kube, [built()[name] for name in FILES])


def inside(kube: Kube, *command: str | Path, stdin: bytes | None = None) -> str:
    """Run a program in the server's pod, which has the operator's image, and return its output."""
    return run([*_inside(kube), *command], stdin=stdin)


def _inside(kube: Kube) -> list[str | Path]:
    kubectl = [tool("kubectl"), "--kubeconfig", str(kube.kubeconfig)]
    return [*kubectl, "--context", kube.context, "exec", "-n", names.DISKS_NAMESPACE, "-i", _POD, "--"]


def send(kube: Kube, files: Iterable[Path]) -> None:
    """Copy disks into the server's pod through the API server; holes are not sent."""
    present = inside(kube, "find", "/data", "-maxdepth", "1", "-name", "*.from-*", "-printf", "%f\n").splitlines()
    for path in files:
        # The folder is named after the recipe of its disks.
        origin = f"{path.name}.from-{path.parent.name}"
        if origin in present:
            continue
        packer = subprocess.Popen(
            ["tar", "--create", "--sparse", "--directory", str(path.parent), path.name], stdout=subprocess.PIPE
        )
        unpack = [*_inside(kube), "tar", "--extract", "--sparse", "--no-same-owner", "--touch", "--directory", "/data"]
        done = subprocess.run(unpack, stdin=packer.stdout, capture_output=True, timeout=300, check=False)
        if packer.stdout is not None:
            packer.stdout.close()
        if packer.wait() != 0 or done.returncode != 0:
            raise CommandError(f"{path.name} did not get into the cluster: {done.stderr.decode()[-1000:]}")
        inside(kube, "touch", f"/data/{origin}")


def counts(kube: Kube) -> dict[str, int]:
    """Return how often the server was asked for each path."""
    found: dict[str, int] = json.loads(kube.proxy("Pod", names.DISKS_NAMESPACE, f"{_POD}:8080", "/counts"))
    return found


def accept_token(kube: Kube, token: str) -> None:
    """Let the server's ``/private/`` files be read with a token."""
    path = f"/api/v1/namespaces/{names.DISKS_NAMESPACE}/pods/{_POD}:8080/proxy/token"
    kube.request("PUT", path, token, content_type="text/plain", raw=True)


def authority(kube: Kube) -> str:
    """Return the PEM of the CA of the server's certificate."""
    secret = kube.get("Secret", names.DISKS_NAMESPACE, "disks-tls")
    assert secret is not None
    return base64.b64decode(secret["data"]["ca.crt"]).decode()


def filler(namespace: str, name: str, claim: str, image: str, url: str, path: str) -> Json:
    """Return a pod that puts a file of the disk server on a claim, keeping its holes.

    A VHD that is to be a ``.raw`` file loses its footer.
    """
    program = (
        "import os, ssl, sys, urllib.request\n"
        "ssl._create_default_https_context = ssl._create_unverified_context\n"
        "url, path = sys.argv[1:]\n"
        "os.makedirs(os.path.dirname(path), exist_ok=True)\n"
        "with urllib.request.urlopen(url) as source, open(path, 'wb') as target:\n"
        "    while chunk := source.read(1 << 20):\n"
        "        target.write(chunk) if any(chunk) else target.seek(len(chunk), 1)\n"
        "    size = target.tell()\n"
        "    target.truncate(size - 512 if url.endswith('.vhd') and path.endswith('.raw') else size)\n"
    )
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "restartPolicy": "OnFailure",
            "automountServiceAccountToken": False,
            "securityContext": _POD_SECURE,
            "containers": [
                {
                    "name": "filler",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python3", "-c", program, url, f"/target/{path}"],
                    "securityContext": _SECURE,
                    "volumeMounts": [{"name": "target", "mountPath": "/target"}],
                }
            ],
            "volumes": [{"name": "target", "persistentVolumeClaim": {"claimName": claim}}],
        },
    }


def _object(api_version: str, kind: str, name: str, body: dict[str, Any]) -> Json:
    metadata = {"name": name, "namespace": names.DISKS_NAMESPACE}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}


def _server(image: str, script: str) -> Json:
    environment = {"DATA": "/data", "TLS": "/tls", "HTTP": "8080", "HTTPS": "8443"}
    volumes: list[Json] = [
        {"name": "data", "emptyDir": {}},
        {"name": "tls", "secret": {"secretName": "disks-tls"}},
        {"name": "script", "configMap": {"name": "disks-server"}},
    ]
    container = {
        "name": "server",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "/script/diskserver.py"],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "securityContext": _SECURE,
        "readinessProbe": {"httpGet": {"path": "/counts", "port": 8080}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "tls", "mountPath": "/tls", "readOnly": True},
            {"name": "script", "mountPath": "/script", "readOnly": True},
        ],
    }
    pod = _object(
        "v1",
        "Pod",
        _POD,
        {
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": _POD_SECURE,
                "containers": [container],
                "volumes": volumes,
            }
        },
    )
    pod["metadata"] |= {"labels": {"app": "disks"}, "annotations": {"e2e/script": script}}
    return pod


def _pod_ready(pod: Json | None) -> bool:
    conditions = ((pod or {}).get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
