"""hypothesis strategies for what the pydantic models can produce, within the CEL rules.

They are derived from the models' fields and rules, so a new field is in the fuzz at once. What a rule says that the
types cannot is in ``_FITTED``; a new rule without its entry there makes the fuzz fail, which is the purpose.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from datetime import UTC, timedelta, timezone
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from gallery_operator.api.definition import DefinitionSpec, Range
from gallery_operator.api.destination import DiskSecurityProfile, ManagedDisk, ManagedImage, SecurableDisk
from gallery_operator.api.disk_source import GuestStateSource, PvcDisk, UrlDisk
from gallery_operator.api.encryption import (
    DataDiskImageEncryption,
    DataDiskSecurityProfile,
    EncryptionImages,
    OsDiskImageEncryption,
    OsDiskSecurityProfile,
)
from gallery_operator.api.gallery import GalleryIdentity, GallerySpec
from gallery_operator.api.imageversion import ImageVersionSpec
from gallery_operator.api.import_template import TemplateMetadata
from gallery_operator.api.lifecycle import Retention
from gallery_operator.api.meta import ApiModel
from gallery_operator.api.oci_source import OciDisk
from gallery_operator.api.publishing import TargetExtendedLocation
from gallery_operator.api.s3_source import S3Disk
from gallery_operator.api.security import SecretsProvisioningSettings, UefiSettings
from gallery_operator.api.sharing import RoleAssignment, SharingGroups, SharingProfile
from gallery_operator.api.version_source import BlobSource, VersionSource
from gallery_operator.api.vhdimport import VhdImportSpec

M = TypeVar("M", bound=BaseModel)

_FITTED: dict[type[BaseModel], tuple[dict[str, st.SearchStrategy[Any]], Callable[[Any], bool]]] = {}

# Long strings and lists are a matter of the limits' own tests; here they would only be slow.
_LONG = 40
_MANY = 4
_ZONES = [UTC, timezone(timedelta(hours=-3, minutes=-30))]
_INT64 = 2**63 - 1
_TEXT = st.characters(exclude_categories=["Cs"])  # JSON cannot carry lone surrogates
_ASCII = st.characters(codec="ascii")
_ONE_OF = re.compile(r"^\[(has\(self\.\w+\)(?:, has\(self\.\w+\))*)\]\.filter\(x, x\)\.size\(\) (==|<=) 1$")


def models(model: type[M]) -> st.SearchStrategy[M]:
    """Return a strategy of instances of a model that keep the model's rules."""
    fields = {name: _field(info) for name, info in model.model_fields.items()}
    fitted = _FITTED.get(model)
    if fitted:
        fields |= fitted[0]
    choices = _choices(model)
    needed = {name for name in fields if model.model_fields[name].is_required()}
    values = st.fixed_dictionaries(
        {name: strategy for name, strategy in fields.items() if name in needed},
        optional={name: strategy for name, strategy in fields.items() if name not in needed},
    )
    for names, required in choices:
        values = st.builds(_choose, values, _chosen(names, fields, required), st.just(names))
    result = values.map(lambda chosen: model(**chosen))
    return result.filter(fitted[1]) if fitted else result


def _choose(values: dict[str, Any], chosen: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names} | chosen


def _chosen(
    names: list[str], fields: dict[str, st.SearchStrategy[Any]], required: bool
) -> st.SearchStrategy[dict[str, Any]]:
    one = [st.fixed_dictionaries({name: fields[name].filter(lambda value: value is not None)}) for name in names]
    return st.one_of(*one) if required else st.one_of(st.just({}), *one)


def _choices(model: type[BaseModel]) -> list[tuple[list[str], bool]]:
    """Return the groups of fields of which one (or none) may be set, read from the model's rules."""
    if not issubclass(model, ApiModel):
        return []
    python_names = {info.alias: name for name, info in model.model_fields.items()}
    groups = []
    for rule in model.rules:
        match = _ONE_OF.match(rule.rule)
        if match:
            names = re.findall(r"self\.(\w+)", match[1])
            groups.append(([python_names[name] for name in names], match[2] == "=="))
    return groups


def _field(info: FieldInfo) -> st.SearchStrategy[Any]:
    return _typed(info.annotation, list(info.metadata))


