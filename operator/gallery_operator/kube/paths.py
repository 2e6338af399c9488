"""REST paths of the kinds the operator touches."""

from dataclasses import dataclass

from gallery_operator.api import GROUP, KINDS, VERSION


@dataclass(frozen=True)
class ResourcePath:
    """Where a kind lives in the REST API.

    Attributes:
        api_version: ``apiVersion`` of its objects.
        kind: ``kind`` of its objects.
        prefix: Path before ``/namespaces``.
        plural: Path segment of the collection.
    """

    api_version: str
    kind: str
    prefix: str
    plural: str

    def collection(self, namespace: str | None) -> str:
        """Return the path of the collection in a namespace, or of all namespaces."""
        if namespace is None:
            return f"{self.prefix}/{self.plural}"
        return f"{self.prefix}/namespaces/{namespace}/{self.plural}"

    def item(self, namespace: str, name: str) -> str:
        """Return the path of one object."""
        return f"{self.collection(namespace)}/{name}"


def _core(kind: str, plural: str) -> ResourcePath:
    return ResourcePath("v1", kind, "/api/v1", plural)


_PATHS: dict[str, ResourcePath] = {
    **{
        each.kind_name: ResourcePath(f"{GROUP}/{VERSION}", each.kind_name, f"/apis/{GROUP}/{VERSION}", each.plural)
        for each in KINDS
    },
    "Job": ResourcePath("batch/v1", "Job", "/apis/batch/v1", "jobs"),
    "Lease": ResourcePath("coordination.k8s.io/v1", "Lease", "/apis/coordination.k8s.io/v1", "leases"),
    "Pod": _core("Pod", "pods"),
    "Secret": _core("Secret", "secrets"),
    "ConfigMap": _core("ConfigMap", "configmaps"),
    "PersistentVolumeClaim": _core("PersistentVolumeClaim", "persistentvolumeclaims"),
    "Event": _core("Event", "events"),
}


def path_of(kind: str) -> ResourcePath:
    """Return where a kind lives.

    Raises:
        KeyError: The operator does not handle this kind.
    """
    return _PATHS[kind]
