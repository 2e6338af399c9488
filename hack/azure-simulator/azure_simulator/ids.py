"""ARM resource ids and request paths."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

__all__ = ["Extension", "ResourceId", "Target", "parse_extension", "parse_id", "parse_path"]


@dataclass(frozen=True, slots=True)
class ResourceId:
    """The id of one resource in a resource group.

    Attributes:
        subscription: subscription id as written.
        group: resource group as written.
        namespace: resource provider, such as `Microsoft.Compute`.
        types: type segments, such as `("galleries", "images")`.
        names: one name a type segment.
    """

    subscription: str
    group: str
    namespace: str
    types: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """The last name."""
        return self.names[-1]

    @property
    def type(self) -> str:
        """The full type, such as `Microsoft.Compute/galleries/images`."""
        return "/".join((self.namespace, *self.types))

    @property
    def path(self) -> str:
        """The id as text."""
        pairs = "/".join(f"{kind}/{name}" for kind, name in zip(self.types, self.names, strict=True))
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/{self.namespace}/{pairs}"

    @property
    def key(self) -> str:
        """The id in the form that compares equal for every spelling (ARM ids are case-insensitive)."""
        return self.path.lower()

    @property
    def parent(self) -> ResourceId | None:
        """The id of the enclosing resource, or None for a top-level one."""
        if len(self.types) == 1:
            return None
        return ResourceId(self.subscription, self.group, self.namespace, self.types[:-1], self.names[:-1])


@dataclass(frozen=True, slots=True)
class Target:
    """What a request path points at.

    Attributes:
        subscription: subscription id, or None for tenant-level paths.
        group: resource group, or None at subscription level.
        namespace: resource provider, or None where the path ends before one.
        types: type segments.
        names: names; one fewer than `types` for a list, equally many for a resource.
        action: the segment after a resource's name, when it is a known action (`share`, `beginGetAccess`).
    """

    subscription: str | None
    group: str | None
    namespace: str | None
    types: tuple[str, ...]
    names: tuple[str, ...]
    action: str | None = None

    @property
    def is_list(self) -> bool:
        """Whether the path names a collection."""
        return len(self.types) == len(self.names) + 1

    @property
    def resource(self) -> ResourceId:
        """The resource's id.

        Raises:
            ValueError: the path names no resource in a resource group.
        """
        if self.subscription is None or self.group is None or self.namespace is None or self.is_list:
            raise ValueError("the path names no resource")
        return ResourceId(self.subscription, self.group, self.namespace, self.types, self.names)


@dataclass(frozen=True, slots=True)
class Extension:
    """What a path points at that ends in an extension: `{scope}/providers/Microsoft.Authorization/{type}[/{name}]`.

    Attributes:
        scope: id of what is extended: a subscription, a resource group or a resource.
        type: type segment as written.
        name: name, or None for the list.
    """

    scope: str
    type: str
    name: str | None


_EXTENSION = re.compile(
    r"(?P<scope>.*?)/+providers/Microsoft\.Authorization/(?P<type>[^/]+)(?:/(?P<name>[^/]+))?/*", re.IGNORECASE
)
_ACTIONS = frozenset({"share", "begingetaccess", "endgetaccess", "generalize", "instanceview", "listkeys"})


def parse_path(path: str) -> Target | None:
    """Return what an ARM path points at, or None if it is no ARM path of a form known here."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if not parts or parts[0].lower() != "subscriptions":
        return None
    if len(parts) == 1:
        return Target(None, None, None, ("subscriptions",), ())
    subscription, rest, group = parts[1], parts[2:], None
    if not rest:
        return Target(subscription, None, None, (), ())
    if rest[0].lower() == "resourcegroups":
        if len(rest) == 1:
            return Target(subscription, None, None, ("resourceGroups",), ())
        group, rest = rest[1], rest[2:]
        if not rest:
            return Target(subscription, group, None, (), ())
    if rest[0].lower() != "providers" or len(rest) < 2:
        return Target(subscription, group, "", tuple(rest[0::2]), tuple(rest[1::2]))
    namespace, rest = rest[1], rest[2:]
    action = None
    if len(rest) % 2 == 1 and rest[-1].lower() in _ACTIONS:
        action, rest = rest[-1], rest[:-1]
    return Target(subscription, group, namespace, tuple(rest[0::2]), tuple(rest[1::2]), action)


def parse_extension(path: str) -> Extension | None:
    """Return what a path of the authorization provider points at, or None if it is none."""
    found = _EXTENSION.fullmatch(unquote(path))
    if found is None:
        return None
    scope = found["scope"].rstrip("/")
    return Extension(scope if not scope or scope.startswith("/") else f"/{scope}", found["type"], found["name"])


def parse_id(text: object) -> ResourceId | None:
    """Return the resource id that `text` is, or None if it is no fully qualified one."""
    if not isinstance(text, str) or not text.startswith("/"):
        return None
    target = parse_path(text)
    if target is None or target.action or not target.types:
        return None
    try:
        return target.resource
    except ValueError:
        return None