def _typed(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    if hasattr(annotation, "__metadata__"):  # Annotated
        inner: list[Any] = []
        for item in annotation.__metadata__:
            inner += item.metadata if isinstance(item, FieldInfo) else [item]
        return _typed(annotation.__origin__, inner + metadata)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return st.one_of(*(_typed(argument, metadata) for argument in arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        most = min(_bound(metadata, MaxLen, _MANY), _MANY)
        return st.lists(_typed(arguments[0], []), min_size=_bound(metadata, MinLen, 0), max_size=most).map(tuple)
    if origin is dict:
        keys = st.text(_TEXT, min_size=1, max_size=_LONG)
        return st.dictionaries(keys, _typed(arguments[1], []), max_size=_MANY)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _nested(annotation)
    simple: dict[Any, Callable[[], st.SearchStrategy[Any]]] = {
        NoneType: st.none,
        bool: st.booleans,
        int: lambda: st.integers(_bound(metadata, Ge, -_INT64), _bound(metadata, Le, _INT64)),
        str: lambda: _string(metadata),
        AwareDatetime: lambda: st.datetimes(
            timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))])
        ),
        Any: _json,
    }
    if annotation not in simple:
        raise TypeError(f"no strategy for {annotation}")
    return simple[annotation]()


@st.composite
def _nested(draw: st.DrawFn, model: type[BaseModel]) -> BaseModel:
    """A model within a model; a composite, because the text form of the whole would be too long for hypothesis."""
    return draw(_cached(model))


@functools.cache
def _cached(model: type[BaseModel]) -> st.SearchStrategy[BaseModel]:
    return models(model)


def _bound(metadata: list[Any], kind: type[Any], default: int) -> int:
    """Return the value of the last constraint of a kind: ``Ge(ge=1)`` is 1."""
    found = [dataclasses.astuple(item)[0] for item in metadata if isinstance(item, kind)]
    return default if not found else int(found[-1])


def _string(metadata: list[Any]) -> st.SearchStrategy[str]:
    shortest = _bound(metadata, MinLen, 0)
    longest = min(_bound(metadata, MaxLen, _LONG), max(_LONG, shortest))
    patterns = [item.pattern for item in metadata if getattr(item, "pattern", None)]
    if not patterns:
        return st.text(_TEXT, min_size=shortest, max_size=longest)
    longest = _bound(metadata, MaxLen, _LONG)
    # Python's re has no \p; letters are enough.
    pattern = patterns[-1].replace(r"\p{L}\p{N}", "A-Za-z0-9")
    return st.from_regex(pattern, fullmatch=True, alphabet=_ASCII).filter(
        lambda value: shortest <= len(value) <= longest
    )


def _json() -> st.SearchStrategy[Any]:
    leaves = st.one_of(st.booleans(), st.integers(-_INT64, _INT64), st.text(_TEXT, max_size=_LONG))
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=_MANY), st.dictionaries(st.text(_TEXT, max_size=_LONG), inner, max_size=_MANY)
        ),
        max_leaves=8,
    )


def _normal(region: str) -> str:
    return region.lower().replace(" ", "")


def _published(spec: Any) -> bool:
    """What ``api/publishing.py`` demands of regions, replicas and encryption."""
    counts = [region.regional_replica_count or spec.replica_count or 1 for region in spec.target_regions]
    more = [each.regional_replica_count for region in spec.target_regions for each in region.additional_replica_sets]

    def keyed(region: Any) -> tuple[bool, set[int]]:
        encryption = region.encryption
        if encryption is None:
            return False, set()
        main = encryption.os_disk_image
        luns = {each.lun for each in encryption.data_disk_images if each.disk_encryption_set_id is not None}
        return main is not None and main.disk_encryption_set_id is not None, luns

    return (
        sum(counts) + sum(more) <= 100
        and all(keyed(region) == keyed(spec.target_regions[0]) for region in spec.target_regions)
        and all(
            _unique(each.storage_account_type for each in region.additional_replica_sets)
            for region in spec.target_regions
        )
        and (spec.storage_account_type is None or spec.storage_account_strategy is None)
        and _unique(_lower_ascii(each.extended_location.name) for each in spec.target_extended_locations)
        and (spec.replication_mode == "Full" or (counts == [1] and not more and not spec.target_extended_locations))
    )


def _encrypts(disk: Any) -> bool:
    return disk.disk_encryption_set_id is not None or disk.security_profile is not None


def _lower_ascii(text: str) -> str:
    return "".join(each.lower() if each.isascii() else each for each in text)


