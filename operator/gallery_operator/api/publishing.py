"""Where an image version is replicated to, how it is stored there, and what may be deleted of it."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gallery_operator.api.encryption import EncryptionImages
from gallery_operator.api.meta import ApiModel, Region, Rule, immutable

StorageAccountType = Literal["Standard_LRS", "Standard_ZRS", "Premium_LRS", "PremiumV2_LRS"]
_Count = Annotated[int, Field(ge=1, le=100)]


class AdditionalReplicaSet(ApiModel):
    """Replicas of another storage type in the same region.

    Attributes:
        storage_account_type: Storage of these replicas.
        regional_replica_count: How many, 1 to 100.
    """

    storage_account_type: StorageAccountType
    regional_replica_count: _Count = 1


class TargetRegion(ApiModel):
    """A region that the version is replicated to.

    Attributes:
        exclude_from_latest: In this region the version is not what `latest` stands for.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        immutable("encryption", "remove the region, wait until it is gone, and add it again"),
    )

    name: Region
    regional_replica_count: Annotated[
        _Count | None,
        Field(
            description="Replicas in this region, 1 to 100; more of them serve more deployments at once. "
            "Default: replicaCount, else 1."
        ),
    ] = None
    storage_account_type: Annotated[
        StorageAccountType | None,
        Field(
            description="Storage of the replicas; it cannot be changed for a region that exists. Default: "
            "storageAccountType or storageAccountStrategy of the version, else Azure's, Standard_LRS."
        ),
    ] = None
    additional_replica_sets: Annotated[
        tuple[AdditionalReplicaSet, ...],
        Field(
            max_length=4,
            description="Replicas of other storage types besides, for direct drive: PremiumV2_LRS.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["storageAccountType"]},
        ),
    ] = ()
    encryption: Annotated[
        EncryptionImages | None,
        Field(description="Keys that the disks are encrypted with; default: Azure's own. Cannot be changed."),
    ] = None
    exclude_from_latest: bool | None = None


class ExtendedLocation(ApiModel):
    """An edge zone.

    Attributes:
        type: What it is.
    """

    name: Annotated[str, Field(min_length=1, max_length=64, description="Edge zone, such as `microsoftlosangeles1`.")]
    type: Literal["EdgeZone"] = "EdgeZone"


