"""Whose an Azure resource is, told by tags that the operator puts on what it makes."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gallery_operator.api import GROUP, Resource

_CLUSTER, _NAMESPACE, _NAME, _UID, _KIND = (
    f"{GROUP}-{part}" for part in ("cluster", "namespace", "name", "uid", "kind")
)


class Ownership(StrEnum):
    """Whose a resource is.

    Attributes:
        OURS: It carries the tags of this object.
        ANOTHERS: It carries the tags of another object, or of another cluster's.
        NOBODYS: It carries none of the operator's tags.
    """

    OURS = "Ours"
    ANOTHERS = "Anothers"
    NOBODYS = "Nobodys"


@dataclass(frozen=True)
class Owner:
    """The owner that tags name."""

    cluster: str
    namespace: str
    name: str
    kind: str

    def __str__(self) -> str:
        """Return ``Kind namespace/name of cluster c``."""
        return f"{self.kind} {self.namespace}/{self.name} of cluster {self.cluster!r}"


def owner_tags(resource: Resource, cluster: str) -> dict[str, str]:
    """Return the tags that say that an Azure resource belongs to an object."""
    return {
        _CLUSTER: cluster,
        _NAMESPACE: resource.metadata.namespace,
        _NAME: resource.metadata.name,
        _KIND: resource.kind_name,
        _UID: resource.metadata.uid,
    }


def owner_of(tags: Mapping[str, str] | None) -> Owner | None:
    """Return the owner that tags name, or None."""
    if not tags or _CLUSTER not in tags:
        return None
    return Owner(tags[_CLUSTER], tags.get(_NAMESPACE, ""), tags.get(_NAME, ""), tags.get(_KIND, ""))


def owner_uid(tags: Mapping[str, str] | None) -> str | None:
    """Return the uid of the object that a resource was made for, or None."""
    return (tags or {}).get(_UID)


def ownership(tags: Mapping[str, str] | None, resource: Resource, cluster: str) -> Ownership:
    """Tell whose a resource is.

    The uid is not compared: an object that was restored from a backup or Git owns what its predecessor of the same
    name left with ``deletionPolicy: Retain``.
    """
    owner = owner_of(tags)
    if owner is None:
        return Ownership.NOBODYS
    mine = Owner(cluster, resource.metadata.namespace, resource.metadata.name, resource.kind_name)
    return Ownership.OURS if owner == mine else Ownership.ANOTHERS


def desired_tags(
    existing: Mapping[str, str] | None, wanted: Mapping[str, str], owner: Mapping[str, str]
) -> dict[str, str]:
    """Return the tags to send: those others have put there stay (cost centres, policies), ours win."""
    return {**(existing or {}), **wanted, **owner}


def tags_differ(existing: Mapping[str, str] | None, wanted: Mapping[str, str], owner: Mapping[str, str]) -> bool:
    """Whether a tag that we want is missing or has another value."""
    have = existing or {}
    return any(have.get(name) != value for name, value in {**wanted, **owner}.items())
