"""A namespace of a scenario's own, and the objects that scenarios are made of."""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.e2e import disks, names
from tests.support.e2e.cluster import Cluster
from tests.support.e2e.install import namespace
from tests.support.e2e.kube import Json, Kube, condition, is_ready
from tests.support.e2e.simulator import Simulator

from gallery_operator.api import GROUP, VERSION

GROUP_NAME = "rg-images"
LOCATION = "westeurope"
THREE_REGIONS = ("westeurope", "northeurope", "eastus2")
_PROVIDERS = f"/subscriptions/{names.SUBSCRIPTION}/resourceGroups/{GROUP_NAME}/providers"
ACCOUNT = f"{_PROVIDERS}/Microsoft.Storage/storageAccounts/images"
CONTAINER = "vhds"
# Azure takes no upload of less than 20 MiB and the footer into a managed disk.
SMALL_MIB = 20
# A made-up disk is no installed Linux: what the checks say about it is not what these scenarios are about.
_UNCHECKED = {"policy": "Warn", "onUnknown": "Allow"}
# The node has two processors; what a Job asks for must not serialise the scenarios.
_JOB = {"resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}, "retries": 3}
KINDS = ("Gallery", "GalleryImageDefinition", "VhdImport", "ImageVersion")


@dataclass
class Sandbox:
    """A namespace with restricted pod security in which one scenario plays.

    Attributes:
        cluster: The cluster.
        namespace: Name of the namespace.
        notes: What happened, for the message of a failure.
    """

    cluster: Cluster
    namespace: str
    notes: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, cluster: Cluster, scenario: str) -> Sandbox:
        """Make a namespace named after a scenario."""
        stem = re.sub(r"[^a-z0-9]+", "-", scenario.lower().removeprefix("test_")).strip("-")[:36].rstrip("-")
        sandbox = cls(cluster, f"{stem}-{secrets.token_hex(2)}")
        sandbox.kube.apply(namespace(sandbox.namespace, **{names.SANDBOX_LABEL: "scenario"}))
        return sandbox

    def __enter__(self) -> Sandbox:
        """Give it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        """Ask for the namespace's removal, unless the scenario failed: then it stays to be looked at."""
        if kind is None:
            self.kube.delete("Namespace", None, self.namespace)
            self.cluster.leaving.append(self.namespace)
        elif value is not None:
            value.add_note("\n".join([f"namespace {self.namespace}", *self.notes]))

    @property
    def kube(self) -> Kube:
        """The cluster's API."""
        return self.cluster.kube

    @property
    def azure(self) -> Simulator:
        """The simulator."""
        return self.cluster.simulator

    @property
    def gallery_name(self) -> str:
        """Name of the scenario's gallery in Azure, where it has one."""
        return self.namespace.replace("-", "_")

    def note(self, text: str) -> None:
        """Remember something for the message of a failure."""
        self.notes.append(text)

    # Objects.

    def create(self, kind: str, name: str, spec: Mapping[str, Any]) -> Json:
        """Make one of our objects."""
        document = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": kind,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": dict(spec),
        }
        return self.kube.create(document)

    def gallery(self, name: str = "platform", **spec: Any) -> Json:
        """Make a Gallery."""
        base = {"galleryName": self.gallery_name, "resourceGroup": GROUP_NAME, "location": LOCATION}
        return self.create("Gallery", name, base | spec)

    def definition(self, name: str = "debian-12", **spec: Any) -> Json:
        """Make a definition in the gallery ``platform``."""
        base = {
            "galleryRef": {"name": "platform"},
            "osState": "Generalized",
            "hyperVGeneration": "V2",
            "identifier": {"publisher": "platform", "offer": "debian", "sku": name},
        }
        return self.create("GalleryImageDefinition", name, base | spec)

    def vhd_import(self, name: str, source: Mapping[str, Any], **spec: Any) -> Json:
        """Make an import; the disk is checked against the definition ``debian-12`` unless ``spec`` says otherwise."""
        base: Json = {"source": dict(source), "scratch": {"size": "8Gi"}, "job": _JOB}
        if not {"definitionRef", "profile"} & set(spec):
            base["definitionRef"] = {"name": "debian-12"}
        if "destination" in spec and "definitionRef" not in spec:
            base.pop("definitionRef", None)
        return self.create("VhdImport", name, base | spec)

    def small_import(self, name: str, seed: int, *, mebibytes: int = SMALL_MIB, **spec: Any) -> Json:
        """Make an import of a made-up disk that is not checked."""
        source = self.url(disks.random_url(mebibytes, seed))
        return self.vhd_import(name, source, **{"prerequisites": _UNCHECKED} | spec)

    def url(self, url: str, **more: Any) -> Json:
        """Return the source of a disk at a URL of the disk server, whose CA is private."""
        self.configmap("authority", {"ca.crt": disks.authority(self.kube)})
        return {"url": {"url": url, "caBundleRef": {"name": "authority"}, **more}}

    def version(self, name: str, version: str, regions: tuple[str, ...] = (LOCATION,), **spec: Any) -> Json:
        """Make a version of the definition ``debian-12`` whose OS disk is the import ``os``."""
        base = {
            "definitionRef": {"name": "debian-12"},
            "version": version,
            "source": {"osDisk": {"vhdImportRef": {"name": "os"}}},
            "targetRegions": [{"name": region} for region in regions],
        }
        return self.create("ImageVersion", name, base | spec)

    def secret(self, name: str, data: Mapping[str, str]) -> Json:
        """Make or change a Secret."""
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        metadata = {"name": name, "namespace": self.namespace}
        return self.kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded})

    def secret_text(self, name: str, key: str) -> str:
        """Return a value of a Secret."""
        return base64.b64decode(self.get("Secret", name)["data"][key]).decode()

    def credential(self, name: str = "gallery-operator-credential", secret: str | None = None) -> str:
        """Make a Secret with a client secret for Azure and return the client secret."""
        value = secret if secret is not None else self.canary("client-secret")
        self.secret(
            name,
            {
                "AZURE_TENANT_ID": names.TENANT,
                "AZURE_CLIENT_ID": names.CLIENT,
                "AZURE_CLIENT_SECRET": value,
                "AZURE_SUBSCRIPTION_ID": names.SUBSCRIPTION,
            },
        )
        return value

    def canary(self, what: str) -> str:
        """Return a new secret value that must not be found anywhere at the end."""
        value = f"canary{secrets.token_hex(16)}"
        self.cluster.secrets[f"{what} of {self.namespace}"] = value
        return value

    def claim(self, name: str, size: str = "4Gi") -> None:
        """Make a PersistentVolumeClaim."""
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        metadata = {"name": name, "namespace": self.namespace}
        self.kube.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})

    def fill(self, claim: str, url: str, path: str, *, seconds: float = 180.0) -> None:
        """Put a file of the disk server on a claim."""
        pod = f"fill-{secrets.token_hex(2)}"
        self.kube.create(disks.filler(self.namespace, pod, claim, self.cluster.image, url, path))
        self.wait(
            f"pod {pod} to fill {claim} with {path}",
            lambda: (self.kube.get("Pod", self.namespace, pod) or {}).get("status", {}).get("phase") == "Succeeded",
            seconds=seconds,
        )
        self.kube.delete("Pod", self.namespace, pod, grace=0)

    def configmap(self, name: str, data: Mapping[str, str]) -> None:
        """Make a ConfigMap."""
        metadata = {"name": name, "namespace": self.namespace}
        self.kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)})

    # What is there.

    def get(self, kind: str, name: str) -> Json:
        """Read an object that must be there."""
        found = self.kube.get(kind, self.namespace, name)
        assert found is not None, f"{kind} {name} is gone"
        return found

    def status(self, kind: str, name: str) -> Json:
        """Return an object's status; ``{}`` as long as it has none."""
        status: Json = (self.kube.get(kind, self.namespace, name) or {}).get("status") or {}
        return status

    def objects(self) -> list[Json]:
        """Return all our objects in the namespace."""
        return [item for kind in KINDS for item in self.kube.list(kind, self.namespace)]

    def version_id(self, version: str, definition: str = "debian-12") -> str:
        """Return the ARM id of a version in the scenario's gallery."""
        return (
            f"/subscriptions/{names.SUBSCRIPTION}/resourceGroups/{GROUP_NAME}/providers/Microsoft.Compute/galleries/"
            f"{self.gallery_name}/images/{definition}/versions/{version}"
        )

    def left_in_azure(self) -> list[str]:
        """Return the ids of what is left in Azure of this namespace: by tags, and below its gallery."""
        below = f"/galleries/{self.gallery_name}".lower()
        tagged = {row["id"] for row in self.azure.resources(namespace=self.namespace)}
        nested = {row["id"] for row in self.azure.resources() if below in row["id"].lower()}
        return sorted(tagged | nested)

    # Waits.

    def wait(self, what: str, look: Callable[[], Any], *, seconds: float, **options: Any) -> Any:
        """Look until something is there; a failure shows this namespace."""
        return self.kube.wait(what, look, seconds=seconds, namespaces=(self.namespace,), **options)

    def ready(self, kind: str, name: str, *, seconds: float = 240.0) -> Json:
        """Wait until an object is Ready and return it; stalling ends the wait at once."""

        def look() -> Json | None:
            found = self.kube.get(kind, self.namespace, name)
            return found if is_ready(found) else None

        def stalled() -> str | None:
            found = self.kube.get(kind, self.namespace, name)
            stall = condition(found, "Stalled")
            # What it said about an earlier spec does not count.
            current = found is not None and stall.get("observedGeneration") == found["metadata"]["generation"]
            if current and stall.get("status") == "True":
                return f"it is stalled: {stall['reason']}: {stall['message']}"
            return None

        document: Json = self.wait(f"{kind} {name} to be Ready", look, seconds=seconds, give_up=stalled)
        return document

    def not_ready(self, kind: str, name: str, *reasons: str, stalled: bool, seconds: float = 120.0) -> Json:
        """Wait until an object is not Ready for one of some reasons, and return its condition.

        Args:
            kind: Kind of the object.
            name: Its name.
            reasons: Reasons of the condition ``Ready``.
            stalled: Whether it must also be ``Stalled``: only a person can help.
            seconds: How long to wait.
        """

        def look() -> Json | None:
            found = self.kube.get(kind, self.namespace, name)
            ready = condition(found)
            if ready.get("status") != "False" or ready.get("reason") not in reasons:
                return None
            return ready if (condition(found, "Stalled").get("status") == "True") is stalled else None

        def wrong() -> str | None:
            found = self.kube.get(kind, self.namespace, name)
            if is_ready(found):
                return "it became Ready instead"
            stall = condition(found, "Stalled")
            if stalled and stall.get("status") == "True" and stall["reason"] not in reasons:
                return f"it is stalled with {stall['reason']} instead: {stall['message']}"
            return None

        what = f"{kind} {name} to be {'Stalled' if stalled else 'not Ready'} with {' or '.join(reasons)}"
        document: Json = self.wait(what, look, seconds=seconds, give_up=wrong)
        return document

    def delete(self, kind: str, name: str) -> None:
        """Ask for an object's deletion, and do not wait."""
        assert self.kube.delete(kind, self.namespace, name), f"{kind} {name} was gone already"

    def gone(self, *which: tuple[str, str], seconds: float = 120.0) -> None:
        """Wait until objects are gone."""
        self.wait(
            f"{', '.join(f'{kind} {name}' for kind, name in which)} to be gone",
            lambda: all(self.kube.get(kind, self.namespace, name) is None for kind, name in which),
            seconds=seconds,
        )

    def clean(self) -> None:
        """Delete all our objects at once and wait until they are gone: whatever a scenario did, this must work."""
        which = [(item["kind"], item["metadata"]["name"]) for item in self.objects()]
        for kind, name in which:
            self.kube.delete(kind, self.namespace, name)
        self.gone(*which, seconds=180.0)

    def nothing_left(self, *, seconds: float = 60.0) -> None:
        """Wait until nothing of this namespace is left in Azure."""
        left: list[str] = []

        def look() -> bool:
            left[:] = self.left_in_azure()
            return not left

        with contextlib.suppress(AssertionError):
            self.wait("nothing to be left in Azure", look, seconds=seconds)
        assert not left, f"left in Azure: {left}"
