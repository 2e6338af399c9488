"""Azure for integration tests: the simulator and Azurite as processes on free loopback ports.

Use in a `conftest.py`:

    from tests.support.azure import azure, azure_stand  # noqa: F401

`azure_stand` (session) starts both; `azure` (function) gives the same stand emptied. Azurite is installed into
the cache at first; where that is impossible the tests are skipped with the reason.

SDK clients inside the test process need `connection_verify=str(azure.ca_file)`: aiohttp reads SSL_CERT_FILE once, when
it is imported. Processes started by a test get `azure.environment`.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

__all__ = [
    "DISK_ACCOUNT",
    "GROUP",
    "LOCATION",
    "OTHER_SUBSCRIPTION",
    "STORAGE_ACCOUNT",
    "SUBSCRIPTION",
    "TENANT",
    "AzureStand",
]

ROOT = Path(__file__).resolve().parents[2]
SIMULATOR = ROOT / "hack" / "azure-simulator"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
OTHER_SUBSCRIPTION = "00000000-0000-0000-0000-000000000002"
TENANT = "00000000-0000-0000-0000-0000000000aa"
GROUP = "images"
LOCATION = "westeurope"
STORAGE_ACCOUNT = "imports"
DISK_ACCOUNT = "mdimpexp"
BAD_SECRET = "wrong-secret"
_START_SECONDS = 60


@dataclass
class AzureStand:
    """A running simulator with Azurite.

    Attributes:
        folder: where both keep their state, certificates and logs.
        time_scale: Azure seconds per second.
        base_url: URL of Azure Resource Manager and of Entra ID.
        blob_url: URL of the blob service, without account.
        ca_file: PEM file with the CA of both.
        account_key: key (base64) of the storage accounts.
    """

    folder: Path
    time_scale: float = 600.0
    base_url: str = ""
    blob_url: str = ""
    account_key: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(64)).decode(), repr=False)
    _azurite: subprocess.Popen[bytes] | None = None
    _simulator: subprocess.Popen[bytes] | None = None

    @property
    def ca_file(self) -> Path:
        return self.folder / "tls" / "ca.crt"

    @property
    def environment(self) -> dict[str, str]:
        """Environment that lets aiohttp, requests and azure-identity find and trust the stand."""
        return {
            "AZURE_AUTHORITY_HOST": self.base_url,
            "AZURE_RESOURCE_MANAGER_ENDPOINT": self.base_url,
            "AZURE_RESOURCE_MANAGER_AUDIENCE": self.base_url,
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": "11111111-1111-1111-1111-111111111111",
            "SSL_CERT_FILE": str(self.ca_file),
            "REQUESTS_CA_BUNDLE": str(self.ca_file),
        }

    @property
    def subscription(self) -> str:
        return SUBSCRIPTION

    @property
    def storage_account_id(self) -> str:
        """ARM id of the storage account that tests may upload to."""
        return (
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Storage/storageAccounts/"
            f"{STORAGE_ACCOUNT}"
        )

    @property
    def account_url(self) -> str:
        """Blob endpoint of that account."""
        return f"{self.blob_url}/{STORAGE_ACCOUNT}"

    def start(self) -> None:
        """Start both and wait until they answer."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "key").write_text(self.account_key)
        self._run_once("certs", str(self.folder / "tls"), "--name", "127.0.0.1", "--name", "localhost")
        self.start_azurite()
        self.start_simulator()

    def start_azurite(self) -> None:
        """Start Azurite, on the same port as before if it ran before."""
        home = Path(_install())
        port = int(self.blob_url.rsplit(":", 1)[1]) if self.blob_url else _free_port()
        accounts = ";".join(f"{name}:{self.account_key}" for name in (DISK_ACCOUNT, STORAGE_ACCOUNT))
        tls = self.folder / "tls"
        command = [
            str(home / "node"),
            str(home / "node_modules/azurite/dist/src/blob/main.js"),
            *("--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(self.folder / "azurite")),
            *("--oauth", "basic", "--cert", str(tls / "tls.crt"), "--key", str(tls / "tls.key")),
            *("--skipApiVersionCheck", "--disableProductStyleUrl", "--disableTelemetry", "--silent"),
        ]
        environment = {**os.environ, "AZURITE_ACCOUNTS": accounts, "NODE_EXTRA_CA_CERTS": str(self.ca_file)}
        self._azurite = self._spawn("azurite", command, environment)
        self.blob_url = f"https://127.0.0.1:{port}"
        self._wait("azurite", self._azurite, self._azurite_answers)

    def start_simulator(self) -> None:
        """Start the simulator, on the same port as before if it ran before."""
        listen = self.base_url.removeprefix("https://") or f"127.0.0.1:{_free_port()}"
        tls = self.folder / "tls"
        command = [
            *(sys.executable, "-m", "azure_simulator", "serve", "--listen", listen),
            *("--tls-cert", str(tls / "tls.crt"), "--tls-key", str(tls / "tls.key")),
            *("--state-dir", str(self.folder / "state"), "--account-key-file", str(self.folder / "key")),
            *("--azurite", self.blob_url, "--azurite-ca", str(self.ca_file), "--disk-account", DISK_ACCOUNT),
            *("--storage-account", f"{STORAGE_ACCOUNT}:{GROUP}:{LOCATION}", "--resource-group", f"{GROUP}:{LOCATION}"),
            *("--subscription", SUBSCRIPTION, "--subscription", OTHER_SUBSCRIPTION),
            *("--tenant", TENANT, "--bad-secret", BAD_SECRET),
            *("--time-scale", str(self.time_scale), "--seed", "1"),
        ]
        self._simulator = self._spawn("simulator", command, {**os.environ, "PYTHONPATH": str(SIMULATOR)})
        self.base_url = f"https://{listen}"
        self._wait("simulator", self._simulator, lambda: self.request("GET", "/healthz") is not None)

    def stop_simulator(self, *, hard: bool = False) -> None:
        """Stop the simulator; `hard` kills it."""
        _end(self._simulator, hard=hard)
        self._simulator = None

    def stop(self) -> None:
        """Stop both."""
        self.stop_simulator()
        _end(self._azurite)
        self._azurite = None

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Send a request to the simulator and return its JSON.

        Raises:
            RuntimeError: the answer is an error; the text holds its body.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base_url + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        context = ssl.create_default_context(cafile=str(self.ca_file))
        try:
            with urllib.request.urlopen(request, timeout=60, context=context) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def reset(self) -> None:
        """Forget every resource, fault and count, and go back to the stand's own time scale."""
        self.request("POST", "/_control/reset")
        self.set_scale(self.time_scale)

    def state(self) -> dict[str, Any]:
        """Return everything the simulator holds."""
        document: dict[str, Any] = self.request("GET", "/_control/state")
        return document

    def resources(self, kind: str) -> list[dict[str, Any]]:
        """Return the resources of a type such as `Microsoft.Compute/galleries`."""
        return [row for row in self.state()["resources"] if row["type"].lower() == kind.lower()]

    def put_resource(self, body: Mapping[str, Any], disks: Sequence[Mapping[str, Any]] = ()) -> None:
        """Put a resource into the state as it is: a virtual machine, a disk encryption set.

        Args:
            body: what ARM answers, at least `id` and `location`.
            disks: empty disks behind it: `lun` (None: OS disk), `sizeGB`, `caching`.
        """
        self.request("PUT", "/_control/resources", {"body": dict(body), "disks": [dict(disk) for disk in disks]})

    def patch_resource(self, resource_id: str, properties: Mapping[str, Any]) -> None:
        """Merge properties into a resource, also those only Azure sets: a policy violation, a validation."""
        self.request("PATCH", "/_control/resources", {"id": resource_id, "properties": dict(properties)})

    def add_fault(self, **fault: object) -> int:
        """Put a fault in force; see `azure_simulator.faults` for the fields."""
        return int(self.request("POST", "/_control/faults", fault)["id"])

    def clear_faults(self) -> None:
        self.request("DELETE", "/_control/faults")

    def set_scale(self, scale: float) -> None:
        """Change the time scale from now on."""
        self.request("PUT", "/_control/clock", {"scale": scale})

    def skip(self, azure_seconds: float) -> None:
        """Jump forward in Azure time."""
        self.request("PUT", "/_control/clock", {"skip": azure_seconds})

    def counts(self) -> dict[str, Any]:
        """Return the numbers of requests since the last `clear_counts`."""
        document: dict[str, Any] = self.request("GET", "/_control/requests")
        return document

    def clear_counts(self) -> None:
        self.request("DELETE", "/_control/requests")

    def digest(self, resource_id: str) -> list[dict[str, Any]]:
        """Return the SHA-256 of each disk behind a resource."""
        rows: list[dict[str, Any]] = self.request("GET", f"/_control/digest?id={resource_id}")["disks"]
        return rows

    def _run_once(self, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(SIMULATOR)}
        command = [sys.executable, "-m", "azure_simulator", *arguments]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)

    def _spawn(self, name: str, command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        log: IO[bytes]
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                env=dict(environment),
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def _wait(self, name: str, process: subprocess.Popen[bytes], answers: Any) -> None:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if process.poll() is not None:
                break
            try:
                if answers():
                    return
            except OSError:
                time.sleep(0.05)
        log = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
        _end(process, hard=True)
        raise RuntimeError(f"{name} did not start:\n{log}")

    def _azurite_answers(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        try:
            with urllib.request.urlopen(f"{self.account_url}?comp=list", timeout=5, context=context):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return True


def _install() -> str:
    """Return the folder Azurite is installed in."""
    done = subprocess.run([str(SIMULATOR / "azurite" / "install")], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"Azurite cannot be installed: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[bytes] | None, *, hard: bool = False) -> None:
    if process is None:
        return
    if process.poll() is None:
        process.send_signal(signal.SIGKILL if hard else signal.SIGTERM)
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def azure_stand() -> Iterator[AzureStand]:
    """A simulator and an Azurite for the whole session."""
    with tempfile.TemporaryDirectory(prefix="azure-stand-") as folder:
        stand = AzureStand(Path(folder))
        try:
            stand.start()
            yield stand
        finally:
            stand.stop()


@pytest.fixture
def azure(azure_stand: AzureStand) -> AzureStand:
    """The session's stand, emptied."""
    azure_stand.reset()
    return azure_stand
