"""What every resource type has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..engine import Engine, group_key
from ..errors import ArmError, bad_parameter, location_mismatch, parent_not_found, resource_not_found
from ..ids import ResourceId
from ..operations import Call, Reply
from ..regions import normalise
from ..store import Resource

__all__ = ["DISK_API", "GALLERY_API", "IMAGE_API", "Kind", "as_object"]

GALLERY_API = frozenset(
    [
        "2018-06-01",
        "2019-03-01",
        "2019-07-01",
        "2019-12-01",
        "2020-09-30",
        "2021-07-01",
        "2021-10-01",
        "2022-01-03",
        "2022-03-03",
        "2022-08-03",
        "2023-07-03",
        "2024-03-03",
        "2025-03-03",
        "2026-03-03",
    ]
)
DISK_API = frozenset(
    [
        "2017-03-30",
        "2018-04-01",
        "2018-06-01",
        "2018-09-30",
        "2019-03-01",
        "2019-07-01",
        "2019-11-01",
        "2020-05-01",
        "2020-06-30",
        "2020-09-30",
        "2021-08-01",
        "2020-12-01",
        "2021-04-01",
        "2021-12-01",
        "2022-03-02",
        "2022-07-02",
        "2023-01-02",
        "2023-04-02",
        "2023-10-02",
        "2024-03-02",
        "2025-01-02",
        "2026-03-02",
    ]
)
IMAGE_API = frozenset(
    [
        "2017-03-30",
        "2017-12-01",
        "2018-04-01",
        "2018-06-01",
        "2018-10-01",
        "2019-03-01",
        "2019-07-01",
        "2019-12-01",
        "2020-06-01",
        "2020-12-01",
        "2021-03-01",
        "2021-04-01",
        "2021-07-01",
        "2021-11-01",
        "2022-03-01",
        "2022-08-01",
        "2022-11-01",
        "2023-03-01",
        "2023-07-01",
        "2023-09-01",
        "2024-03-01",
        "2024-07-01",
        "2024-11-01",
        "2025-04-01",
        "2026-04-01",
    ]
)


def as_object(value: object, path: str) -> dict[str, Any]:
    """Return a JSON object, {} for null.

    Raises:
        ArmError: 400, the value is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ArmError(400, "BadRequest", f"Could not parse '{path}': an object is expected.", target=path)
    return dict(value)


class Kind:
    """One resource type: how it is made, shown, changed and removed.

    Attributes:
        namespace: resource provider in its own casing.
        types: type segments in their own casing.
        api_versions: versions that are answered.
    """

    namespace: ClassVar[str] = "Microsoft.Compute"
    types: ClassVar[tuple[str, ...]]
    api_versions: ClassVar[frozenset[str]]

    def __init__(self, engine: Engine) -> None:
        """Work on an engine's state."""
        self.engine = engine
        self.store = engine.store
        self.operations = engine.operations

    @property
    def type(self) -> str:
        """The full type, such as `Microsoft.Compute/galleries`."""
        return "/".join((self.namespace, *self.types))

    async def put(self, call: Call, rid: ResourceId, body: dict[str, Any]) -> Reply:
        """Create or replace."""
        raise self._no_method("PUT")

    async def patch(self, call: Call, rid: ResourceId, body: dict[str, Any]) -> Reply:
        """Update in part."""
        raise self._no_method("PATCH")

    async def delete(self, call: Call, rid: ResourceId) -> Reply:
        """Remove."""
        raise self._no_method("DELETE")

    async def act(self, call: Call, rid: ResourceId, action: str, body: dict[str, Any]) -> Reply:
        """Carry out an action (POST)."""
        raise self._no_method(f"POST {action}")

    async def get(self, call: Call, rid: ResourceId) -> Reply:
        """Show one."""
        return Reply(200, self.render(self.require(rid), call))

    def listing(self, call: Call, subscription: str, group: str | None, parents: tuple[str, ...]) -> Reply:
        """Show all in a resource group, in a parent, or (without group) in a subscription."""
        if group is None:
            found = self.store.by_type(subscription, self.type)
        elif parents:
            parent = ResourceId(subscription, group, self.namespace, self.types[:-1], parents)
            self.require_parents(parent)
            if self.store.get(parent.key) is None:
                raise parent_not_found("/".join(parents))
            found = self.store.children(parent.key, self.type)
        else:
            self.engine.require_group(subscription, group)
            found = self.store.children(group_key(subscription, group), self.type)
        return Reply(200, {"value": [self.render(resource, call) for resource in found]})

    def render(self, resource: Resource, call: Call) -> dict[str, Any]:
        """Return the body that a request sees."""
        return resource.body

    def require(self, rid: ResourceId) -> Resource:
        """Return a resource.

        Raises:
            ArmError: 404 for the resource, its parent or its resource group.
        """
        found = self.store.get(rid.key)
        if found is not None:
            return found
        self.require_parents(rid)
        raise resource_not_found(self.type, "/".join(rid.names), rid.group)

    def require_parents(self, rid: ResourceId) -> None:
        """Check the resource group and every parent.

        Raises:
            ArmError: 404 for the first that is missing.
        """
        self.engine.require_group(rid.subscription, rid.group)
        chain, parent = [], rid.parent
        while parent is not None:
            chain.append(parent)
            parent = parent.parent
        for ancestor in reversed(chain):
            if self.store.get(ancestor.key) is None:
                raise parent_not_found("/".join(ancestor.names))

    def fresh(self, rid: ResourceId, location: str, tags: object) -> Resource:
        """Return a new resource with nothing but its envelope."""
        body: dict[str, Any] = {"name": rid.name, "id": rid.path, "type": self.type, "location": location}
        if tags is not None:
            body["tags"] = dict(as_object(tags, "tags"))
        body["properties"] = {}
        parent = rid.parent.key if rid.parent else group_key(rid.subscription, rid.group)
        return Resource(rid.key, self.type.lower(), parent, body)

    def location(self, rid: ResourceId, body: Mapping[str, Any], existing: Resource | None) -> str:
        """Return the location a PUT asks for, in the spelling to show.

        Raises:
            ArmError: it is missing, unknown, or not where the resource is.
        """
        wanted = body.get("location")
        if wanted is None:
            if existing is not None:
                return str(existing.body["location"])
            raise ArmError(
                400, "LocationRequired", "The location property is required for this definition.", gateway=True
            )
        region = self.engine.region(wanted, self.type)
        if existing is not None and normalise(str(existing.body["location"])) != region.name:
            raise location_mismatch("/".join(rid.names), rid.group, str(existing.body["location"]), str(wanted))
        return region.name

    def choice(self, value: object, allowed: tuple[str, ...], path: str) -> str:
        """Return an enumeration value in Azure's own casing.

        Raises:
            ArmError: 400, it is none of them.
        """
        for option in allowed:
            if isinstance(value, str) and value.lower() == option.lower():
                return option
        raise bad_parameter(
            f"The value '{value}' of parameter '{path}' is not allowed. Allowed values are: {', '.join(allowed)}.",
            path,
        )

    def _no_method(self, method: str) -> ArmError:
        return ArmError(405, "MethodNotAllowed", f"{method} is not supported for resource type '{self.type}'.")
