"""Sources of versions: every rule with what it refuses, what it waits for, and what it lets pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.api import VhdImport
from gallery_operator.planning import source_rules as rules
from gallery_operator.planning.outcome import Stalled, Waiting
from gallery_operator.planning.source_problems import Problem, Wanted, conclude

Json = dict[str, Any]
WANTED = Wanted("West Europe", "debian", "Linux", "Generalized", "V2", "x64", "Full")
SPECIALIZED = replace(WANTED, os_state="Specialized")
SHALLOW = replace(WANTED, replication_mode="Shallow")
ARM64 = replace(WANTED, architecture="Arm64")
PLAN = {"name": "n", "publisher": "p", "product": "o"}
PLANNED = replace(WANTED, plan=("n", "p", "o"))
GEN1 = replace(WANTED, hyper_v_generation="V1")
ID = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/disks/d"
KEY = {"diskEncryptionSetId": "/des"}
F = "source.field"


def told(problems: Sequence[Problem], reason: str | None, *words: str, passing: bool = False) -> None:
    """Exactly one problem, or none; the field and the words are in its message."""
    assert [each.reason for each in problems] == ([reason] if reason else []), problems
    for each in problems:
        assert each.passing is passing
        assert each.message.startswith(F)
        assert each.message.endswith((".", "%)."))
        for word in words:
            assert word in each.message, each.message


def disk(**properties: Any) -> Json:
    base = {"osType": "Linux", "hyperVGeneration": "V2", "diskSizeGB": 30, "diskState": "Unattached"}
    return {"location": "westeurope", "properties": {**base, "provisioningState": "Succeeded", **properties}}


@pytest.mark.parametrize(
    ("wanted", "found", "reason", "words", "passing"),
    [
        (WANTED, disk(), None, [], False),
        (WANTED, disk(diskState="Reserved"), None, [], False),
        (WANTED, disk(diskState="ActiveSAS"), None, [], False),
        (WANTED, {"location": "WestEurope", "properties": {}}, None, [], False),
        (WANTED, None, "SourceNotFound", [ID, "does not exist"], True),
        (WANTED, {**disk(), "location": "eastus2"}, "SourceElsewhere", ["eastus2", "westeurope"], False),
        (WANTED, disk(osType="Windows"), "SourceMismatch", ["osType Windows", "osType Linux", "debian"], False),
        (WANTED, disk(hyperVGeneration="V1"), "SourceMismatch", ["hyperVGeneration V1", "hyperVGeneration V2"], False),
        (GEN1, disk(hyperVGeneration="V1"), None, [], False),
        (
            WANTED,
            disk(supportedCapabilities={"architecture": "Arm64"}),
            "SourceMismatch",
            ["architecture Arm64", "architecture x64"],
            False,
        ),
        (ARM64, disk(supportedCapabilities={"architecture": "Arm64"}), None, [], False),
        (ARM64, disk(supportedCapabilities=None), None, [], False),
        (WANTED, disk(encryption=KEY), None, [], False),
        (replace(WANTED, subscription_id="S"), disk(encryption=KEY), None, [], False),
        (
            replace(WANTED, subscription_id="t"),
            disk(encryption=KEY),
            "SourceElsewhere",
            ["another subscription"],
            False,
        ),
        (replace(WANTED, subscription_id="t"), disk(encryption={"type": "Platform"}), None, [], False),
        (WANTED, disk(diskState="ActiveUpload"), "SourceNotReady", ["being uploaded"], True),
        (WANTED, disk(diskState="ReadyToUpload"), "SourceNotReady", ["being uploaded"], True),
        (WANTED, disk(diskState="Attached"), "SourceInUse", ["Deallocate", "snapshot"], True),
        (WANTED, {**disk(diskState="Attached"), "managedBy": "/machines/m"}, "SourceInUse", ["/machines/m"], True),
        (WANTED, disk(provisioningState="Creating"), "SourceNotReady", ["Creating"], True),
        (WANTED, disk(completionPercent=40.0), "SourceNotReady", ["40 %"], True),
        (WANTED, disk(completionPercent=100.0), None, [], False),
        (WANTED, disk(diskSizeGB=2048), None, [], False),
        (WANTED, disk(diskSizeGB=2049), "DiskTooLarge", ["2049 GiB", "2048 GiB", "Shallow"], False),
        (WANTED, disk(diskSizeGB=2048, diskSizeBytes=2048 * 1024**3), None, [], False),
        (WANTED, disk(diskSizeBytes=2049 * 1024**3), "DiskTooLarge", ["2049 GiB"], False),
        (SHALLOW, disk(diskSizeGB=32 * 1024), None, [], False),
        (SHALLOW, disk(diskSizeGB=32 * 1024 + 1), "DiskTooLarge", ["32769 GiB", "32768 GiB"], False),
    ],
)
def test_os_disk(wanted: Wanted, found: Json | None, reason: str | None, words: list[str], passing: bool) -> None:
    told(rules.disk(wanted, F, found, ID, os=True), reason, *words, passing=passing)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (disk(osType=None, hyperVGeneration=None), None),
        (disk(osType="Windows", hyperVGeneration="V1"), None),
        ({**disk(), "location": "eastus2"}, "SourceElsewhere"),
        (disk(diskSizeGB=4096), "DiskTooLarge"),
    ],
)
def test_data_disk_has_no_operating_system(found: Json, reason: str | None) -> None:
    told(rules.disk(WANTED, F, found, ID, os=False), reason)


def image(**osdisk: Any) -> Json:
    storage = {"osDisk": {"osType": "Linux", "osState": "Generalized", "diskSizeGB": 30, **osdisk}, "dataDisks": []}
    return {"location": "westeurope", "properties": {"hyperVGeneration": "V2", "storageProfile": storage}}


def with_data(found: Json, size: int) -> Json:
    found["properties"]["storageProfile"]["dataDisks"] = [{"lun": 0, "diskSizeGB": size}]
    return found


@pytest.mark.parametrize(
    ("wanted", "found", "reason", "words", "passing"),
    [
        (WANTED, image(), None, [], False),
        (WANTED, None, "SourceNotFound", [], True),
        (SPECIALIZED, None, "SourceMismatch", ["is Specialized", "Generalized versions only"], False),
        (SPECIALIZED, image(), "SourceMismatch", ["Generalized versions only"], False),
        (WANTED, image(osState="Specialized"), "SourceMismatch", ["osState Specialized"], False),
        (WANTED, image(osType="Windows"), "SourceMismatch", ["osType Windows"], False),
        (GEN1, image(), "SourceMismatch", ["hyperVGeneration V2"], False),
        (WANTED, {**image(), "location": "East US"}, "SourceElsewhere", ["eastus"], False),
        (WANTED, image(diskSizeGB=3000), "DiskTooLarge", ["3000"], False),
        (WANTED, with_data(image(), 2500), "DiskTooLarge", ["2500"], False),
    ],
)
def test_managed_image(wanted: Wanted, found: Json | None, reason: str | None, words: list[str], passing: bool) -> None:
    told(rules.managed_image(wanted, F, found, ID), reason, *words, passing=passing)


def machine(*codes: str, generation: str = "V2", view: bool = True, **osdisk: Any) -> Json:
    statuses = [{"code": each} for each in ("ProvisioningState/succeeded", "PowerState/deallocated", *codes)]
    seen = {"instanceView": {"hyperVGeneration": generation, "statuses": statuses}} if view else {}
    storage = {"osDisk": {"osType": "Linux", "diskSizeGB": 30, **osdisk}}
    return {"location": "westeurope", "properties": {"storageProfile": storage, **seen}}


@pytest.mark.parametrize(
    ("wanted", "found", "reason", "words", "passing"),
    [
        (WANTED, machine("OSState/generalized"), None, [], False),
        (SPECIALIZED, machine(), None, [], False),
        (WANTED, machine(view=False), None, [], False),
        (WANTED, None, "SourceNotFound", [], True),
        (WANTED, machine(), "SourceMismatch", ["not generalized", "az vm generalize"], False),
        (SPECIALIZED, machine("OSState/generalized"), "SourceMismatch", ["is generalized", "Specialized"], False),
        (GEN1, machine("OSState/generalized"), "SourceMismatch", ["hyperVGeneration V2"], False),
        (WANTED, {**machine("osstate/Generalized"), "location": "eastus2"}, "SourceElsewhere", ["eastus2"], False),
        (
            WANTED,
            machine("OSState/generalized", diffDiskSettings={"option": "Local"}),
            "SourceMismatch",
            ["ephemeral"],
            False,
        ),
        (WANTED, machine("OSState/generalized", vhd={"uri": "https://a/b"}), "SourceMismatch", ["osDisk.blob"], False),
        (WANTED, {**machine("OSState/generalized"), "plan": PLAN}, "SourceMismatch", ["n/p/o", "none"], False),
        (PLANNED, machine("OSState/generalized"), "SourceMismatch", ["plan none", "n/p/o"], False),
        (PLANNED, {**machine("OSState/generalized"), "plan": {**PLAN, "name": "N"}}, None, [], False),
        (WANTED, with_data(machine("OSState/generalized"), 5000), "DiskTooLarge", ["5000"], False),
    ],
)
def test_virtual_machine(
    wanted: Wanted, found: Json | None, reason: str | None, words: list[str], passing: bool
) -> None:
    told(rules.virtual_machine(wanted, F, found, ID), reason, *words, passing=passing)


def version(*regions: str, state: str = "Succeeded", size: int = 30) -> Json:
    storage = {"osDiskImage": {"sizeInGB": 30}, "dataDiskImages": [{"lun": 0, "sizeInGB": size}]}
    return {
        "location": "eastus2",
        "properties": {
            "provisioningState": state,
            "publishingProfile": {"targetRegions": [{"name": each} for each in regions]},
            "storageProfile": storage,
        },
    }


def definition(**properties: Any) -> Json:
    base = {"osType": "Linux", "osState": "Generalized", "hyperVGeneration": "V2", "architecture": "x64"}
    return {"properties": {**base, **properties}}


@pytest.mark.parametrize(
    ("found", "parent", "reason", "words", "passing"),
    [
        (version("East US 2", "West Europe"), definition(), None, [], False),
        (version("West Europe"), None, None, [], False),
        (version("West Europe", state="Updating"), definition(), None, [], False),
        (None, None, "SourceNotFound", [], True),
        (version("West Europe", state="Failed"), definition(), "SourceFailed", ["provisioningState Failed"], False),
        (version("West Europe", state="Creating"), definition(), "SourceNotReady", ["Creating"], True),
        (version("East US 2"), definition(), "SourceElsewhere", ["not replicated to West Europe"], False),
        (version("West Europe"), definition(osState="Specialized"), "SourceMismatch", ["osState Specialized"], False),
        (version("West Europe"), definition(hyperVGeneration="V1"), "SourceMismatch", ["hyperVGeneration V1"], False),
        (version("West Europe"), definition(architecture="Arm64"), "SourceMismatch", ["architecture Arm64"], False),
        (version("West Europe"), definition(osType="Windows"), "SourceMismatch", ["osType Windows"], False),
        (version("West Europe", size=2049), definition(), "DiskTooLarge", ["2049"], False),
    ],
)
def test_other_version(
    found: Json | None, parent: Json | None, reason: str | None, words: list[str], passing: bool
) -> None:
    told(rules.gallery_version(WANTED, F, found, parent, ID), reason, *words, passing=passing)


def shown(**properties: Any) -> Json:
    return {
        "location": "westeurope",
        "properties": {"storageProfile": {"osDiskImage": {"diskSizeGB": 30}}, **properties},
    }


@pytest.mark.parametrize(
    ("found", "parent", "reason", "words", "passing"),
    [
        (shown(), definition(), None, [], False),
        (shown(), None, None, [], False),
        (definition(), definition(), None, [], False),
        (None, definition(), "SourceNotFound", ["West Europe", "publisher"], True),
        (shown(imageState="SoftDeleted"), definition(), "SourceNotFound", ["has deleted"], False),
        (shown(), definition(osState="Specialized"), "SourceMismatch", ["osState Specialized"], False),
        (
            shown(storageProfile={"osDiskImage": {"diskSizeGB": 4095}}),
            definition(),
            "DiskTooLarge",
            ["4095 GiB"],
            False,
        ),
    ],
)
def test_community_version(
    found: Json | None, parent: Json | None, reason: str | None, words: list[str], passing: bool
) -> None:
    problems = rules.community_version(WANTED, F, found, parent, "/CommunityGalleries/a/Images/b/Versions/1.0.0")
    told(problems, reason, *words, passing=passing)


def test_blobs() -> None:
    told(rules.blob(WANTED, F, {"location": "westeurope"}, ID), None)
    told(rules.blob(WANTED, F, None, ID), "SourceNotFound", ".storageAccountId", passing=True)
    told(rules.blob(WANTED, F, {"location": "eastus"}, ID), "SourceElsewhere", ".storageAccountId", "eastus")
    told(rules.blob_content(F, "https://a/b", "PageBlob"), None)
    told(rules.blob_content(F, "https://a/b", None), "SourceNotFound", ".uri", "https://a/b", passing=True)
    told(rules.blob_content(F, "https://a/b", "BlockBlob"), "SourceMismatch", "page blob")


def vhd_import(size: int | None = None, location: str | None = None, **spec: Any) -> VhdImport:
    found = VhdImport.from_wire(
        {
            "metadata": {"name": "i", "namespace": "n"},
            "spec": {"source": {"pvc": {"claimName": "c"}}, **spec},
            "status": {
                "disk": {"virtualSize": size},
                "target": {"type": "ManagedDisk", "resourceId": ID, "location": location},
            },
        }
    )
    assert isinstance(found, VhdImport)
    return found


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (vhd_import(), None),
        (vhd_import(location="westeurope", size=2**30), None),
        (vhd_import(location="eastus2"), "SourceElsewhere"),
        (
            vhd_import(destination={"managedDisk": {"resourceGroup": "r", "location": "East US 2"}}),
            "SourceElsewhere",
        ),
        (vhd_import(destination={"managedImage": {"resourceGroup": "r", "location": "westeurope"}}), "SourceMismatch"),
        (vhd_import(size=2049 * 2**30), "DiskTooLarge"),
        (vhd_import(profile={"osState": "Specialized"}), "SourceMismatch"),
        (vhd_import(profile={"hyperVGeneration": "V1"}), "SourceMismatch"),
        (vhd_import(profile={}), None),
    ],
)
def test_imports(found: VhdImport, reason: str | None) -> None:
    told(rules.imported(WANTED, F, found, os=True), reason)


def test_profile_of_a_data_disk_says_nothing() -> None:
    told(rules.imported(WANTED, F, vhd_import(profile={"osState": "Specialized"}), os=False), None)


def test_one_thing_for_two_disks() -> None:
    (problem,) = rules.same_source([("source.osDisk.source", ID), ("x", "other"), ("source.dataDisks", ID.upper())])
    assert problem.reason == "SourceTwice"
    assert "source.osDisk.source and source.dataDisks" in problem.message
    assert not problem.passing
    assert not rules.same_source([("a", "https://x/Blob"), ("b", "https://x/blob")])


def test_what_a_person_must_mend_comes_before_what_is_waited_for() -> None:
    waits, stalls = Problem("A", "a.", True), Problem("B", "b.")
    assert conclude([]) is None
    assert conclude([waits]) == Waiting("A", "a.", 30.0)
    found = conclude([waits, stalls, Problem("C", "c.")])
    assert isinstance(found, Stalled)
    assert (found.reason, found.message) == ("B", "b. c.")


@given(st.dictionaries(st.sampled_from(["osType", "diskState", "diskSizeGB", "supportedCapabilities"]), st.none()))
def test_what_is_not_told_is_let_pass(properties: Json) -> None:
    assert rules.disk(WANTED, F, {"properties": properties}, ID, os=True) == []
    assert rules.virtual_machine(WANTED, F, {"properties": properties}, ID) == []
    assert rules.managed_image(WANTED, F, {"properties": properties}, ID) == []
    assert rules.gallery_version(WANTED, F, {"properties": properties}, None, ID) == []