def _unique(values: Any) -> bool:
    values = list(values)
    return len(values) == len(set(values))


def _zones_fit(disk: ManagedDisk) -> bool:
    return not disk.zones or not disk.sku.endswith("_ZRS")


def _import_fits(spec: VhdImportSpec) -> bool:
    where, data = spec.destination, spec.disk_role == "data"
    state, v1 = (
        spec.source.vm_guest_state is not None,
        spec.profile is not None and spec.profile.hyper_v_generation == "V1",
    )
    if where is None:
        return spec.definition_ref is not None and not (state and data) and spec.management_policy != "Observe"
    if where.managed_image is not None:
        specialized = spec.profile is not None and spec.profile.os_state == "Specialized"
        return not (data or state or specialized)
    if where.managed_disk is None:
        return not state
    secure, fast = where.managed_disk.security_profile, where.managed_disk.sku in ("PremiumV2_LRS", "UltraSSD_LRS")
    if data:
        return secure is None and not state
    return not fast and (secure is None or (not v1 and (state or secure.security_type == "TrustedLaunch")))


_ADDRESS = r"https?://[a-z0-9.:-]{1,20}(/[A-Za-z0-9._~%@-]{0,9}){0,3}(\?[a-r]{1,5}=[a-z0-9]{0,5})?"
_PATH = r"[^/\0.][^/\0]{0,9}(/[^/\0.][^/\0]{0,9}){0,2}"
_VERSION = st.lists(st.integers(0, 2**31 - 1), min_size=3, max_size=3).map(lambda parts: ".".join(map(str, parts)))

_TAG_NAMES = st.characters(exclude_categories=["Cs"], exclude_characters="<>%&\\?/")
_TAGS = st.dictionaries(st.text(_TAG_NAMES, min_size=1, max_size=_LONG), st.text(_TEXT, max_size=_LONG), max_size=_MANY)


def _assignments() -> st.SearchStrategy[Any]:
    every = st.lists(models(RoleAssignment), max_size=_MANY)
    return every.filter(lambda found: _unique((x.principal_id, x.role, x.role_definition_id) for x in found)).map(tuple)


def _sets(model: type[BaseModel], *names: str) -> dict[str, st.SearchStrategy[Any]]:
    """Lists of a model that the API server takes as sets."""
    return {
        name: _field(model.model_fields[name]).filter(lambda value: value is None or _unique(value)) for name in names
    }


def _profiles() -> st.SearchStrategy[Any]:
    fields = {name: _field(info) for name, info in SharingProfile.model_fields.items()}
    info = fields["community_gallery_info"].filter(lambda value: value is not None)
    return st.one_of(
        st.builds(SharingProfile, permissions=st.just("Private")),
        st.builds(SharingProfile, permissions=st.just("Groups"), groups=fields["groups"]),
        st.builds(SharingProfile, permissions=st.just("Community"), community_gallery_info=info),
    )


# Part of a profile, hence before it.
_FITTED[SharingGroups] = (_sets(SharingGroups, "subscriptions", "tenants"), lambda _: True)

_LABEL_KEYS = st.from_regex(
    r"([a-z0-9]{1,9}\.example/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,9}[A-Za-z0-9])?", fullmatch=True, alphabet=_ASCII
)
_LABEL_VALUES = st.from_regex(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,9}[A-Za-z0-9])?)?", fullmatch=True, alphabet=_ASCII)


def _source_fits(source: VersionSource) -> bool:
    if source.os_disk is None:
        return not source.data_disks
    disks = (source.os_disk, *source.data_disks)
    return _unique(disk.lun for disk in source.data_disks) and all(
        _unique(value.lower() for value in values)
        for values in (
            [disk.vhd_import_ref.name for disk in disks if disk.vhd_import_ref is not None],
            [disk.blob.uri for disk in disks if disk.blob is not None],
            [disk.disk_id for disk in disks if disk.disk_id is not None],
            [disk.snapshot_id for disk in disks if disk.snapshot_id is not None],
        )
    )


_SET_IDS = st.from_regex(
    r"/subscriptions/[a-z]{1,5}/resourceGroups/[a-z]{1,5}/providers/Microsoft\.Compute/diskEncryptionSets/[a-z]{1,5}",
    fullmatch=True,
)

