"""Eventual consistency: a parent cannot be deleted for some seconds after its last child is gone."""

from __future__ import annotations

from ..errors import ArmError, cannot_delete_nested
from ..store import Resource
from .base import Kind

__all__ = ["mark_lag", "nested_names", "nested_refusal"]


def nested_names(resources: list[Resource]) -> list[str]:
    """Return how Azure's conflict names children: without subscription and resource group."""
    return [resource.id.split("/providers/", 1)[1] for resource in resources]


def mark_lag(kind: Kind, child: Resource, due: float) -> None:
    """Let the parent's delete be refused for 10 to 20 Azure seconds more, as the service does."""
    parent = kind.store.get(child.parent)
    if parent is None:
        return
    timings = kind.engine.config.timings
    wait = timings.nested_lag + kind.engine.spread(child.key, timings.nested_lag_spread)
    parent.internal["nested"] = {"until": due + wait, "name": nested_names([child])[0]}
    kind.store.put(parent)


def nested_refusal(kind: Kind, parent: Resource, children: list[Resource]) -> ArmError | None:
    """Return why a parent cannot be deleted: it has children, or had some a moment ago; else None."""
    if children:
        return cannot_delete_nested(nested_names(children))
    lag = parent.internal.get("nested")
    if lag and kind.engine.clock.now() < lag["until"]:
        return cannot_delete_nested([lag["name"]])
    return None
