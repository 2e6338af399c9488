"""Subscriptions, their locations and resource groups."""

from __future__ import annotations

from typing import Any

from .engine import Engine
from .errors import ArmError, location_mismatch
from .ids import Target
from .operations import Call, Reply
from .regions import REGIONS, normalise
from .store import Resource

__all__ = ["Groups"]


class Groups:
    """What is above resource providers."""

    def __init__(self, engine: Engine) -> None:
        """Work on an engine's state."""
        self.engine = engine
        self.store = engine.store

    def answer(self, call: Call, method: str, target: Target, body: dict[str, Any]) -> Reply:
        """Answer a request for a subscription, its locations or resource groups.

        Raises:
            ArmError: there is no such thing, or it cannot be done.
        """
        if target.subscription is None:
            return Reply(200, {"value": [self._subscription(one) for one in self.engine.config.subscriptions]})
        if target.group is not None:
            return self._group(call, method, target.subscription, target.group, body)
        if not target.types and method == "GET":
            return Reply(200, self._subscription(target.subscription))
        if target.types == ("resourceGroups",) and method == "GET":
            found = self.store.by_type(target.subscription, "microsoft.resources/resourcegroups")
            return Reply(200, {"value": [group.body for group in found]})
        if len(target.types) == 1 and target.types[0].lower() == "locations" and method == "GET":
            rows = [
                {
                    "id": f"/subscriptions/{target.subscription}/locations/{region.name}",
                    "name": region.name,
                    "displayName": region.display,
                    "regionalDisplayName": region.display,
                }
                for region in REGIONS.values()
            ]
            return Reply(200, {"value": rows})
        raise ArmError(404, "NotFound", "No HTTP resource was found that matches the request URI.")

    def _subscription(self, subscription: str) -> dict[str, Any]:
        return {
            "id": f"/subscriptions/{subscription}",
            "subscriptionId": subscription,
            "tenantId": self.engine.config.tenant,
            "displayName": "Azure simulator",
            "state": "Enabled",
        }

    def _group(self, call: Call, method: str, subscription: str, group: str, body: dict[str, Any]) -> Reply:
        if method == "PUT":
            if not body.get("location"):
                raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
            resource, made = self.engine.add_group(subscription, group, body["location"], body.get("tags"))
            wanted, there = normalise(str(body["location"])), str(resource.body["location"])
            if wanted != there:
                raise location_mismatch(group, group, there, wanted)
            if not made and "tags" in body:
                resource.body["tags"] = body["tags"]
                self.store.put(resource)
            return Reply(201 if made else 200, resource.body)
        found = self.engine.require_group(subscription, group)
        if method == "GET":
            return Reply(200, found.body)
        if method == "HEAD":
            return Reply(204)
        if method == "DELETE":
            return self._delete(found, group)
        raise ArmError(405, "MethodNotAllowed", f"{method} is not supported for resource groups.")

    def _delete(self, found: Resource, group: str) -> Reply:
        if self.store.children(found.key):
            raise ArmError(
                409,
                "ResourceGroupBeingUsed",
                f"The Azure simulator deletes empty resource groups only, and '{group}' is not empty.",
            )
        self.store.delete(found.key)
        return Reply(200)