class TargetExtendedLocation(ApiModel):
    """An edge zone that the version is replicated to."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.storageAccountType) || self.storageAccountType != 'Standard_ZRS'",
            "an edge zone has no availability zones: use StandardSSD_LRS, Standard_LRS or Premium_LRS",
            ".storageAccountType",
        ),
    )

    name: Region
    extended_location: ExtendedLocation
    extended_location_replica_count: Annotated[_Count, Field(description="Replicas in this edge zone, 1 to 100.")] = 1
    storage_account_type: Annotated[
        Literal["StandardSSD_LRS", "Standard_LRS", "Premium_LRS", "Standard_ZRS"] | None,
        Field(description="Storage of the replicas; default: Azure's, StandardSSD_LRS. Cannot be changed."),
    ] = None
    encryption: Annotated[
        EncryptionImages | None, Field(description="Keys that the disks are encrypted with. Cannot be changed.")
    ] = None


class SafetyProfile(ApiModel):
    """What may be deleted.

    Attributes:
        block_deletion_before_end_of_life: Azure refuses to delete the version before `endOfLifeDate`.
    """

    allow_deletion_of_replicated_locations: Annotated[
        bool, Field(description="Regions may be removed from the version; Azure's own default is false.")
    ] = True
    block_deletion_before_end_of_life: bool | None = None


def _region(path: str) -> str:
    return f"{path}.name.lowerAscii().replace(' ', '')"


def _stored(spec: str, region: str) -> str:
    """CEL: the storage type of a region that is known without asking Azure, or an empty string."""
    strategy = f"{spec}.storageAccountStrategy"
    return (
        f"(has({region}.storageAccountType) ? {region}.storageAccountType : "
        f"has({spec}.storageAccountType) ? {spec}.storageAccountType : "
        f"has({strategy}) && {strategy} != 'DefaultStandard_LRS' ? '' : 'Standard_LRS')"
    )


def _keyed(region: str) -> str:
    """CEL: the data disks of a region that have a disk encryption set."""
    listed = f"{region}.encryption.dataDiskImages"
    return (
        f"(has({region}.encryption) && has({listed}) ? "
        f"{listed}.filter(d, has(d.diskEncryptionSetId)).map(d, d.lun) : [])"
    )


def _os_keyed(region: str) -> str:
    disk = f"{region}.encryption.osDiskImage"
    return f"(has({region}.encryption) && has({disk}) && has({disk}.diskEncryptionSetId))"


_COUNT = "(has(r.regionalReplicaCount) ? r.regionalReplicaCount : has(self.replicaCount) ? self.replicaCount : 1)"
_MORE = "(has(r.additionalReplicaSets) ? r.additionalReplicaSets.map(s, s.regionalReplicaCount).sum() : 0)"

RULES = (
    Rule(
        f"self.targetRegions.all(a, self.targetRegions.exists_one(b, {_region('b')} == {_region('a')}))",
        "targetRegions names a region twice: name each once, with its regionalReplicaCount",
        ".targetRegions",
    ),
    Rule(
        f"self.targetRegions.map(r, {_COUNT} + {_MORE}).sum() <= 100",
        "a version has at most 100 replicas in all its regions together (Azure's limit): ask for fewer",
        ".targetRegions",
    ),
    Rule(
        "self.replicationMode != 'Shallow' || (self.targetRegions.size() == 1 && "
        f"self.targetRegions.all(r, {_COUNT} == 1 && (!has(r.additionalReplicaSets) || r.additionalReplicaSets.size() == 0)))",
        "replicationMode Shallow allows one region with one replica: use Full, or name one region with "
        "regionalReplicaCount 1",
    ),
    Rule(
        "self.replicationMode != 'Shallow' || !has(self.targetExtendedLocations) || "
        "self.targetExtendedLocations.size() == 0",
        "replicationMode Shallow does not replicate to edge zones: use Full, or take targetExtendedLocations out",
    ),
    Rule(
        f"self.targetRegions.all(now, oldSelf.targetRegions.all(old, {_region('old')} != {_region('now')} || "
        f"[{_stored('oldSelf', 'old')}, {_stored('self', 'now')}].exists(s, s == '') || "
        f"{_stored('oldSelf', 'old')} == {_stored('self', 'now')}))",
        "storageAccountType of a region cannot be changed: remove the region, wait until it is gone, and add it again",
        ".targetRegions",
    ),
    Rule(
        "!has(self.safetyProfile) || !has(self.safetyProfile.allowDeletionOfReplicatedLocations) || "
        "self.safetyProfile.allowDeletionOfReplicatedLocations || oldSelf.targetRegions.all(old, "
        f"self.targetRegions.exists(now, {_region('now')} == {_region('old')}))",
        "a region cannot be removed while safetyProfile.allowDeletionOfReplicatedLocations is false (Azure's rule): set "
        "that to true, or keep the region",
        ".targetRegions",
    ),
    Rule(
        "!has(self.storageAccountType) || !has(self.storageAccountStrategy)",
        "set storageAccountType or storageAccountStrategy, not both (a region may still name its own type)",
    ),
    immutable("storageAccountType", "Azure does not allow it; name storageAccountType for each new region"),
    immutable("storageAccountStrategy", "Azure does not allow it; name storageAccountType for each new region"),
    Rule(
        f"self.targetRegions.all(r, {_os_keyed('r')} == {_os_keyed('self.targetRegions[0]')})",
        "the OS disk has a disk encryption set in some regions only: name one for all regions, or for none",
        ".targetRegions",
    ),
    Rule(
        # A list of one names a value, so that it is computed once.
        f"[{_keyed('self.targetRegions[0]')}].all(first, self.targetRegions.all(r, "
        f"[{_keyed('r')}].all(luns, luns.size() == first.size() && luns.all(l, l in first))))",
        "a data disk has a disk encryption set in some regions only: name one for all regions, or for none",
        ".targetRegions",
    ),
    Rule(
        "!has(self.targetExtendedLocations) || self.targetExtendedLocations.all(a, "
        "self.targetExtendedLocations.exists_one(b, b.extendedLocation.name.lowerAscii() == "
        "a.extendedLocation.name.lowerAscii()))",
        "targetExtendedLocations names an edge zone twice: name each once",
        ".targetExtendedLocations",
    ),
)
"""Rules of the spec of a version that concern where and how it is stored."""
