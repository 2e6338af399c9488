"""Cases for ImageVersion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.crds.cases import ABSENT, Case, tag_cases
from tests.integration.crds.cases_source import source_cases
from tests.support import samples


def image_version_cases() -> list[Case]:
    def case(title: str, change: Mapping[str, Any] = {}, message: str | None = None, **more: Any) -> Case:
        return Case("ImageVersion", title, change, message, **more)

    def regions(*names: str, **more: Any) -> dict[str, Any]:
        return {"spec.targetRegions": [{"name": name, **more} for name in names]}

    def data_disks(*luns: int) -> dict[str, Any]:
        return {
            "spec.source.dataDisks": [
                {"lun": lun, "vhdImportRef": {"name": f"data{index}"}} for index, lun in enumerate(luns)
            ]
        }

    def os_disk(source: dict[str, Any]) -> dict[str, Any]:
        return {"spec.source.osDisk": source}

    form = "version must be Major.Minor.Patch, three numbers of at most 2147483647, for example 12.7.20261123"
    twice = "targetRegions names a region twice: name each once, with its regionalReplicaCount"
    shallow = "replicationMode Shallow allows one region with one replica"
    os_source = "set exactly one of vhdImportRef, importTemplate, blob, diskId and snapshotId for the OS disk"
    data_source = "set exactly one of vhdImportRef, importTemplate, blob, diskId and snapshotId for each data disk"
    blob = {"storageAccountId": samples.STORAGE_ACCOUNT, "uri": "https://a.blob.core.windows.net/vhds/a.vhd"}
    count = "spec.targetRegions.0.regionalReplicaCount"
    sku = "storageAccountType of a region cannot be changed: remove the region"
    many = [f"region{number}" for number in range(100)]
    return [
        case("minimal"),
        *source_cases(),
        case("no source", {"spec.source": ABSENT}, "set source: where the disks of the version come from"),
        case("no source, observed", {"spec.source": ABSENT, "spec.managementPolicy": "Observe"}),
        case("no source, adopted", {"spec.source": ABSENT, "spec.adoptionPolicy": "Adopt"}),
        *tag_cases("ImageVersion", "spec.tags"),
        *(
            case(f"version {version}", {"spec.version": version}, form, path="spec.version")
            for version in ["1.0", "1.2.3.4", "1.2.x", "v1.2.3", "1.2.3-rc1", "", "1.2.", "1.2.12345678901"]
        ),
        *(
            case(f"version {version}", {"spec.version": version}, "each part of version must be at most 2147483647")
            for version in ["1.2.4294967296", "1.2.2147483648", "9999999999.0.0"]
        ),
        *(case(f"version {version}", {"spec.version": version}) for version in ["0.0.0", "1.2.2147483647"]),
        case("no region", {"spec.targetRegions": []}, "should have at least 1 items"),
        case("a region twice", regions("westeurope", "eastus2", "westeurope"), twice, path="spec.targetRegions"),
        case("a region twice in two spellings", regions("West Europe", "westeurope"), twice),
        case("regions that differ", regions("westeurope", "northeurope", "East US 2")),
        case("100 regions", regions(*many)),
        case("101 regions", regions(*many, "one"), "must have at most 100 items"),
        case("bad region", regions("west-europe"), "a region is written as"),
        case("no replica", {count: 0}, "should be greater than or equal to 1"),
        case("101 replicas", {count: 101}, "should be less than or equal to 100"),
        case("100 replicas", {count: 100}),
        case("Shallow", {"spec.replicationMode": "Shallow"}),
        case("Shallow with two replicas", {"spec.replicationMode": "Shallow", count: 2}, shallow),
        case(
            "Shallow with two regions", {"spec.replicationMode": "Shallow"} | regions("westeurope", "eastus2"), shallow
        ),
        case("no OS disk", {"spec.source.osDisk": {}}, os_source, path="spec.source.osDisk"),
        case("two OS disks", {"spec.source.osDisk.diskId": f"{samples.COMPUTE}/disks/a"}, os_source),
        case("data disk from nowhere", {"spec.source.dataDisks": [{"lun": 0}]}, data_source),
        case(
            "data disk from two places",
            {
                "spec.source.dataDisks": [
                    {"lun": 0, "diskId": f"{samples.COMPUTE}/disks/a", "snapshotId": f"{samples.COMPUTE}/snapshots/a"}
                ]
            },
            data_source,
        ),
        case("a lun twice", data_disks(0, 1, 0), "two data disks have the same lun: each needs its own"),
        case("luns that differ", data_disks(*range(64))),
        case("lun 64", data_disks(64), "should be less than or equal to 63"),
        case("negative lun", data_disks(-1), "should be greater than or equal to 0"),
        case("disk by a snapshot", os_disk({"diskId": f"{samples.COMPUTE}/snapshots/a"}), "ARM id of a managed disk"),
        case("snapshot by a disk", os_disk({"snapshotId": f"{samples.COMPUTE}/disks/a"}), "ARM id of a snapshot"),
        case("blob", {"spec.source.osDisk": {"blob": blob}}),
        case("blob, SAS", os_disk({"blob": blob | {"uri": blob["uri"] + "?sig=a"}}), "uri must not contain a query"),
        case("blob without URL", os_disk({"blob": blob | {"uri": "vhds/a.vhd"}}), "uri must be the http or https URL"),
        case("blob in no account", os_disk({"blob": blob | {"storageAccountId": "a"}}), "a storage account"),
        case(
            "block deletion for ever",
            {"spec.safetyProfile.blockDeletionBeforeEndOfLife": True},
            "blockDeletionBeforeEndOfLife needs endOfLifeDate",
        ),
        case(
            "block deletion until",
            {"spec.safetyProfile.blockDeletionBeforeEndOfLife": True, "spec.endOfLifeDate": "2030-01-01T00:00:00Z"},
        ),
        case("date without zone", {"spec.endOfLifeDate": "2030-01-01T00:00:00"}, "endOfLifeDate"),
        *(
            case(
                f"{name} changed",
                {f"spec.{name}": before},
                f"{name} cannot be changed: ",
                update={f"spec.{name}": after},
                path=f"spec.{name}",
            )
            for name, before, after in [
                ("definitionRef", {"name": "one"}, {"name": "two"}),
                ("version", "1.0.0", "1.0.1"),
                ("source", {"osDisk": {"vhdImportRef": {"name": "a"}}}, {"osDisk": {"vhdImportRef": {"name": "b"}}}),
                ("replicationMode", "Full", "Shallow"),
                ("storageAccountType", "Standard_LRS", "Premium_LRS"),
                ("storageAccountStrategy", "PreferStandard_ZRS", "DefaultStandard_LRS"),
            ]
        ),
        case("storage of a region changed", {}, sku, update=regions("westeurope", storageAccountType="Standard_ZRS")),
        case(
            "storage of a region changed, in another spelling",
            {},
            sku,
            update=regions("West Europe", storageAccountType="Premium_LRS"),
        ),
        case("region spelt anew", {}, update=regions("West Europe")),
        case(
            "regions added and removed, replicas changed",
            regions("westeurope", "eastus2"),
            update=regions("eastus2", "northeurope", regionalReplicaCount=5),
        ),
        case("region added with other storage", {}, update={
            "spec.targetRegions": [{"name": "westeurope"}, {"name": "eastus2", "storageAccountType": "Standard_ZRS"}]
        }),
    ]  # fmt: skip
