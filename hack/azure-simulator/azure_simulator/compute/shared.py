"""Versions under the names that consumers use: of a community gallery, of a directly shared one, or `latest`."""

from __future__ import annotations

from ..engine import Engine
from ..errors import bad_parameter
from ..store import Resource
from .replication import completed_in
from .softdelete import usable_version

__all__ = ["latest_version", "shared_version"]

_GALLERIES = "microsoft.compute/galleries"


def shared_version(engine: Engine, identity: str, path: str, location: str | None = None) -> Resource | None:
    """Return the version that `/CommunityGalleries/…` or `/SharedGalleries/…` names, or None.

    An id that ends with the image stands for its latest version in the location (a published example has that form).

    Args:
        engine: the simulator.
        identity: the consumer's id.
        path: path of the property, for errors.
        location: region in normal form; None where the version has to be named.

    Raises:
        ArmError: 400, the id has another form.
    """
    parts = identity.strip("/").split("/")
    if len(parts) == 4 and location is not None:
        parts += ["versions", ""]
    words = [part.lower() for part in parts[0::2]]
    if len(parts) != 6 or words[1:] != ["images", "versions"] or words[0] not in _WAYS:
        raise bad_parameter(f"The value of parameter {path} is invalid.", path)
    public, image, version = parts[1::2]
    for gallery in engine.store.all():
        if gallery.type == _GALLERIES and public.lower() in _WAYS[words[0]](gallery):
            if not version:
                return latest_version(engine, f"{gallery.key}/images/{image.lower()}", str(location))
            found = usable_version(engine, f"{gallery.id}/images/{image}/versions/{version}")
            if found is not None:
                return found
    return None


def latest_version(engine: Engine, definition: str, location: str) -> Resource | None:
    """Return the highest version of a definition (by its key) that counts as latest in a region, or None."""
    found = []
    for version in engine.store.children(definition, f"{_GALLERIES}/images/versions"):
        publishing = version.properties["publishingProfile"]
        hidden = [
            region
            for region in publishing["targetRegions"]
            if region.get("excludeFromLatest") and region["name"].replace(" ", "").lower() == location
        ]
        if hidden or publishing.get("excludeFromLatest"):
            continue
        if completed_in(version.internal["regions"], location, engine.clock.now()):
            found.append(version)
    return max(found, key=lambda one: tuple(map(int, one.name.split("."))), default=None)


def _community(gallery: Resource) -> list[str]:
    info = (gallery.properties.get("sharingProfile") or {}).get("communityGalleryInfo") or {}
    return [name.lower() for name in info.get("publicNames", [])] if info.get("communityGalleryEnabled") else []


def _direct(gallery: Resource) -> list[str]:
    permissions = (gallery.properties.get("sharingProfile") or {}).get("permissions")
    return [str(gallery.properties["identifier"]["uniqueName"]).lower()] if permissions == "Groups" else []


_WAYS = {"communitygalleries": _community, "sharedgalleries": _direct}
