"""Which objects an object refers to, read from its body as the watch delivers it; a hint that decides who is woken."""

from collections.abc import Iterator, Mapping
from typing import Any

from gallery_operator.planning.names import import_name

Reference = tuple[str, str, str]
"""Kind, namespace, name."""


def references_of(kind: str, body: Mapping[str, Any]) -> frozenset[Reference]:
    """Return what an object refers to."""
    return frozenset(_references(kind, body))


def _references(kind: str, body: Mapping[str, Any]) -> Iterator[Reference]:
    spec = body.get("spec") or {}
    namespace = (body.get("metadata") or {}).get("namespace", "")
    if kind == "GalleryImageDefinition":
        ref = spec.get("galleryRef")
        if ref:
            yield "Gallery", ref.get("namespace") or namespace, ref.get("name", "")
    elif kind in ("VhdImport", "ImageVersion"):
        ref = spec.get("definitionRef")
        if ref:
            yield "GalleryImageDefinition", namespace, ref.get("name", "")
    if kind == "VhdImport":
        image = (spec.get("destination") or {}).get("managedImage") or {}
        for disk in image.get("dataDisks") or ():
            ref = disk.get("vhdImportRef")
            if ref:
                yield "VhdImport", namespace, ref.get("name", "")
    if kind == "ImageVersion":
        yield from _sources(namespace, (body.get("metadata") or {}).get("name", ""), spec.get("source") or {})


def _sources(namespace: str, name: str, source: Mapping[str, Any]) -> Iterator[Reference]:
    for disk in (source.get("osDisk") or {}, *(source.get("dataDisks") or ())):
        ref = disk.get("vhdImportRef")
        if ref:
            yield "VhdImport", namespace, ref.get("name", "")
        if disk.get("importTemplate"):
            yield "VhdImport", namespace, import_name(name, disk.get("lun"))
    other = source.get("imageVersionRef")
    if other:
        yield "ImageVersion", namespace, other.get("name", "")


def target_of(kind: str, body: Mapping[str, Any]) -> str | None:
    """Return what an object makes in Azure, in a form that is equal for two objects with one target.

    Returns:
        A text to compare, or None when the object's target cannot collide (it has none of its own, or only observes).
    """
    spec = body.get("spec") or {}
    if spec.get("managementPolicy") == "Observe":
        return None
    meta = body.get("metadata") or {}
    name, namespace = meta.get("name", ""), meta.get("namespace", "")
    parts: tuple[str, ...] | None = None
    if kind == "Gallery":
        parts = (spec.get("subscriptionId") or "", spec.get("resourceGroup", ""), spec.get("galleryName") or name)
    elif kind == "GalleryImageDefinition":
        ref = spec.get("galleryRef") or {}
        gallery = (spec.get("gallery") or {}).get(
            "resourceId"
        ) or f"{ref.get('namespace') or namespace}/{ref.get('name', '')}"
        parts = (gallery, spec.get("imageDefinitionName") or name)
    elif kind == "ImageVersion":
        parts = (namespace, (spec.get("definitionRef") or {}).get("name", ""), spec.get("version", ""))
    elif kind == "VhdImport":
        destination = spec.get("destination") or {}
        if "pageBlob" in destination:
            blob = destination["pageBlob"]
            parts = (blob.get("storageAccountId", ""), blob.get("container", ""), blob.get("blobName") or f"{name}.vhd")
        elif "managedDisk" in destination:
            disk = destination["managedDisk"]
            parts = (disk.get("subscriptionId") or "", disk.get("resourceGroup", ""), disk.get("diskName") or name)
        elif "managedImage" in destination:
            image = destination["managedImage"]
            parts = (
                "image",
                image.get("subscriptionId") or "",
                image.get("resourceGroup", ""),
                image.get("imageName") or name,
            )
    return None if parts is None else kind + ":" + "|".join(part.lower() for part in parts)
