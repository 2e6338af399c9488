"""Gallery: what to send to Azure, and whether what is there differs."""

from collections.abc import Mapping
from typing import Any

from gallery_operator.api import Gallery
from gallery_operator.api.gallery import GalleryIdentity
from gallery_operator.api.lifecycle import SoftDeletePolicy
from gallery_operator.planning.ownership import desired_tags, tags_differ
from gallery_operator.planning.sharing import kept_profile, profile_body


def body(
    gallery: Gallery, owner: Mapping[str, str], existing: Mapping[str, Any] | None, *, set_profile: bool = False
) -> dict[str, Any]:
    """Return the PUT body, in REST form.

    Args:
        gallery: What is wanted.
        owner: Ownership tags.
        existing: What Azure has, or None. What it has and the spec does not speak of is sent back as it is (a PUT would
            reset it), read-only properties aside.
        set_profile: Send the spec's sharing profile although the gallery exists; otherwise it keeps the one it has.
    """
    before = (existing or {}).get("properties") or {}
    properties: dict[str, Any] = {name: before[name] for name in ("softDeletePolicy",) if before.get(name) is not None}
    if gallery.spec.soft_delete_policy is not None:
        policy = gallery.spec.soft_delete_policy.to_wire()
        properties["softDeletePolicy"] = {**(properties.get("softDeletePolicy") or {}), **policy}
    if gallery.spec.description is not None:
        properties["description"] = gallery.spec.description
    elif before.get("description"):
        properties["description"] = before["description"]
    wanted = gallery.spec.sharing_profile
    if wanted is not None and (existing is None or set_profile):
        properties["sharingProfile"] = profile_body(wanted)
    elif existing is not None and (kept := kept_profile(existing)) is not None:
        properties["sharingProfile"] = kept
    result = {
        "location": (existing or {}).get("location") or gallery.spec.location,
        "tags": desired_tags((existing or {}).get("tags"), gallery.spec.tags, owner),
        "properties": properties,
    }
    identity = _identity_body(gallery.spec.identity, existing)
    return result if identity is None else result | {"identity": identity}


def difference(gallery: Gallery, owner: Mapping[str, str], existing: Mapping[str, Any]) -> list[str]:
    """Return the names of updatable fields in which Azure differs from the spec."""
    properties = existing.get("properties") or {}
    differs = []
    if gallery.spec.description is not None and properties.get("description") != gallery.spec.description:
        differs.append("description")
    if gallery.spec.identity is not None and _identity_differs(gallery.spec.identity, existing):
        differs.append("identity")
    if gallery.spec.soft_delete_policy is not None and _soft_delete_differs(
        gallery.spec.soft_delete_policy, properties
    ):
        differs.append("softDeletePolicy")
    if tags_differ(existing.get("tags"), gallery.spec.tags, owner):
        differs.append("tags")
    return differs


def identity_status(existing: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return ``status.identity`` in wire form, or None."""
    identity = existing.get("identity") or {}
    found = {name: identity[name] for name in ("principalId", "tenantId") if identity.get(name)}
    return found or None


def _identity_body(wanted: GalleryIdentity | None, existing: Mapping[str, Any] | None) -> dict[str, Any] | None:
    there = (existing or {}).get("identity") or {}
    if wanted is None:
        if not there.get("type"):
            return None
        kind, ids = str(there["type"]), tuple(there.get("userAssignedIdentities") or ())
    else:
        kind, ids = wanted.type, wanted.user_assigned_identities or ()
        if kind == "None" and existing is None:
            return None
    body: dict[str, Any] = {"type": kind}
    if ids:
        body["userAssignedIdentities"] = {identity: {} for identity in ids}
    return body


def _identity_differs(wanted: GalleryIdentity, existing: Mapping[str, Any]) -> bool:
    there = existing.get("identity") or {}
    ids = {identity.lower() for identity in wanted.user_assigned_identities or ()}
    return _kinds(wanted.type) != _kinds(there.get("type")) or ids != {
        str(identity).lower() for identity in there.get("userAssignedIdentities") or ()
    }


def _kinds(kind: object) -> set[str]:
    """Return the kinds in ``SystemAssigned, UserAssigned``, in whatever order and spacing Azure answers them."""
    return {part.strip().lower() for part in str(kind or "None").split(",")} - {"none"}


def _soft_delete_differs(wanted: SoftDeletePolicy, properties: Mapping[str, Any]) -> bool:
    have = properties.get("softDeletePolicy") or {}
    if not wanted.is_soft_delete_enabled:
        return bool(have.get("isSoftDeleteEnabled"))  # whatever its periods were
    return any(have.get(name) != value for name, value in wanted.to_wire().items())
