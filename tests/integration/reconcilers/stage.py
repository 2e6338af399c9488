"""What the tests of the reconcilers stand on: objects, the operator, Azure behind it, and ways to await things."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import urllib3
from azure.core.exceptions import ResourceExistsError
from pydantic import SecretStr
from tests.support.apiserver import PLURALS, ApiServer
from tests.support.azure import GROUP as RESOURCE_GROUP
from tests.support.azure import LOCATION, STORAGE_ACCOUNT, SUBSCRIPTION, TENANT, AzureStand

from gallery_operator import metrics
from gallery_operator.api import GROUP, VERSION
from gallery_operator.azure.credentials import ClientSecret, CredentialSpec
from gallery_operator.azure.settings import AzureSettings
from gallery_operator.handlers.app import Options, run
from gallery_operator.planning.jobs import WorkerSettings
from gallery_operator.reconcilers.context import Settings
from gallery_operator.runtime.workqueue import Backoff

Json = dict[str, Any]
_T = TypeVar("_T")

CLIENT = "11111111-1111-1111-1111-111111111111"
CLIENT_SECRET = "canary-client-secret-7731"
CANARIES = (CLIENT_SECRET, "sig=", "canary-header-value")
"""What must never be seen in a log, an event or a status."""

STORAGE_API_VERSION = "2026-06-06"
COMPUTE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.Compute"
PATIENCE = 45.0

_CORE = {
    "Secret": "/api/v1/namespaces/{}/secrets",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Event": "/api/v1/namespaces/{}/events",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
}


def credential() -> CredentialSpec:
    """The operator's own identity in the tests."""
    return CredentialSpec(TENANT, CLIENT, ClientSecret(SecretStr(CLIENT_SECRET)), SUBSCRIPTION)


def vhd_footer(size: int) -> bytes:
    """The footer of a fixed VHD of ``size`` bytes."""
    fields = (b"conectix", 2, 0x00010000, 2**64 - 1, 0, b"test", 0x00010000, b"Wi2k", size, size, 65535, 16, 255, 2)
    plain = struct.pack(">8sIIQI4sI4sQQHBBI", *fields) + b"\0" * 4
    identity = uuid.uuid4().bytes
    checksum = ~sum(plain + identity) & 0xFFFFFFFF
    return (plain[:64] + struct.pack(">I", checksum) + identity).ljust(512, b"\0")


def ready(body: Mapping[str, Any] | None) -> Json:
    """The ``Ready`` condition of an object, or an empty dict."""
    conditions = ((body or {}).get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == "Ready"), {})


