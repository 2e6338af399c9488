"""Gallery: what to send to Azure, and whether what is there differs."""

from collections.abc import Mapping
from typing import Any

from gallery_operator.api import Gallery
from gallery_operator.planning.ownership import desired_tags, tags_differ


def body(gallery: Gallery, owner: Mapping[str, str], existing: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the PUT body, in REST form.

    Args:
        gallery: What is wanted.
        owner: Ownership tags.
        existing: What Azure has, or None. What it has and the spec does not speak of is sent back as it is (a PUT would
            reset it), read-only properties aside.
    """
    before = (existing or {}).get("properties") or {}
    properties: dict[str, Any] = {name: before[name] for name in ("softDeletePolicy",) if before.get(name) is not None}
    if gallery.spec.description is not None:
        properties["description"] = gallery.spec.description
    elif before.get("description"):
        properties["description"] = before["description"]
    return {
        "location": (existing or {}).get("location") or gallery.spec.location,
        "tags": desired_tags((existing or {}).get("tags"), gallery.spec.tags, owner),
        "properties": properties,
    }


def difference(gallery: Gallery, owner: Mapping[str, str], existing: Mapping[str, Any]) -> list[str]:
    """Return the names of updatable fields in which Azure differs from the spec."""
    properties = existing.get("properties") or {}
    differs = []
    if gallery.spec.description is not None and properties.get("description") != gallery.spec.description:
        differs.append("description")
    if tags_differ(existing.get("tags"), gallery.spec.tags, owner):
        differs.append("tags")
    return differs
