"""All examples applied to a cluster at once, as ``kubectl apply -f docs/examples`` does, and what to ask about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubernetes.client import ApiException
from tests.support.e2e import names
from tests.support.e2e.cluster import Cluster
from tests.support.e2e.examples import world
from tests.support.e2e.examples.manifests import FILES, NAMESPACES, Substitutions, documents
from tests.support.e2e.sandbox import Sandbox
from tests.support.e2e.simulator import Simulator

Json = dict[str, Any]
PATIENCE = 600.0
"""Seconds: half a dozen real disks are checked and uploaded at the same time."""

_STEM = "examples"
LATER = frozenset({"version-restore.yaml"})
"""Files that say what happens to something that another file has made: their checks apply them."""


class Applied:
    """The examples, applied; each is looked at by a function that ``example`` has registered.

    Attributes:
        cluster: Where.
        sandbox: The namespace of all that name none.
        refused: Files that the API server has refused, and why.
    """

    def __init__(self, cluster: Cluster) -> None:
        """Make what the examples name, and apply all but ``LATER`` without waiting in between."""
        self.cluster = cluster
        if self._namespaces():
            # What was deleted softly holds its definition until Azure forgets it.
            self.azure.request("PUT", "/_control/clock", {"skip": 8 * 86400})
            cluster.kube.wait("the examples of an earlier run to go", self._unused, seconds=300.0)
        self.sandbox = Sandbox.make(cluster, _STEM)
        self.refused: dict[str, str] = {}
        self._objects: dict[str, list[Json]] = {}
        self._substitutions = Substitutions(world.prepare(self.sandbox))
        for file in FILES:
            if file in LATER:
                continue
            try:
                self.apply(file)
            except ApiException as error:
                self.refused[file] = f"{error.status}: {error.body}"

    def apply(self, file: str) -> None:
        """Apply a file.

        Raises:
            ApiException: The API server refuses it.
        """
        self._objects[file] = documents(file, self._substitutions, self.sandbox.namespace)
        for document in self._objects[file]:
            self.cluster.kube.create(document)

    @property
    def azure(self) -> Simulator:
        """The simulator."""
        return self.cluster.simulator

    def ready(self, file: str) -> list[Json]:
        """Wait until all objects of a file are Ready and return them."""
        return [self._ready(each) for each in self._objects[file]]

    def _ready(self, document: Json) -> Json:
        metadata = document["metadata"]
        home = Sandbox(self.cluster, metadata["namespace"])
        return home.ready(document["kind"], metadata["name"], seconds=PATIENCE)

    def bodies(self, file: str) -> list[Json]:
        """Wait until all objects of a file are Ready and return what Azure has of each."""
        every = [found["status"] for found in self.ready(file)]
        return [self.body(status.get("resourceId") or status["target"]["resourceId"]) for status in every]

    def only(self, file: str) -> Json:
        """Do the same for a file with one object."""
        (body,) = self.bodies(file)
        return body

    def body(self, resource_id: str) -> Json:
        """Return what Azure has of a resource that must be there."""
        body = self.azure.resource(resource_id)
        assert body is not None, f"{resource_id} is not in Azure"
        return body

    def internal(self, resource_id: str) -> Json:
        """Return what the simulator knows of a resource and Azure does not show."""
        found: Json = next(row["internal"] for row in self.azure.resources() if row["id"] == resource_id)
        return found

    def delete(self) -> None:
        """Delete all objects at once, in whatever order, and wait until they are gone."""
        # Versions that are deleted softly would hold their definition for days.
        no_more = {"spec": {"softDeletePolicy": {"isSoftDeleteEnabled": False}}}
        self.cluster.kube.patch("Gallery", self.sandbox.namespace, "production", no_more)
        self.sandbox.ready("Gallery", "production")
        homes = {each["metadata"]["namespace"] for objects in self._objects.values() for each in objects}
        places = [Sandbox(self.cluster, name) for name in sorted(homes)]
        for place in places:
            for item in place.objects():
                self.cluster.kube.delete(item["kind"], place.namespace, item["metadata"]["name"])
        for place in places:
            place.gone(*((item["kind"], item["metadata"]["name"]) for item in place.objects()), seconds=PATIENCE)

    def left_in_azure(self) -> list[str]:
        """Return the ids of all resources in Azure that carry the mark of an object of ours."""
        homes = {each["metadata"]["namespace"] for objects in self._objects.values() for each in objects}
        return [row["id"] for name in homes for row in self.azure.resources(namespace=name)]

    def leave(self) -> None:
        """Ask for the removal of the namespaces."""
        for name in self._namespaces():
            self.cluster.kube.delete("Namespace", None, name)
            self.cluster.leaving.append(name)

    def _namespaces(self) -> list[str]:
        """Return the names of all namespaces of this run, or of one before."""
        named = {names.EXAMPLES_NAMESPACE, *NAMESPACES.values()}
        labelled = self.cluster.kube.list("Namespace", selector=names.SANDBOX_LABEL)
        found = [item["metadata"]["name"] for item in labelled]
        return [name for name in found if name in named or name.startswith(f"{_STEM}-")]

    def _unused(self) -> bool:
        return not self._namespaces()


Check = Callable[[Applied], None]
CHECKS: dict[str, Check] = {}


def example(file: str) -> Callable[[Check], Check]:
    """Register what an example must have done in Azure."""

    def register(check: Check) -> Check:
        assert file not in CHECKS, f"{file} has two checks"
        CHECKS[file] = check
        return check

    return register
