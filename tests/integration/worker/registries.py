"""The CNCF's registry with a storage of its own, and a server that gives tokens for it."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import subprocess
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from tests.integration.worker.process import free_port
from tests.support.apiserver import ROOT

Json = dict[str, Any]
USER, PASSWORD = "puller", "canary-password"
# The password's bcrypt hash, the only one that the registry takes.
HTPASSWD = "puller:$2b$05$abcdefghijklmnopqrstuuTvmw3qcMpAvEgQGhbFMhqjD3R/evDDW\n"

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
FILE = "application/octet-stream"
TITLE = "org.opencontainers.image.title"


def tool(name: str) -> str:
    done = subprocess.run([ROOT / "hack/tools/path", name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def archive(files: Mapping[str, bytes | tarfile.TarInfo], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive with files, or with members that are described."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as made:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                made.addfile(content)
                continue
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return out.getvalue()


@dataclass
class Registry:
    """A running registry.

    Args:
        storage: Folder of its blobs; another registry may have the same.
        auth: The part ``auth`` of its configuration.
        tls: Certificate and key.
        redirect: Where clients are sent for blobs.
    """

    storage: Path
    auth: Json = field(default_factory=dict)
    tls: tuple[Path, Path] | None = None
    redirect: str | None = None

    def __post_init__(self) -> None:
        self.port = free_port()
        listen: Json = {"addr": f"127.0.0.1:{self.port}"}
        if self.tls is not None:
            listen["tls"] = {"certificate": str(self.tls[0]), "key": str(self.tls[1])}
        config: Json = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self.storage)}},
            "http": listen,
        }
        if self.redirect is not None:
            config["middleware"] = {"storage": [{"name": "redirect", "options": {"baseurl": self.redirect}}]}
        if self.auth:
            config["auth"] = self.auth
        path = self.storage.parent / f"registry-{self.port}.yaml"
        path.write_text(yaml.safe_dump(config))
        self.log = path.with_suffix(".log")
        with self.log.open("wb") as log:
            command = [tool("registry"), "serve", str(path)]
            self.process = subprocess.Popen(command, env={"OTEL_TRACES_EXPORTER": "none"}, stdout=log, stderr=log)
        self._wait()

    @property
    def host(self) -> str:
        return f"{'127.0.0.1' if self.tls is None else 'localhost'}:{self.port}"

    def _wait(self) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=1):
                    return
            except urllib.error.HTTPError:
                return  # whatever it says, it is there
            except OSError:
                time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)

    def push(self, repository: str, media_type: str, document: Json) -> str:
        """Push a manifest or an index, and return its reference."""
        body = json.dumps({"schemaVersion": 2, "mediaType": media_type, **document}).encode()
        digest = digest_of(body)
        self._request("PUT", f"/v2/{repository}/manifests/{digest}", body, media_type)
        return f"{self.host}/{repository}@{digest}"

    def push_blob(self, repository: str, data: bytes, media_type: str, **annotations: str) -> Json:
        """Push a blob, and return its descriptor."""
        digest = digest_of(data)
        place = self._request("POST", f"/v2/{repository}/blobs/uploads/", b"", FILE)
        self._request("PUT", f"{place}&digest={digest}", data, FILE)
        made: Json = {"mediaType": media_type, "digest": digest, "size": len(data)}
        return {**made, "annotations": annotations} if annotations else made

    def push_image(self, repository: str, layers: Sequence[Json]) -> str:
        """Push a manifest with layers, and return its reference."""
        config = self.push_blob(repository, b"{}", "application/vnd.oci.image.config.v1+json")
        return self.push(repository, MANIFEST, {"config": config, "layers": list(layers)})

    def _request(self, method: str, path: str, body: bytes, media_type: str) -> str:
        url = path if path.startswith("http") else f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": media_type})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.headers.get("Location", ""))


def docker_config(host: str, user: str = USER, password: str = PASSWORD) -> Json:
    """The content of a Secret of type kubernetes.io/dockerconfigjson."""
    return {"auths": {host: {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}}}


class TokenServer:
    """Gives tokens that a registry of ours believes: to who knows the password, or to everyone."""

    def __init__(self, folder: Path, anonymous: bool = False) -> None:
        self.seen: list[tuple[Json, str | None]] = []
        self.faults: list[int] = []
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.public_key().public_numbers()
        jwk = {"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "use": "sig"}
        jwk |= {"x": _encoded(numbers.x.to_bytes(32, "big")), "y": _encoded(numbers.y.to_bytes(32, "big"))}
        self.jwks = folder / "jwks.json"
        self.jwks.write_text(json.dumps({"keys": [jwk]}))
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                proof = self.headers.get("Authorization")
                outer.seen.append((query, proof))
                wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                status = outer.faults.pop(0) if outer.faults else 200
                if status == 200 and not anonymous and proof != wanted:
                    status = 401
                body = json.dumps({"token": outer.token(query["scope"])} if status == 200 else {}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def realm(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/token"

    @property
    def auth(self) -> Json:
        """What a registry is configured with to believe this server."""
        options = {"realm": self.realm, "service": "registry", "issuer": "tests", "jwks": str(self.jwks)}
        return {"token": {**options, "signingalgorithms": ["ES256"]}}

    def token(self, scope: str) -> str:
        kind, name, actions = scope.split(":")
        now = int(time.time())
        claims: Json = {"iss": "tests", "aud": "registry", "sub": USER, "jti": "1"}
        claims |= {"iat": now, "nbf": now - 5, "exp": now + 300}
        claims["access"] = [{"type": kind, "name": name, "actions": actions.split(",")}]
        head = _encoded(json.dumps({"typ": "JWT", "alg": "ES256", "kid": "k"}).encode())
        text = f"{head}.{_encoded(json.dumps(claims).encode())}"
        r, s = utils.decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(SHA256())))
        return f"{text}.{_encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
