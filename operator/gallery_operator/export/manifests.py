"""ARM documents of a gallery become manifests. Pure."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gallery_operator.api import GROUP, VERSION, Gallery, GalleryImageDefinition, ImageVersion, Resource
from gallery_operator.api.meta import ApiModel
from gallery_operator.api.version_source import VersionSource
from gallery_operator.azure.resource_ids import InvalidResourceIdError, ResourceId
from gallery_operator.export.model import accepted, read
from gallery_operator.planning.regions import normal

Json = dict[str, Any]
_LONGEST_NAME = 253
_MAX_TAGS = 40


@dataclass(frozen=True)
class ExportOptions:
    """How manifests are written.

    Attributes:
        namespace: ``metadata.namespace``, or None to leave it to whoever applies them.
        management_policy: ``Observe`` only reads; ``Manage`` adopts.
    """

    namespace: str | None = None
    management_policy: Literal["Observe", "Manage"] = "Observe"


@dataclass(frozen=True)
class Manifest:
    """One object.

    Attributes:
        body: The object, ready to be applied.
        notes: What Azure has and the object cannot say.
    """

    body: Json
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``metadata.name``."""
        return str(self.body["metadata"]["name"])


def gallery(document: Mapping[str, Any], options: ExportOptions) -> Manifest:
    """Return the ``Gallery`` for a gallery.

    Args:
        document: The gallery, read with ``$expand=SharingProfile/Groups``.
        options: How to write it.

    Raises:
        InvalidResourceIdError: The document is none of ARM's.
    """
    rid = ResourceId.parse(str(document["id"]))
    properties = dict(document.get("properties") or {})
    properties.pop("identifier", None)
    sharing = _sharing(properties.pop("sharingProfile", None) or {})
    if sharing:
        properties["sharingProfile"] = sharing
    name = object_name(rid.name)
    spec = {
        "galleryName": rid.name if rid.name != name else None,
        "subscriptionId": rid.subscription_id,
        "resourceGroup": rid.resource_group,
        "location": normal(str(document["location"])),
    }
    return _manifest(Gallery, name, spec, properties, document, options)


def why_not(document: Mapping[str, Any]) -> str | None:
    """Return why an image definition cannot be exported, or None.

    Args:
        document: The definition.
    """
    if (document.get("properties") or {}).get("osType") == "Linux":
        return None
    return f"{document.get('name')} is for Windows, and this operator brings Linux images"


def definition(document: Mapping[str, Any], gallery_object: str, options: ExportOptions) -> Manifest:
    """Return the ``GalleryImageDefinition`` for an image definition.

    Args:
        document: The definition.
        gallery_object: Name of the ``Gallery`` it belongs to.
        options: How to write it.
    """
    azure_name = str(document["name"])
    name = object_name(azure_name)
    spec = {
        "galleryRef": {"name": gallery_object},
        "imageDefinitionName": azure_name if azure_name != name else None,
    }
    properties = {"hyperVGeneration": "V1", **(document.get("properties") or {})}  # Azure's default before 2025-03-03
    return _manifest(GalleryImageDefinition, name, spec, properties, document, options)


def version(document: Mapping[str, Any], definition_object: str, options: ExportOptions) -> Manifest:
    """Return the ``ImageVersion`` for an image version.

    Args:
        document: The version.
        definition_object: Name of the ``GalleryImageDefinition`` it belongs to.
        options: How to write it.
    """
    number = str(document["name"])
    properties = dict(document.get("properties") or {})
    publishing = dict(properties.pop("publishingProfile", None) or {})
    # Azure fills them in as defaults of the regions, each of which tells its own.
    publishing.pop("replicaCount", None)
    publishing.pop("storageAccountType", None)
    publishing["targetRegions"] = [
        {**each, "name": normal(str(each.get("name")))} for each in publishing.get("targetRegions") or []
    ]
    publishing["targetExtendedLocations"] = [
        _edge_zone(each) for each in publishing.get("targetExtendedLocations") or []
    ]
    source, notes = _source(properties.pop("storageProfile", None) or {})
    spec: Json = {"definitionRef": {"name": definition_object}, "version": number, "source": source}
    found = _manifest(
        ImageVersion, f"{definition_object}-{number}", spec, {**properties, **publishing}, document, options
    )
    return Manifest(found.body, (*notes, *found.notes))


def _edge_zone(zone: Mapping[str, Any]) -> Json:
    # Azure may mark what nobody chose: ``StandardSSD_LRS(default)``.
    kind = zone.get("storageAccountType")
    told = {**zone, "name": normal(str(zone.get("name")))}
    return told if kind is None else {**told, "storageAccountType": str(kind).removesuffix("(default)")}


