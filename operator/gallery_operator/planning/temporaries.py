"""What imports need only for a while, and which of it nobody's import needs any more."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gallery_operator.api import VhdImport
from gallery_operator.planning.names import staging_disk_name
from gallery_operator.planning.ownership import owner_of, owner_uid


@dataclass(frozen=True)
class Temporary:
    """Something that an import has made and will remove.

    Attributes:
        kind: ``Job``, ``ScratchClaim`` or ``StagingDisk``.
        where: ``namespace/name``, or the ARM id.
        owner_uid: Uid of its import.
        owner: Its import, in words.
    """

    kind: str
    where: str
    owner_uid: str
    owner: str


def of_cluster(kind: str, bodies: Iterable[Mapping[str, Any]]) -> list[Temporary]:
    """Return those among objects of Kubernetes that belong to an import.

    Args:
        kind: How they are called here.
        bodies: Objects that carry the operator's labels.
    """
    found = []
    for body in bodies:
        meta = body["metadata"]
        for each in meta.get("ownerReferences") or []:
            if each.get("kind") == VhdImport.kind_name and each.get("controller"):
                owner = f"{VhdImport.kind_name} {meta['namespace']}/{each['name']}"
                found.append(Temporary(kind, f"{meta['namespace']}/{meta['name']}", str(each["uid"]), owner))
    return found


def of_azure(disks: Iterable[Mapping[str, Any]], cluster: str, namespaces: Collection[str] = ()) -> list[Temporary]:
    """Return the staging disks of this cluster's imports.

    A disk that is an import's result is none: it may stay for good (``deletionPolicy: Retain``). The two are told apart
    by their names, as a staging disk's follows from its import's uid.

    Args:
        disks: Documents of ARM.
        cluster: Name of this cluster.
        namespaces: Namespaces that are served; empty: all. Of others nothing is known.
    """
    found = []
    for disk in disks:
        tags = disk.get("tags")
        owner, uid = owner_of(tags), owner_uid(tags)
        if owner is None or uid is None or (owner.cluster, owner.kind) != (cluster, VhdImport.kind_name):
            continue
        if namespaces and owner.namespace not in namespaces:
            continue
        if str(disk.get("name", "")).lower() != staging_disk_name(owner.namespace, owner.name, uid).lower():
            continue
        found.append(Temporary("StagingDisk", str(disk["id"]), uid, f"{owner.kind} {owner.namespace}/{owner.name}"))
    return found


def abandoned(
    found: Iterable[Temporary], alive: Collection[str], suspected: Collection[Temporary]
) -> tuple[list[Temporary], list[Temporary]]:
    """Tell what nobody's import needs any more.

    Args:
        found: What there is.
        alive: Uids of all imports, read after that.
        suspected: What this has returned second, a while ago.

    Returns:
        What is abandoned, and what may be: it becomes so when it is there a second time, as Kubernetes' garbage
        collector and Azure take a while to remove what they were told to.
    """
    alone = [each for each in found if each.owner_uid not in alive]
    return [each for each in alone if each in suspected], alone
