"""Ids of Azure resources: read, made, compared. Pure.

Azure compares ids without case and answers with its own casing (``resourceGroups`` or ``resourcegroups``, the name as
first created), so an id is a value here and never a string that somebody compares with ``==``.
"""

import re
from dataclasses import dataclass
from functools import cached_property

_SEGMENT = re.compile(r"[^/\\?#%&<>\"'\x00-\x20\x7f]{1,260}")
_NAMESPACE = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z0-9]+)+")
_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_RESOURCE_GROUP_TYPE = "Microsoft.Resources/resourceGroups"

COMPUTE = "Microsoft.Compute"


class InvalidResourceIdError(ValueError):
    """A text is not the id of a resource in a resource group. The message says why and what one looks like."""


@dataclass(frozen=True, eq=False)
class ResourceId:
    """The id of a resource group, or of a resource in one. Equal without regard to case; hashable.

    Attributes:
        subscription_id: The subscription.
        resource_group: The resource group.
        namespace: The resource provider, such as ``Microsoft.Compute``; empty for a resource group.
        path: Pairs of type and name from the outermost to the resource itself; empty for a resource group.
    """

    subscription_id: str
    resource_group: str
    namespace: str = ""
    path: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for what, segment in (("subscription", self.subscription_id), ("resource group", self.resource_group)):
            _check_segment(what, segment)
        if bool(self.namespace) != bool(self.path):
            raise InvalidResourceIdError("a resource id has a provider and at least one type and name, or neither")
        if self.namespace and not _NAMESPACE.fullmatch(self.namespace):
            raise InvalidResourceIdError(f"{self.namespace!r} is not the name of a resource provider")
        for type_, name in self.path:
            if (
                not _TYPE.fullmatch(type_) or type_.lower() == "providers"
            ):  # an extension resource, as a role assignment
                raise InvalidResourceIdError(f"{type_!r} is not a resource type")
            _check_segment(type_, name)

    @classmethod
    def parse(cls, text: str) -> "ResourceId":
        """Read an id.

        Args:
            text: Such as ``/subscriptions/S/resourceGroups/R/providers/Microsoft.Compute/galleries/G``; a trailing
                slash is allowed.

        Returns:
            The id, with the casing of the text.

        Raises:
            InvalidResourceIdError: The text is anything else.
        """
        parts = text.removesuffix("/").split("/")
        if len(parts) < 5 or parts[0] or parts[1].lower() != "subscriptions" or parts[3].lower() != "resourcegroups":
            raise InvalidResourceIdError(
                f"{text[:300]!r} is not a resource id; one looks like "
                "/subscriptions/<id>/resourceGroups/<name>/providers/<provider>/<type>/<name>"
            )
        if len(parts) == 5:
            return cls(parts[2], parts[4])
        if parts[5].lower() != "providers" or len(parts) < 9 or len(parts) % 2 == 0:
            raise InvalidResourceIdError(
                f"{text[:300]!r} is not a resource id: after the resource group come /providers/<provider> and pairs "
                "of /<type>/<name>"
            )
        return cls(parts[2], parts[4], parts[6], tuple(zip(parts[7::2], parts[8::2], strict=True)))

    def child(self, type_: str, name: str) -> "ResourceId":
        """Return the id of a resource below this one.

        Raises:
            InvalidResourceIdError: This is a resource group, or type or name cannot be part of an id.
        """
        if not self.path:
            raise InvalidResourceIdError("a resource in a resource group needs its provider: build it from its parts")
        return ResourceId(self.subscription_id, self.resource_group, self.namespace, (*self.path, (type_, name)))

    @property
    def type(self) -> str:
        """Provider and types, such as ``Microsoft.Compute/galleries/images``, in the casing of the id."""
        if not self.path:
            return _RESOURCE_GROUP_TYPE
        return "/".join([self.namespace, *(type_ for type_, _ in self.path)])

    @property
    def name(self) -> str:
        """The resource's own name."""
        return self.path[-1][1] if self.path else self.resource_group

    @property
    def names(self) -> tuple[str, ...]:
        """All names from the outermost resource to this one; the resource group's own for a resource group."""
        return tuple(name for _, name in self.path) or (self.resource_group,)

    @property
    def parent(self) -> "ResourceId | None":
        """The resource that holds this one: the next outer one, the resource group, or None for that."""
        if not self.path:
            return None
        if len(self.path) == 1:
            return ResourceId(self.subscription_id, self.resource_group)
        return ResourceId(self.subscription_id, self.resource_group, self.namespace, self.path[:-1])

    @cached_property
    def key(self) -> str:
        """The id in lower case: equal for equal resources, for use as a dictionary key or in a log."""
        return str(self).lower()

    def __str__(self) -> str:
        group = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
        if not self.path:
            return group
        return f"{group}/providers/{self.namespace}" + "".join(f"/{type_}/{name}" for type_, name in self.path)

    def __eq__(self, other: object) -> bool:
        return self.key == other.key if isinstance(other, ResourceId) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True)
