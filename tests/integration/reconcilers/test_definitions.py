"""Definitions in full, on a real API server against the simulator."""

from __future__ import annotations

from tests.integration.reconcilers.stage import Json, Stage, ready


def features(body: Json | None) -> dict[str, Json]:
    """Features of a definition in Azure by name."""
    return {each["name"]: each for each in (body or {})["properties"].get("features") or []}


async def test_optional_fields_are_set_changed_and_taken_out(stage: Stage) -> None:
    stage.gallery()
    stage.definition(
        description="one",
        recommended={"vCPUs": {"min": 1, "max": 4}, "memory": {"min": 2}},
        disallowed={"diskTypes": ["Standard_LRS"]},
        endOfLifeDate="2099-01-01T00:00:00Z",
        features=[
            {"name": "SecurityType", "value": "TrustedLaunchSupported", "startsAtVersion": "2.0.0"},
            {"name": "DiskControllerTypes", "value": "NVMe, SCSI"},
        ],
        tags={"costCenter": "42"},
    )
    await stage.ready("GalleryImageDefinition", "debian")
    there = stage.in_azure(stage.definition_id) or {}
    assert features(there)["DiskControllerTypes"]["value"] == "SCSI, NVMe"
    assert features(there)["SecurityType"]["startsAtVersion"] == "2.0.0"
    await stage.quiet()
    stage.azure.clear_counts()
    stage.patch(
        "GalleryImageDefinition",
        "debian",
        {
            "spec": {
                "description": None,
                "endOfLifeDate": None,
                "recommended": {"memory": None},
                "features": [{"name": "IsHibernateSupported", "value": "true"}],
                "tags": {"costCenter": None},
            }
        },
    )
    await stage.until(lambda: "IsHibernateSupported" in features(stage.in_azure(stage.definition_id)))
    await stage.ready("GalleryImageDefinition", "debian")
    there = stage.in_azure(stage.definition_id) or {}
    assert {name: each["value"] for name, each in features(there).items()} == {
        "SecurityType": "Standard",
        "IsHibernateSupported": "True",
    }
    assert "description" not in there["properties"]
    assert "endOfLifeDate" not in there["properties"]
    assert there["properties"]["recommended"] == {"vCPUs": {"min": 1, "max": 4}}
    assert there["properties"]["disallowed"] == {"diskTypes": ["Standard_LRS"]}
    assert "costCenter" not in there["tags"]
    await stage.quiet()
    assert stage.azure.counts()["writes"] == 1


async def test_a_date_that_has_passed_is_refused_before_azure_is_asked(stage: Stage) -> None:
    stage.gallery()
    stage.definition(endOfLifeDate="2020-01-01T00:00:00Z")
    body = await stage.reason("GalleryImageDefinition", "debian", "EndOfLifeInPast")
    assert stage.stalled(body)
    assert "2020-01-01" in ready(body)["message"]
    assert stage.in_azure(stage.definition_id) is None
    stage.patch("GalleryImageDefinition", "debian", {"spec": {"endOfLifeDate": "2099-01-01T00:00:00Z"}})
    await stage.ready("GalleryImageDefinition", "debian")


async def test_an_identifier_that_another_definition_has_is_for_a_person_to_mend(stage: Stage) -> None:
    """Azure answers with ``Conflict``, a code that otherwise means to wait: its text decides."""
    await stage.base()
    stage.definition("second", identifier={"publisher": "platform", "offer": "debian", "sku": "debian"})
    body = await stage.reason("GalleryImageDefinition", "second", "Conflict")
    assert stage.stalled(body)
    message = ready(body)["message"]
    assert "already exists. Choose a different publisher, offer, sku combination." in message
    assert message.endswith("Choose another publisher, offer or sku: the three together are unique in a gallery.")