# Fields whose values a rule restricts further, and what a rule demands of the whole.
_FITTED |= {
    GallerySpec: (
        {"tags": _TAGS, "sharing_profile": st.none() | _profiles(), "role_assignments": _assignments()},
        lambda _: True,
    ),
    GalleryIdentity: (
        _sets(GalleryIdentity, "user_assigned_identities"),
        lambda identity: ("UserAssigned" in identity.type) == (identity.user_assigned_identities is not None),
    ),
    ManagedDisk: ({"tags": _TAGS}, _zones_fit),
    SecurableDisk: ({"tags": _TAGS}, _zones_fit),
    DiskSecurityProfile: (
        {},
        lambda found: (
            (found.security_type == "ConfidentialVM_DiskEncryptedWithCustomerKey")
            == (found.secure_vm_disk_encryption_set_id is not None)
        ),
    ),
    ManagedImage: ({"tags": _TAGS}, lambda image: _unique(disk.lun for disk in image.data_disks)),
    GuestStateSource: ({}, lambda source: source.pvc is None or source.pvc.path is not None),
    UrlDisk: (
        {"url": st.from_regex(_ADDRESS, fullmatch=True)},
        lambda disk: (
            (disk.checksum is None or disk.checksums is None)
            and (not disk.mirrors or disk.checksum is not None or disk.checksums is not None)
        ),
    ),
    S3Disk: ({}, lambda disk: disk.endpoint is not None or disk.region is not None),
    OciDisk: ({"path": st.none() | st.from_regex(_PATH, fullmatch=True)}, lambda _: True),
    PvcDisk: ({"path": st.none() | st.from_regex(_PATH, fullmatch=True)}, lambda _: True),
    BlobSource: ({}, lambda blob: "?" not in blob.uri),
    Range: ({}, lambda limits: limits.min is None or limits.max is None or limits.min <= limits.max),
    DefinitionSpec: (
        {"tags": _TAGS, "role_assignments": _assignments()},
        lambda spec: (
            (spec.architecture == "x64" or spec.hyper_v_generation == "V2")
            and _unique(_lower_ascii(feature.name) for feature in spec.features)
        ),
    ),
    Retention: (
        {},
        lambda rule: (
            (rule.keep_versions is not None or rule.keep_younger_than is not None)
            and (rule.mode == "DeleteVersions" or not rule.delete_objects)
        ),
    ),
    VhdImportSpec: ({}, _import_fits),
    VersionSource: ({}, _source_fits),
    TemplateMetadata: (
        {
            "labels": st.dictionaries(_LABEL_KEYS, _LABEL_VALUES, max_size=_MANY),
            "annotations": st.dictionaries(_LABEL_KEYS, st.text(_TEXT, max_size=_LONG), max_size=_MANY),
        },
        lambda _: True,
    ),
    OsDiskSecurityProfile: (
        {"secure_vm_disk_encryption_set_id": st.none() | _SET_IDS},
        lambda profile: (
            (profile.confidential_vm_encryption_type == "EncryptedWithCmk")
            == (profile.secure_vm_disk_encryption_set_id is not None)
        ),
    ),
    DataDiskSecurityProfile: ({"secure_vm_disk_encryption_set_id": _SET_IDS}, lambda _: True),
    OsDiskImageEncryption: ({"disk_encryption_set_id": st.none() | _SET_IDS}, _encrypts),
    DataDiskImageEncryption: ({"disk_encryption_set_id": st.none() | _SET_IDS}, _encrypts),
    EncryptionImages: ({}, lambda images: _unique(each.lun for each in images.data_disk_images)),
    TargetExtendedLocation: ({}, lambda zone: zone.storage_account_type != "Standard_ZRS"),
    UefiSettings: (
        {},
        lambda settings: (
            _unique(settings.signature_template_names)
            and (
                "NoSignatureTemplate" not in settings.signature_template_names
                or len(settings.signature_template_names) == 1
            )
        ),
    ),
    SecretsProvisioningSettings: ({}, lambda settings: _unique(each.name for each in settings.components)),
    ImageVersionSpec: (
        {"version": _VERSION, "tags": _TAGS},
        lambda spec: (
            _unique(_normal(region.name) for region in spec.target_regions)
            and _published(spec)
            and (not spec.safety_profile.block_deletion_before_end_of_life or spec.end_of_life_date is not None)
            and (spec.source is not None or spec.management_policy == "Observe" or spec.adoption_policy == "Adopt")
        ),
    ),
}
