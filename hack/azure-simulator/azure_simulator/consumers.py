"""What consumers of shared galleries see: `sharedGalleries` and `communityGalleries` of a location.

Direct sharing is seen by every subscription here: the simulator's subscriptions belong to one owner. Shapes are those
of recorded traffic.
"""

from __future__ import annotations

from typing import Any, Literal

from .engine import Engine
from .errors import ArmError
from .ids import Target
from .operations import Call, Reply
from .regions import find, normalise
from .store import Resource

__all__ = ["Consumers"]

_DISCLAIMER = "https://aka.ms/community-gallery-disclaimer"
Way = Literal["sharedGalleries", "communityGalleries"]
_WAYS: dict[str, Way] = {"sharedgalleries": "sharedGalleries", "communitygalleries": "communityGalleries"}


class Consumers:
    """Read-only views on galleries that are shared directly or with the community."""

    def __init__(self, engine: Engine) -> None:
        """Work on an engine's state."""
        self.engine = engine
        self.store = engine.store

    def serves(self, target: Target) -> bool:
        """Whether a path below `locations` is one of these views."""
        return len(target.types) > 1 and target.types[1].lower() in _WAYS

    def answer(self, method: str, call: Call, target: Target) -> Reply:
        """Answer a GET of a view.

        Raises:
            ArmError: 404, there is no such gallery, image or version for consumers.
        """
        if method != "GET":
            raise ArmError(405, "MethodNotAllowed", f"{method} is not supported here.")
        way, location = _WAYS[target.types[1].lower()], target.names[0]
        names = target.names[1:]
        if not names:
            if way == "communityGalleries":
                raise _missing(way, "")
            found = [gallery for gallery in self._galleries(way) if self._here(gallery, location)]
            return Reply(200, {"value": [self._gallery(way, gallery, location) for gallery in found]})
        gallery = self._find(way, names[0])
        if len(names) == 1 and not target.is_list:
            return Reply(200, self._gallery(way, gallery, location))
        prefix = f"/{way[0].upper()}{way[1:]}/{_public(way, gallery)}/Images"
        if len(names) == 1:
            images = self.store.children(gallery.key, "microsoft.compute/galleries/images")
            return Reply(200, {"value": [_image(way, image, location, prefix) for image in images]})
        image = self._child(way, f"{gallery.key}/images/{names[1]}", names[1])
        prefix = f"{prefix}/{image.name}"
        if len(names) == 2 and not target.is_list:
            return Reply(200, _image(way, image, location, prefix.rsplit("/", 1)[0]))
        if len(names) == 2:
            versions = self.store.children(image.key, "microsoft.compute/galleries/images/versions")
            rows = [_version(way, version, location, prefix) for version in versions if self._in(version, location)]
            return Reply(200, {"value": rows})
        version = self._child(way, f"{image.key}/versions/{names[2]}", names[2])
        if not self._in(version, location):
            raise _missing(way, names[2])
        return Reply(200, _version(way, version, location, prefix))

    def _galleries(self, way: Way) -> list[Resource]:
        wanted = "Groups" if way == "sharedGalleries" else "Community"
        found = []
        for gallery in self.store.all():
            profile = gallery.properties.get("sharingProfile") or {}
            if gallery.type != "microsoft.compute/galleries" or profile.get("permissions") != wanted:
                continue
            enabled = (profile.get("communityGalleryInfo") or {}).get("communityGalleryEnabled")
            if gallery.internal.get("groups") if way == "sharedGalleries" else enabled:
                found.append(gallery)
        return found

    def _find(self, way: Way, name: str) -> Resource:
        for gallery in self._galleries(way):
            if _public(way, gallery).lower() == name.lower():
                return gallery
        raise _missing(way, name)

    def _child(self, way: Way, key: str, name: str) -> Resource:
        found = self.store.get(key)
        if found is None:
            raise _missing(way, name)
        return found

    def _here(self, gallery: Resource, location: str) -> bool:
        return normalise(str(gallery.body["location"])) == normalise(location)

    def _in(self, version: Resource, location: str) -> bool:
        region = find(location)
        return any(state["region"] == (region.name if region else "") for state in version.internal["regions"])

    def _gallery(self, way: Way, gallery: Resource, location: str) -> dict[str, Any]:
        name = _public(way, gallery)
        if way == "sharedGalleries":
            body: dict[str, Any] = {"properties": {}}
        else:
            info = gallery.properties["sharingProfile"]["communityGalleryInfo"]
            data = {key: info[key] for key in ("publisherUri", "publisherContact", "eula", "publicNames")}
            body = {"properties": {"communityMetadata": data, "disclaimer": _DISCLAIMER}, "communityMetadata": data}
        unique = f"/{way[0].upper()}{way[1:]}/{name}"
        return {**body, "location": location, "name": name, "identifier": {"uniqueId": unique}}


def _public(way: Way, gallery: Resource) -> str:
    if way == "sharedGalleries":
        return str(gallery.properties["identifier"]["uniqueName"])
    return str(gallery.properties["sharingProfile"]["communityGalleryInfo"]["publicNames"][0])


def _image(way: Way, image: Resource, location: str, prefix: str) -> dict[str, Any]:
    shown = image.properties
    community = way == "communityGalleries"
    properties: dict[str, Any] = {"disclaimer": _DISCLAIMER} if community else {}
    properties.update((name, shown[name]) for name in ("osType", "osState") if name in shown)
    properties["recommended"] = shown.get("recommended", {})
    properties.update((name, shown[name]) for name in ("hyperVGeneration", "architecture", "features") if name in shown)
    identifier = shown["identifier"]
    properties["identifier"] = dict.fromkeys(identifier, "") if community else identifier
    unique = f"{prefix}/{image.name}"
    return {"properties": properties, "location": location, "name": image.name, "identifier": {"uniqueId": unique}}


def _version(way: Way, version: Resource, location: str, prefix: str) -> dict[str, Any]:
    publishing, storage = version.properties["publishingProfile"], version.properties["storageProfile"]
    profile: dict[str, Any] = {}
    for name in ("osDiskImage", "dataDiskImages"):
        if name in storage:
            value = storage[name]
            profile[name] = [_disk(item) for item in value] if isinstance(value, list) else _disk(value)
    properties: dict[str, Any] = {"disclaimer": _DISCLAIMER} if way == "communityGalleries" else {}
    properties.update(
        publishedDate=publishing["publishedDate"],
        excludeFromLatest=publishing["excludeFromLatest"],
        storageProfile=profile,
    )
    unique = f"{prefix}/Versions/{version.name}"
    return {"properties": properties, "location": location, "name": version.name, "identifier": {"uniqueId": unique}}


def _disk(item: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {name: item[name] for name in ("lun", "hostCaching") if name in item}
    if "sizeInGB" in item:
        shown["diskSizeGB"] = item["sizeInGB"]
    return shown


def _missing(way: Way, name: str) -> ArmError:
    # Inferred: the answer to a consumer who asks for what is not shared was not found.
    return ArmError(404, "NotFound", f"The resource '{way}/{name}' was not found.")
