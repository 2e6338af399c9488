"""What the examples of image definitions must have made in Azure."""

from __future__ import annotations

from tests.support.e2e.examples.run import Applied, Json, example
from tests.support.e2e.examples.world import COMPUTE


def features(body: Json) -> dict[str, str]:
    """Return the features of a definition in Azure."""
    return {each["name"]: each["value"] for each in body["properties"].get("features") or []}


def shape(body: Json) -> tuple[str, str, str]:
    """Return state, generation and architecture of a definition in Azure."""
    properties = body["properties"]
    return properties["osState"], properties["hyperVGeneration"], properties["architecture"]


@example("02-definition.yaml")
def definition(applied: Applied) -> None:
    """A generalized Gen2 image with its identifier, recommendations and features."""
    body = applied.only("02-definition.yaml")
    properties = body["properties"]
    assert shape(body) == ("Generalized", "V2", "x64")
    assert properties["identifier"] == {"publisher": "platform", "offer": "debian", "sku": "12-gen2"}
    assert properties["recommended"] == {"vCPUs": {"min": 1, "max": 64}, "memory": {"min": 1, "max": 256}}
    found = features(body)
    assert {each.strip() for each in found["DiskControllerTypes"].split(",")} == {"SCSI", "NVMe"}
    assert found["IsAcceleratedNetworkSupported"].lower() == "true"


@example("definition-gen1.yaml")
def gen1(applied: Applied) -> None:
    """A generation 1 image."""
    assert shape(applied.only("definition-gen1.yaml")) == ("Generalized", "V1", "x64")


@example("definition-arm64.yaml")
def arm64(applied: Applied) -> None:
    """An Arm64 image, which is of generation 2."""
    assert shape(applied.only("definition-arm64.yaml")) == ("Generalized", "V2", "Arm64")


@example("definition-in-external-gallery.yaml")
def external(applied: Applied) -> None:
    """The definition is in a gallery that is not ours, and the gallery carries no mark of ours."""
    body = applied.only("definition-in-external-gallery.yaml")
    gallery = f"{COMPUTE}/galleries/terraformed"
    assert body["id"] == f"{gallery}/images/debian-12-arm64"
    assert not applied.body(gallery).get("tags")


@example("definition-trusted-launch.yaml")
def trusted_launch(applied: Applied) -> None:
    """Machines of the image may have secure boot and a TPM."""
    body = applied.only("definition-trusted-launch.yaml")
    assert shape(body) == ("Generalized", "V2", "x64")
    assert features(body)["SecurityType"] == "TrustedLaunchSupported"


@example("definition-full.yaml")
def full(applied: Applied) -> None:
    """Every property is in Azure under the name that the example gives."""
    body = applied.only("definition-full.yaml")
    properties = body["properties"]
    assert body["id"] == f"{COMPUTE}/galleries/platform/images/debian-12.marketplace"
    assert shape(body) == ("Specialized", "V2", "x64")
    assert properties["purchasePlan"] == {"publisher": "platform", "product": "debian", "name": "12-gen2"}
    assert properties["eula"] == "https://example.com/debian/eula"
    assert properties["privacyStatementUri"] == "https://example.com/debian/privacy"
    assert properties["releaseNoteUri"] == "https://example.com/debian/12"
    assert properties["endOfLifeDate"].startswith("2028-06-30T00:00:00")
    assert properties["recommended"] == {"vCPUs": {"min": 2, "max": 32}, "memory": {"min": 4, "max": 128}}
    assert properties["disallowed"] == {"diskTypes": ["Standard_LRS"]}
    assert features(body)["IsHibernateSupported"].lower() == "false"
    starts = {each["name"]: each.get("startsAtVersion") for each in properties["features"]}
    assert starts["SecurityType"] == "12.8.0"
    assert body["tags"]["costCenter"] == "42"