def object_name(azure_name: str) -> str:
    """Return the name of the object for a name in Azure: a DNS subdomain, the same for the same name.

    A name that has to be changed for more than its case gets a mark, so that ``a_b`` and ``a.b`` stay apart.
    """
    plain = azure_name.lower()
    name = re.sub(r"[^a-z0-9.-]", "-", plain)
    # A label neither begins nor ends with a dash, and none is empty.
    name = re.sub(r"[.-]*\.[.-]+|[.-]+\.[.-]*", "-", name).strip("-.")[:_LONGEST_NAME]
    if name == plain:
        return name
    return f"{name}-{hashlib.sha256(azure_name.lower().encode()).hexdigest()[:5]}"


def _manifest(
    kind: type[Resource],
    name: str,
    own: Mapping[str, Any],
    properties: Mapping[str, Any],
    document: Mapping[str, Any],
    options: ExportOptions,
) -> Manifest:
    spec_model: type[ApiModel] = kind.model_fields["spec"].annotation  # type: ignore[assignment]
    fields, notes = read(spec_model, properties)
    policies: Json = {"managementPolicy": options.management_policy, "deletionPolicy": "Retain"}
    if options.management_policy == "Manage":
        policies["adoptionPolicy"] = "Adopt"
    merged = {
        **{key: value for key, value in own.items() if value is not None},
        **fields,
        "tags": _tags(document.get("tags") or {}),
        **policies,
    }
    spec, dropped = accepted(spec_model, merged)
    # What matters most is written even where it is the default.
    for key in ("managementPolicy", "deletionPolicy", "hyperVGeneration", "architecture"):
        if key in merged:
            spec[key] = merged[key]
    metadata: Json = {"name": name}
    if options.namespace is not None:
        metadata["namespace"] = options.namespace
    body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind.kind_name, "metadata": metadata, "spec": spec}
    return Manifest(body, (*notes, *dropped))


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in tags.items() if not name.startswith(f"{GROUP}-")}
    return dict(list(kept.items())[:_MAX_TAGS])


def _sharing(profile: Mapping[str, Any]) -> Json:
    groups: Json = {}
    for each in profile.get("groups") or []:
        key = {"Subscriptions": "subscriptions", "AADTenants": "tenants"}.get(str(each.get("type")))
        if key is not None and each.get("ids"):
            groups[key] = list(each["ids"])
    result = {name: value for name, value in profile.items() if name != "groups"}
    if groups:
        result["groups"] = groups
    return result


def _source(profile: Mapping[str, Any]) -> tuple[Json | None, list[str]]:
    found = dict(_source_fields(profile))
    try:
        return VersionSource.model_validate(found).to_wire() if found else None, []
    except ValueError:
        return None, ["the source is not exported: Azure keeps it, and does not tell it in a form that can be written"]


def _source_fields(profile: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    whole = profile.get("source") or {}
    if whole.get("virtualMachineId"):
        yield "virtualMachineId", whole["virtualMachineId"]
    elif whole.get("communityGalleryImageId"):
        yield "communityGalleryImageId", whole["communityGalleryImageId"]
    elif whole.get("id"):
        kind = _type_of(str(whole["id"]))
        if kind == "microsoft.compute/images":
            yield "managedImageId", whole["id"]
        elif kind == "microsoft.compute/galleries/images/versions":
            yield "galleryImageVersionId", whole["id"]
        elif kind == "microsoft.compute/virtualmachines":
            yield "virtualMachineId", whole["id"]
    else:
        os_disk = _disk(profile.get("osDiskImage") or {})
        if os_disk is not None:
            yield "osDisk", os_disk
            disks = [_disk(each) for each in profile.get("dataDiskImages") or []]
            yield "dataDisks", [each for each in disks if each is not None]


def _disk(image: Mapping[str, Any]) -> Json | None:
    source = image.get("source") or {}
    result: Json = {}
    if source.get("uri"):
        account = source.get("storageAccountId") or source.get("id")
        result["blob"] = {"storageAccountId": account, "uri": str(source["uri"]).partition("?")[0]}
    elif source.get("id"):
        kind = _type_of(str(source["id"]))
        key = {"microsoft.compute/disks": "diskId", "microsoft.compute/snapshots": "snapshotId"}.get(kind)
        if key is None:
            return None
        result[key] = source["id"]
    else:
        return None
    for name in ("lun", "hostCaching"):
        if image.get(name) is not None:
            result[name] = image[name]
    return result


def _type_of(resource_id: str) -> str:
    try:
        return ResourceId.parse(resource_id).type.lower()
    except InvalidResourceIdError:
        return ""