class Stage:
    """A namespace, an operator that serves it, and Azure."""

    def __init__(self, api: ApiServer, azure: AzureStand, namespace: str) -> None:
        self.api = api
        self.azure = azure
        self.namespace = namespace
        self._arm = urllib3.PoolManager(ca_certs=str(azure.ca_file), retries=False)
        self._task: asyncio.Task[None] | None = None

    # -- the operator ---------------------------------------------------------------------------------------------

    def options(self, **changes: Any) -> Options:
        """How the operator is run; ``changes`` go to ``Options``, those of ``Settings`` too."""
        settings = Settings(
            cluster="test",
            worker=WorkerSettings(image="localhost/gallery-operator:dev", storage_api_version=STORAGE_API_VERSION),
            poll_seconds=0.2,
            default_credential=credential(),
        )
        own = {name: changes.pop(name) for name in list(changes) if hasattr(settings, name)}
        options = Options(
            reconcilers=replace(settings, **own),
            azure=AzureSettings(
                authority_host=self.azure.base_url,
                resource_manager_endpoint=self.azure.base_url,
                audience=self.azure.base_url,
                ca_bundle=self.azure.ca_file,
                storage_api_version=STORAGE_API_VERSION,
                rate_factor=100.0,
            ),
            lease=None,
            namespaces=(self.namespace,),
            resync_seconds=3.0,
            health_port=0,
            metrics_port=0,
            host="127.0.0.1",
            identity="test",
            kubeconfig=str(self.api.kubeconfig),
            backoff=Backoff(base=0.2, cap=2.0),
        )
        return replace(options, **changes)

    async def start(self, **changes: Any) -> None:
        """Start the operator in this event loop."""
        assert self._task is None
        self._task = asyncio.create_task(run(self.options(**changes)), name="operator")

    async def stop(self) -> None:
        """Stop the operator; a failure of it is raised."""
        self._arm.clear()
        task, self._task = self._task, None
        if task is None:
            return
        if task.done():
            await task
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        # TLS connections report that they are closed a few turns of the loop later.
        await asyncio.sleep(0.1)

    # -- Kubernetes -----------------------------------------------------------------------------------------------

    def path(self, kind: str, name: str | None = None) -> str:
        """Path of an object of this namespace, or of all of its kind."""
        if kind in PLURALS:
            return self.api.path(kind, self.namespace, name)
        path = _CORE[kind].format(self.namespace)
        return path if name is None else f"{path}/{name}"

    def create(self, kind: str, name: str, spec: Json, **metadata: Any) -> Json:
        """Create one of our objects."""
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": kind,
            "metadata": {"name": name, "namespace": self.namespace, **metadata},
            "spec": spec,
        }
        answer = self.api.create(body, self.namespace)
        assert answer.ok, answer.message
        return answer.body

    def post(self, kind: str, body: Json) -> Json:
        """Create an object of Kubernetes' own kinds."""
        answer = self.api.request("POST", self.path(kind), body)
        assert answer.ok, answer.message
        return answer.body

    def patch(self, kind: str, name: str, patch: Json, sub: str = "") -> Json:
        """Merge-patch an object."""
        answer = self.api.request("PATCH", self.path(kind, name) + sub, patch, "application/merge-patch+json")
        assert answer.ok, answer.message
        return answer.body

    def get(self, kind: str, name: str) -> Json | None:
        """Read an object, or None."""
        answer = self.api.request("GET", self.path(kind, name))
        assert answer.ok or answer.status == 404, answer.message
        return answer.body if answer.ok else None

    def status(self, kind: str, name: str) -> Json:
        """Status of an object; empty while there is none."""
        found: Json = (self.get(kind, name) or {}).get("status") or {}
        return found

    def list(self, kind: str, selector: str = "") -> list[Json]:
        """All objects of a kind in the namespace."""
        answer = self.api.request("GET", self.path(kind) + (f"?labelSelector={selector}" if selector else ""))
        assert answer.ok, answer.message
        items: list[Json] = answer.body["items"]
        return items

    def delete(self, kind: str, name: str) -> None:
        """Delete an object (its finalizer may keep it)."""
        answer = self.api.request("DELETE", self.path(kind, name))
        assert answer.ok, answer.message

    def nudge(self, kind: str, name: str) -> None:
        """Ask for a reconcile, as a person does."""
        stamp = str(time.time_ns())
        self.patch(kind, name, {"metadata": {"annotations": {"gallery-operator.dev/reconcile-requested-at": stamp}}})

    def events(self, name: str) -> list[Json]:
        """Events of an object of this namespace."""
        return [each for each in self.list("Event") if each["involvedObject"]["name"] == name]

    # -- awaiting -------------------------------------------------------------------------------------------------

    async def until(
        self, what: Callable[[], _T], told: Callable[[], object] = lambda: "", patience: float = PATIENCE
    ) -> _T:
        """Wait until something holds, and return it."""
        end = time.monotonic() + patience
        while True:
            if self._task is not None and self._task.done():
                await self.stop()
                raise AssertionError("the operator has ended")
            if found := what():
                return found
            assert time.monotonic() < end, f"waited {patience:.0f} s in vain: {told()}"
            await asyncio.sleep(0.05)

    async def ready(self, kind: str, name: str, patience: float = PATIENCE) -> Json:
        """Wait until an object is ready for its generation; returns it."""

        def look() -> Json | None:
            body = self.get(kind, name)
            condition = ready(body)
            good = condition.get("status") == "True" and not self._true(body, "Reconciling")
            return body if body and good and condition["observedGeneration"] == body["metadata"]["generation"] else None

        found = await self.until(look, lambda: json.dumps(self.status(kind, name), indent=1), patience)
        assert found is not None
        return found

    async def reason(self, kind: str, name: str, *reasons: str, patience: float = PATIENCE) -> Json:
        """Wait until the reason of ``Ready`` is one of some; returns the object."""
        found = await self.until(
            lambda: body if ready(body := self.get(kind, name)).get("reason") in reasons else None,
            lambda: json.dumps(self.status(kind, name), indent=1),
            patience,
        )
        assert found is not None
        return found

    async def gone(self, kind: str, name: str, patience: float = PATIENCE) -> None:
        """Wait until an object is gone."""
        await self.until(
            lambda: self.get(kind, name) is None,
            lambda: json.dumps(self.status(kind, name), indent=1),
            patience,
        )

    @staticmethod
    def _true(body: Json | None, kind: str) -> bool:
        conditions = ((body or {}).get("status") or {}).get("conditions") or []
        return any(each["type"] == kind and each["status"] == "True" for each in conditions)

    def stalled(self, body: Json) -> bool:
        """Whether an object is stalled."""
        return self._true(body, "Stalled")

    # -- our objects ----------------------------------------------------------------------------------------------

    def gallery(self, name: str = "platform", **spec: Any) -> Json:
        """Create a Gallery."""
        return self.create("Gallery", name, {"resourceGroup": RESOURCE_GROUP, "location": LOCATION, **spec})

    def definition(self, name: str = "debian", **spec: Any) -> Json:
        """Create a GalleryImageDefinition."""
        base = {
            "galleryRef": {"name": "platform"},
            "osState": "Generalized",
            "identifier": {"publisher": "platform", "offer": "debian", "sku": name},
        }
        if "gallery" in spec:
            del base["galleryRef"]
        return self.create("GalleryImageDefinition", name, {**base, **spec})

    def version(self, name: str = "v1", regions: tuple[str, ...] = (LOCATION,), **spec: Any) -> Json:
        """Create an ImageVersion."""
        base: Json = {
            "definitionRef": {"name": "debian"},
            "version": "1.0.0",
            "source": {"osDisk": {"diskId": f"{COMPUTE}/disks/source"}},
            "targetRegions": [{"name": each} for each in regions],
        }
        return self.create("ImageVersion", name, {**base, **spec})

    # -- Azure ----------------------------------------------------------------------------------------------------

    def disk(self, name: str = "source", kind: str = "disks") -> str:
        """Put a disk (or snapshot) of 1 GiB into Azure; returns its id."""
        resource_id = f"{COMPUTE}/{kind}/{name}"
        properties = {"osType": "Linux", "hyperVGeneration": "V2", "diskSizeGB": 1, "diskState": "Unattached"}
        body = {"id": resource_id, "location": LOCATION, "tags": {}, "properties": properties}
        self.azure.request("PUT", "/_control/resources", {"body": body, "disks": [{"sizeGB": 1}]})
        return resource_id

    def blob(self, name: str, size: int = 1024 * 1024) -> Json:
        """Put a small VHD into the storage account; returns it as a version's source."""
        from azure.storage.blob import BlobClient

        url = f"{self.azure.account_url}/vhds/{name}"
        key = {"account_name": STORAGE_ACCOUNT, "account_key": self.azure.account_key}
        options: Json = {"api_version": STORAGE_API_VERSION, "connection_verify": str(self.azure.ca_file)}
        with BlobClient.from_blob_url(url, credential=key, **options) as client:
            with contextlib.suppress(ResourceExistsError), client._get_container_client() as container:
                container.create_container()
            client.create_page_blob(size + 512)
            client.upload_page(vhd_footer(size), offset=size, length=512)
        return {"storageAccountId": self.azure.storage_account_id, "uri": url}

    def arm(self, method: str, resource_id: str, body: Json | None = None, query: str = "") -> Json:
        """Send a request to Azure behind the operator's back, as a person in the portal would."""
        version = "2025-01-02" if "/disks/" in resource_id else "2025-03-03"
        if "/roleAssignments/" in resource_id:
            version = "2022-04-01"
        elif "/Microsoft.Compute/images/" in resource_id:
            version = "2025-04-01"
        reply = self._arm.request(
            method,
            f"{self.azure.base_url}{resource_id}?api-version={version}{query}",
            body=None if body is None else json.dumps(body),
            headers={"Content-Type": "application/json", "Authorization": "Bearer somebody"},
        )
        assert reply.status < 300, reply.data
        answer: Json = json.loads(reply.data or b"{}")
        return answer

    async def settled(self, resource_id: str) -> Json:
        """Wait until Azure has done with a resource; returns it."""
        found = await self.until(
            lambda: (
                body
                if (body := self.in_azure(resource_id) or {}).get("properties", {}).get("provisioningState")
                == "Succeeded"
                else None
            )
        )
        assert found is not None
        return found

    def kubernetes_writes(self) -> float:
        """Writes to the Kubernetes API that this process has counted."""
        return sum(
            sample.value
            for family in metrics.KUBERNETES_WRITES.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
        )

    async def quiet(self, seconds: float = 1.0) -> None:
        """Wait until nothing has been written for a while."""
        last, since = -1.0, time.monotonic()
        while time.monotonic() - since < seconds:
            now = self.kubernetes_writes() + self.azure.counts()["writes"]
            if now != last:
                last, since = now, time.monotonic()
            await asyncio.sleep(0.1)

    def in_azure(self, resource_id: str) -> Json | None:
        """What Azure holds under an id, or None."""
        for each in self.azure.state()["resources"]:
            if each["id"].lower() == resource_id.lower():
                body: Json = each["body"]
                return body
        return None

    @property
    def gallery_id(self) -> str:
        return f"{COMPUTE}/galleries/platform"

    @property
    def definition_id(self) -> str:
        return f"{self.gallery_id}/images/debian"

    @property
    def version_id(self) -> str:
        return f"{self.definition_id}/versions/1.0.0"

    async def base(self) -> None:
        """A gallery and a definition, ready, and a disk to make versions of."""
        self.disk()
        self.gallery()
        self.definition()
        await self.ready("Gallery", "platform")
        await self.ready("GalleryImageDefinition", "debian")