class CollectionId:
    """The id of all resources of one type below a parent, such as ``…/galleries/G/images``."""

    parent: ResourceId
    type: str

    @classmethod
    def parse(cls, text: str) -> "CollectionId":
        """Read the id of a collection.

        Raises:
            InvalidResourceIdError: The text is not an id followed by a type.
        """
        head, _, last = text.removesuffix("/").rpartition("/")
        match = re.fullmatch(r"(?i)(.+)/providers/([^/]+)", head)
        if match is None:
            parent = ResourceId.parse(head)
            if not parent.path or not _TYPE.fullmatch(last):
                raise InvalidResourceIdError(f"{text[:300]!r} is not the id of a collection of resources")
            return cls(parent, "/".join([parent.type, last]))
        if not _NAMESPACE.fullmatch(match.group(2)) or not _TYPE.fullmatch(last):
            raise InvalidResourceIdError(f"{text[:300]!r} is not the id of a collection of resources")
        group = ResourceId.parse(match.group(1))
        if group.path:
            raise InvalidResourceIdError(f"{text[:300]!r}: collections of extension resources are not supported")
        return cls(group, f"{match.group(2)}/{last}")


def _check_segment(what: str, segment: str) -> None:
    if not _SEGMENT.fullmatch(segment) or segment in {".", ".."}:
        raise InvalidResourceIdError(f"{segment[:100]!r} cannot be the name of a {what} in a resource id")


def resource_group(subscription_id: str, name: str) -> ResourceId:
    """Return the id of a resource group."""
    return ResourceId(subscription_id, name)


def gallery(subscription_id: str, group: str, name: str) -> ResourceId:
    """Return the id of a compute gallery."""
    return ResourceId(subscription_id, group, COMPUTE, (("galleries", name),))


def definition(subscription_id: str, group: str, gallery_name: str, name: str) -> ResourceId:
    """Return the id of an image definition."""
    return gallery(subscription_id, group, gallery_name).child("images", name)


def version(subscription_id: str, group: str, gallery_name: str, definition_name: str, name: str) -> ResourceId:
    """Return the id of an image version."""
    return definition(subscription_id, group, gallery_name, definition_name).child("versions", name)


def disk(subscription_id: str, group: str, name: str) -> ResourceId:
    """Return the id of a managed disk."""
    return ResourceId(subscription_id, group, COMPUTE, (("disks", name),))


def snapshot(subscription_id: str, group: str, name: str) -> ResourceId:
    """Return the id of a snapshot of a managed disk."""
    return ResourceId(subscription_id, group, COMPUTE, (("snapshots", name),))


def managed_image(subscription_id: str, group: str, name: str) -> ResourceId:
    """Return the id of a managed image."""
    return ResourceId(subscription_id, group, COMPUTE, (("images", name),))


def storage_account(subscription_id: str, group: str, name: str) -> ResourceId:
    """Return the id of a storage account."""
    return ResourceId(subscription_id, group, "Microsoft.Storage", (("storageAccounts", name),))
