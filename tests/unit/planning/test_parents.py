"""Galleries and definitions in normal form, ownership, references, progress."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gallery_operator.api import Gallery, GalleryImageDefinition
from gallery_operator.contract import Finding, PrerequisitesReport
from gallery_operator.planning import definition as plan
from gallery_operator.planning import gallery as gallery_plan
from gallery_operator.planning.backoff import poll_delay
from gallery_operator.planning.ownership import Ownership, desired_tags, owner_of, owner_tags, ownership
from gallery_operator.planning.progress import human, prerequisites_fields
from gallery_operator.planning.references import references_of, target_of

Json = dict[str, Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def definition(**spec: Any) -> GalleryImageDefinition:
    identifier = {"publisher": "P", "offer": "O", "sku": "S"}
    base = {"galleryRef": {"name": "g"}, "osState": "Generalized", "identifier": identifier}
    meta = {"name": "d", "namespace": "n", "uid": "u"}
    return GalleryImageDefinition.from_wire({"metadata": meta, "spec": {**base, **spec}})


def gallery(**spec: Any) -> Gallery:
    meta = {"name": "g", "namespace": "n", "uid": "u"}
    return Gallery.from_wire({"metadata": meta, "spec": {"resourceGroup": "r", "location": "westeurope", **spec}})


def answer(wanted: GalleryImageDefinition, **properties: Any) -> Json:
    """What Azure answers to our own body."""
    body = plan.body(wanted, "westeurope", {"o": "1"}, None)
    return {**body, "properties": {**body["properties"], "provisioningState": "Succeeded", **properties}}


def test_security_type_is_always_sent() -> None:
    assert plan.features(definition()) == {"SecurityType": "Standard"}
    mine = definition(features=[{"name": "securityType", "value": "TrustedLaunch"}])
    assert plan.features(mine) == {"securityType": "TrustedLaunch"}


def test_own_body_is_no_difference() -> None:
    full = definition(
        description="x",
        endOfLifeDate="2030-01-01T00:00:00Z",
        recommended={"vCPUs": {"min": 1, "max": 4}},
        disallowed={"diskTypes": ["Standard_LRS", "Premium_LRS"]},
    )
    azure = answer(
        full,
        endOfLifeDate="2030-01-01T00:00:00.0000000+00:00",
        recommended={"vCPUs": {"min": 1, "max": 4}, "memory": {"min": 1, "max": 32}},
        disallowed={"diskTypes": ["Premium_LRS", "Standard_LRS"]},
    )
    assert plan.differences(full, {"o": "1"}, azure) == plan.Differences()


@pytest.mark.parametrize(
    ("wanted", "stored"),
    [("SCSI, NVMe", "SCSI, NVMe"), ("NVMe, SCSI", "SCSI, NVMe"), ("nvme,scsi", "SCSI, NVMe"), ("true", "True")],
)
def test_features_are_compared_without_case_and_order(wanted: str, stored: str) -> None:
    mine = definition(features=[{"name": "X", "value": wanted}])
    azure = answer(mine, features=[{"name": "x", "value": stored}, {"name": "securitytype", "value": "standard"}])
    assert plan.differences(mine, {"o": "1"}, azure) == plan.Differences()
    # Sending the other form would be refused (PropertyChangeNotAllowed), so Azure's own goes back.
    body = plan.body(mine, "westeurope", {"o": "1"}, azure)
    assert body["properties"]["features"] == azure["properties"]["features"]
    assert "allowUpdateImage" not in body["properties"]


def test_another_feature_is_an_update_that_is_allowed() -> None:
    azure = answer(definition())
    mine = definition(features=[{"name": "DiskControllerTypes", "value": "NVMe"}])
    assert plan.differences(mine, {"o": "1"}, azure).updatable == ("features",)
    assert plan.body(mine, "westeurope", {"o": "1"}, azure)["properties"]["allowUpdateImage"] is True


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"osState": "Specialized"}, "osState"),
        ({"hyperVGeneration": "V1"}, "hyperVGeneration"),
        ({"architecture": "Arm64"}, "architecture"),
        ({"identifier": {"publisher": "P", "offer": "O", "sku": "other"}}, "identifier.sku"),
    ],
)
def test_what_azure_never_changes_is_named(spec: Json, field: str) -> None:
    found = plan.differences(definition(**spec), {"o": "1"}, answer(definition()))
    assert [name for name, _, _ in found.immutable] == [field]


def test_missing_architecture_is_x64() -> None:
    azure = answer(definition())
    del azure["properties"]["architecture"]
    assert plan.differences(definition(), {"o": "1"}, azure).immutable == ()


def test_gallery_keeps_what_the_spec_does_not_speak_of() -> None:
    azure = {
        "location": "West Europe",
        "tags": {"policy": "x"},
        "properties": {
            "description": "theirs",
            "softDeletePolicy": {"isSoftDeleteEnabled": True},
            "identifier": {"uniqueName": "x"},
        },
    }
    body = gallery_plan.body(gallery(tags={"a": "b"}), {"o": "1"}, azure)
    assert body["location"] == "West Europe"
    assert body["tags"] == {"policy": "x", "a": "b", "o": "1"}
    assert body["properties"] == {"description": "theirs", "softDeletePolicy": {"isSoftDeleteEnabled": True}}
    assert gallery_plan.difference(gallery(), {"o": "1"}, {**azure, "tags": {"o": "1"}}) == []
    assert gallery_plan.difference(gallery(description="ours"), {"o": "1"}, azure) == ["description", "tags"]


def test_ownership_is_by_name_not_by_uid() -> None:
    tags = owner_tags(gallery(), "c")
    assert ownership(tags, gallery(), "c") is Ownership.OURS
    assert ownership({**tags, "gallery-operator.dev-uid": "other"}, gallery(), "c") is Ownership.OURS
    assert ownership(tags, gallery(), "other") is Ownership.ANOTHERS
    assert ownership({**tags, "gallery-operator.dev-name": "x"}, gallery(), "c") is Ownership.ANOTHERS
    assert ownership({**tags, "gallery-operator.dev-kind": "x"}, gallery(), "c") is Ownership.ANOTHERS
    assert ownership({"team": "a"}, gallery(), "c") is Ownership.NOBODYS
    assert ownership(None, gallery(), "c") is Ownership.NOBODYS
    assert str(owner_of(tags)) == "Gallery n/g of cluster 'c'"
    assert desired_tags({"a": "1", "b": "1"}, {"b": "2"}, tags) == {"a": "1", "b": "2", **tags}


def body_of(name: str = "x", **spec: Any) -> Json:
    return {"metadata": {"name": name, "namespace": "n"}, "spec": spec}


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("Gallery", body_of(), set()),
        ("GalleryImageDefinition", body_of(galleryRef={"name": "g"}), {("Gallery", "n", "g")}),
        ("GalleryImageDefinition", body_of(galleryRef={"name": "g", "namespace": "m"}), {("Gallery", "m", "g")}),
        ("GalleryImageDefinition", body_of(gallery={"resourceId": "x"}), set()),
        ("VhdImport", body_of(definitionRef={"name": "d"}), {("GalleryImageDefinition", "n", "d")}),
        (
            "ImageVersion",
            body_of(
                definitionRef={"name": "d"},
                source={"osDisk": {"vhdImportRef": {"name": "i"}}, "dataDisks": [{"vhdImportRef": {"name": "j"}}, {}]},
            ),
            {("GalleryImageDefinition", "n", "d"), ("VhdImport", "n", "i"), ("VhdImport", "n", "j")},
        ),
        ("ImageVersion", {}, set()),
    ],
)
def test_references(kind: str, body: Json, expected: set[tuple[str, str, str]]) -> None:
    assert references_of(kind, body) == expected


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("Gallery", body_of("a", resourceGroup="R"), body_of("b", resourceGroup="r", galleryName="A")),
        (
            "GalleryImageDefinition",
            body_of("a", galleryRef={"name": "g"}),
            body_of("b", galleryRef={"name": "g", "namespace": "n"}, imageDefinitionName="A"),
        ),
        (
            "ImageVersion",
            body_of("a", definitionRef={"name": "d"}, version="1.0.0"),
            body_of("b", definitionRef={"name": "d"}, version="1.0.0"),
        ),
        (
            "VhdImport",
            body_of("a", destination={"managedDisk": {"resourceGroup": "R"}}),
            body_of("b", destination={"managedDisk": {"resourceGroup": "r", "diskName": "A"}}),
        ),
        (
            "VhdImport",
            body_of("a", destination={"pageBlob": {"storageAccountId": "/X", "container": "c"}}),
            body_of("b", destination={"pageBlob": {"storageAccountId": "/x", "container": "c", "blobName": "a.vhd"}}),
        ),
    ],
)
def test_equal_targets_are_seen(kind: str, one: Json, other: Json) -> None:
    assert target_of(kind, one) == target_of(kind, other) is not None
    elsewhere = {**one["spec"], "galleryName": "z", "imageDefinitionName": "z", "version": "9.0.0", "destination": {}}
    assert target_of(kind, one) != target_of(kind, body_of("a", **elsewhere))


def test_staging_disks_never_collide() -> None:
    assert target_of("VhdImport", body_of("a", definitionRef={"name": "d"})) is None


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536 * 2**20, "1.5 GiB"), (2**50, "1024 TiB")]
)
def test_bytes_in_words(count: int, text: str) -> None:
    assert human(count) == text


def test_prerequisites_summary() -> None:
    finding = Finding(id="KRN002", severity="error", message="m")
    report = PrerequisitesReport(passed=3, failures=1, warnings=2, unknown=1, findings=(finding,), findings_omitted=2)
    fields = prerequisites_fields(report, {"KRN002": "do this"})
    assert fields["summary"] == "3 ok 1 err 2 warn 1 unknown"
    assert fields["findings"] == [{"id": "KRN002", "severity": "error", "message": "m", "remedy": "do this"}]
    assert fields["findingsOmitted"] == 2


@pytest.mark.parametrize(("elapsed", "delay"), [(0, 15), (100, 15), (600, 60), (100_000, 300)])
def test_long_operations_are_asked_rarely(elapsed: float, delay: float) -> None:
    assert poll_delay(elapsed, 15.0) == delay


def test_soft_delete_is_compared_in_what_the_spec_says() -> None:
    def differs(wanted: Json, have: Json | None) -> bool:
        existing = {"tags": {}, "properties": {"softDeletePolicy": have}}
        return "softDeletePolicy" in gallery_plan.difference(gallery(softDeletePolicy=wanted), {}, existing)

    on = {"isSoftDeleteEnabled": True, "retentionPeriodInDays": 7}
    assert not differs({"isSoftDeleteEnabled": True}, on)
    assert not differs({"isSoftDeleteEnabled": False}, None)
    assert not differs({"isSoftDeleteEnabled": False, "retentionPeriodInDays": 3}, {"isSoftDeleteEnabled": False})
    assert differs({"isSoftDeleteEnabled": True}, None)
    assert differs({"isSoftDeleteEnabled": False}, on)
    assert differs({**on, "gracePeriodInDays": 1}, on)
    # What the spec does not say is sent back as it is.
    body = gallery_plan.body(
        gallery(softDeletePolicy={"isSoftDeleteEnabled": False}), {}, {"properties": {"softDeletePolicy": on}}
    )
    assert body["properties"]["softDeletePolicy"] == {"isSoftDeleteEnabled": False, "retentionPeriodInDays": 7}
