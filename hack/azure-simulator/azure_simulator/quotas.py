"""How many galleries, definitions and versions a subscription may have in a region, and `usages`, which tells.

The names `Gallery`, `GalleryImage` and `GalleryImageVersion` are those that public scripts read from the real answer;
the limits are Microsoft's. Status, code and words of the refusal are inferred from Compute's other quotas.
"""

from __future__ import annotations

from typing import Any

from .engine import Engine
from .errors import ArmError
from .ids import Target
from .operations import Call, Reply
from .regions import find

__all__ = ["Quotas"]

_LIMITS = {
    "Gallery": ("microsoft.compute/galleries", "Gallery", 100),
    "GalleryImage": ("microsoft.compute/galleries/images", "Gallery Image", 1000),
    "GalleryImageVersion": ("microsoft.compute/galleries/images/versions", "Gallery Image Version", 10000),
}


class Quotas:
    """Counts what is there; limits can be set by the control endpoint, so that tests reach them."""

    def __init__(self, engine: Engine) -> None:
        """Work on an engine's state."""
        self.engine = engine
        self.store = engine.store

    def limits(self) -> dict[str, int]:
        """Return the limit of each quota by name."""
        changed = self.store.meta("quotas") or {}
        return {name: int(changed.get(name, row[2])) for name, row in _LIMITS.items()}

    def set_limits(self, limits: dict[str, Any]) -> None:
        """Change limits.

        Raises:
            ValueError: there is no quota of such a name, or a limit is no whole number from 0 up.
        """
        unknown = set(limits) - set(_LIMITS)
        if unknown:
            raise ValueError(f"unknown quotas: {', '.join(sorted(unknown))}; there are {', '.join(_LIMITS)}")
        if any(isinstance(value, bool) or not isinstance(value, int) or value < 0 for value in limits.values()):
            raise ValueError("a limit is a whole number, 0 or more")
        self.store.set_meta("quotas", {**(self.store.meta("quotas") or {}), **limits})

    def serves(self, target: Target) -> bool:
        """Whether a path is `locations/{location}/usages`."""
        return target.is_list and [kind.lower() for kind in target.types] == ["locations", "usages"]

    def answer(self, method: str, call: Call, target: Target) -> Reply:
        """Show what is used in a region.

        Raises:
            ArmError: the method or the region does not exist.
        """
        if method != "GET":
            raise ArmError(405, "MethodNotAllowed", f"{method} is not supported here.")
        assert target.subscription is not None
        region = self.engine.region(target.names[0], "Microsoft.Compute/locations/usages")
        limits = self.limits()
        rows = [
            {
                "limit": limits[name],
                "unit": "Count",
                "currentValue": self._used(target.subscription, kind, region.name),
                "name": {"value": name, "localizedValue": title},
            }
            for name, (kind, title, _) in _LIMITS.items()
        ]
        return Reply(200, {"value": rows})

    def check(self, subscription: str, resource_type: str, location: str) -> None:
        """Check that one more resource of a type may be made.

        Raises:
            ArmError: 409, the limit is reached.
        """
        for name, (kind, title, _) in _LIMITS.items():
            region = find(location)
            if kind != resource_type.lower() or region is None:
                continue
            limit, used = self.limits()[name], self._used(subscription, kind, region.name)
            if used >= limit:
                raise ArmError(
                    409,
                    "OperationNotAllowed",
                    f"Operation could not be completed as it results in exceeding the approved {title} quota. "
                    f"Location: {region.name}, Current Limit: {limit}, Current Usage: {used}, Additional Required: 1, "
                    f"(Minimum) New Limit Required: {used + 1}. Submit a request for Quota increase.",
                )

    def _used(self, subscription: str, kind: str, region: str) -> int:
        return sum(1 for one in self.store.by_type(subscription, kind) if one.body.get("location") == region)
