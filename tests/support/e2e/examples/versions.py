"""What the examples of versions must have made in Azure."""

from __future__ import annotations

from tests.support.e2e import journeys
from tests.support.e2e.examples.imports import DATA, PREPARED, has
from tests.support.e2e.examples.manifests import BLOBS
from tests.support.e2e.examples.run import Applied, Json, example
from tests.support.e2e.examples.world import BUILDS, COMMUNITY, COMPUTE, der

_PLATFORM = f"{COMPUTE}/galleries/platform/images"


def publishing(body: Json) -> Json:
    """Return what Azure knows about a version's publishing."""
    found: Json = body["properties"]["publishingProfile"]
    return found


def storage(body: Json) -> Json:
    """Return what Azure knows about a version's disks."""
    found: Json = body["properties"]["storageProfile"]
    return found


def regions(body: Json) -> dict[str, tuple[int, str]]:
    """Return replicas and storage by region of a version in Azure."""
    rows = publishing(body)["targetRegions"]
    return {_plain(each["name"]): (each["regionalReplicaCount"], each["storageAccountType"]) for each in rows}


def target(body: Json, region: str) -> Json:
    """Return a region of a version in Azure."""
    found: Json = next(each for each in publishing(body)["targetRegions"] if _plain(each["name"]) == region)
    return found


def _plain(region: str) -> str:
    return region.replace(" ", "").lower()


def _encryption(body: Json, region: str) -> tuple[str, dict[int, str]]:
    """Return the names of the encryption sets of a region: of the OS disk, and of data disks by LUN."""
    found = target(body, region)["encryption"]
    data = {each["lun"]: _last(each["diskEncryptionSetId"]) for each in found.get("dataDiskImages") or []}
    return _last(found["osDiskImage"]["diskEncryptionSetId"]), data


def _last(resource_id: str) -> str:
    return resource_id.rsplit("/", 1)[-1]


@example("05-version.yaml")
def version(applied: Applied) -> None:
    """Three regions, one with two zone-redundant replicas."""
    (found,) = applied.ready("05-version.yaml")
    body = applied.body(found["status"]["resourceId"])
    assert body["id"] == f"{_PLATFORM}/debian-12/versions/12.7.1"
    assert regions(body) == {
        "westeurope": (2, "Standard_ZRS"),
        "northeurope": (1, "Standard_LRS"),
        "eastus2": (1, "Standard_LRS"),
    }
    assert found["status"]["regionsReady"] == "3/3"
    assert [each["lun"] for each in storage(body)["dataDiskImages"]] == [0]


@example("version-import-template.yaml")
def import_template(applied: Applied) -> None:
    """The version has made its import, and has its disk."""
    body = applied.only("version-import-template.yaml")
    assert applied.sandbox.get("VhdImport", "debian-12-7-2-os")["metadata"]["ownerReferences"]
    assert set(regions(body)) == {"westeurope", "northeurope"}
    has(applied, body["id"], PREPARED)


@example("version-gen1.yaml")
def gen1(applied: Applied) -> None:
    """A disk that boots by BIOS, checked for that, is a version of a generation 1 definition."""
    body = applied.only("version-gen1.yaml")
    definition, number = body["id"].split("/versions/")
    assert (applied.body(definition)["properties"]["hyperVGeneration"], number) == ("V1", "12.7.1")
    report = journeys.report_of(applied.sandbox, "debian-12-gen1-12-7-1-os")
    assert (report.verdict, report.checked_against.hyper_v_generation) == ("ok", "V1")
    has(applied, body["id"], "debian-12-gen1-mbr")


@example("version-data-disks-mixed.yaml")
def mixed(applied: Applied) -> None:
    """Five disks, each from another kind of source."""
    body = applied.only("version-data-disks-mixed.yaml")
    data = {each["lun"]: each for each in storage(body)["dataDiskImages"]}
    assert set(data) == {0, 1, 2, 10}
    assert data[1]["source"]["id"] == f"{COMPUTE}/disks/tools"
    assert data[1]["hostCaching"] == "ReadOnly"
    assert data[2]["source"]["id"] == f"{COMPUTE}/snapshots/models"
    assert data[10]["source"]["uri"] == f"{BLOBS}vhds/licences.vhd"
    has(applied, body["id"], PREPARED)
    has(applied, body["id"], DATA, lun=0)


@example("version-from-disk.yaml")
def from_disk(applied: Applied) -> None:
    """The version is made of the disk that import-managed-disk.yaml has left."""
    body = applied.only("version-from-disk.yaml")
    assert storage(body)["osDiskImage"]["source"]["id"] == f"{COMPUTE}/disks/debian-12"
    assert storage(body)["osDiskImage"]["hostCaching"] == "ReadWrite"
    has(applied, body["id"], PREPARED)


@example("version-shallow.yaml")
def shallow(applied: Applied) -> None:
    """A shallow version of the same disk, which does not become the latest."""
    body = applied.only("version-shallow.yaml")
    assert publishing(body)["replicationMode"] == "Shallow"
    assert publishing(body)["excludeFromLatest"] is True
    assert storage(body)["osDiskImage"]["source"]["id"] == f"{COMPUTE}/disks/debian-12"


@example("version-from-snapshot.yaml")
def from_snapshot(applied: Applied) -> None:
    """A version of a snapshot, not the latest, with an end of life."""
    body = applied.only("version-from-snapshot.yaml")
    assert storage(body)["osDiskImage"]["source"]["id"] == f"{COMPUTE}/snapshots/debian-12"
    assert publishing(body)["excludeFromLatest"] is True
    assert publishing(body)["endOfLifeDate"].startswith("2028-06-30")


@example("version-from-managed-image.yaml")
def from_managed_image(applied: Applied) -> None:
    """The image's data disk came along."""
    body = applied.only("version-from-managed-image.yaml")
    assert storage(body)["source"]["id"] == f"{COMPUTE}/images/debian-12"
    assert [each["lun"] for each in storage(body)["dataDiskImages"]] == [4]


@example("version-from-vm.yaml")
def from_machine(applied: Applied) -> None:
    """A version of a machine."""
    body = applied.only("version-from-vm.yaml")
    assert storage(body)["source"]["virtualMachineId"] == f"{COMPUTE}/virtualMachines/builder"


@example("version-from-version.yaml")
def promoted(applied: Applied) -> None:
    """One version of a gallery in another subscription, one of an object beside it."""
    other, same = applied.bodies("version-from-version.yaml")
    assert storage(other)["source"]["id"] == f"{BUILDS}/galleries/builds/images/debian-12/versions/12.7.1"
    assert storage(same)["source"]["id"] == f"{_PLATFORM}/debian-12/versions/12.7.1"
    has(applied, same["id"], PREPARED)
    has(applied, same["id"], DATA, lun=0)


@example("version-from-community.yaml")
def from_community(applied: Applied) -> None:
    """A version of somebody's public one."""
    body = applied.only("version-from-community.yaml")
    wanted = f"/CommunityGalleries/{COMMUNITY}/Images/debian-12/Versions/12.3.0"
    assert storage(body)["source"]["communityGalleryImageId"] == wanted


@example("version-zrs-and-replicas.yaml")
def zone_redundant(applied: Applied) -> None:
    """Zone-redundant where there are zones, with the replicas that each region asks for."""
    body = applied.only("version-zrs-and-replicas.yaml")
    assert regions(body) == {
        "westeurope": (5, "Standard_ZRS"),
        "northeurope": (2, "Standard_ZRS"),
        "westus": (2, "Standard_LRS"),
        "eastus2": (2, "Standard_LRS"),
    }
    hidden = {_plain(each["name"]) for each in publishing(body)["targetRegions"] if each.get("excludeFromLatest")}
    assert hidden == {"eastus2"}


@example("version-premium.yaml")
def premium(applied: Applied) -> None:
    """Premium storage, a region that differs, and a set of direct drive replicas."""
    body = applied.only("version-premium.yaml")
    assert regions(body) == {"westeurope": (1, "Premium_LRS"), "northeurope": (1, "Standard_ZRS")}
    (extra,) = target(body, "westeurope")["additionalReplicaSets"]
    assert (extra["storageAccountType"], extra["regionalReplicaCount"]) == ("PremiumV2_LRS", 2)


@example("version-encrypted.yaml")
def encrypted(applied: Applied) -> None:
    """Each region encrypts both disks with its own set."""
    body = applied.only("version-encrypted.yaml")
    for region in ("westeurope", "northeurope"):
        assert _encryption(body, region) == (f"images-{region}", {0: f"images-{region}"})


@example("version-confidential.yaml")
def confidential(applied: Applied) -> None:
    """A confidential definition, and a version whose OS disk is encrypted with a key of one's own."""
    definition, body = applied.bodies("version-confidential.yaml")
    assert {"name": "SecurityType", "value": "ConfidentialVm"} in definition["properties"]["features"]
    profile = target(body, "westeurope")["encryption"]["osDiskImage"]["securityProfile"]
    assert profile["confidentialVMEncryptionType"] == "EncryptedWithCmk"
    assert _last(profile["secureVMDiskEncryptionSetId"]) == "confidential-westeurope"


@example("version-edge-zone.yaml")
def edge_zone(applied: Applied) -> None:
    """A replica in an edge zone of a region."""
    body = applied.only("version-edge-zone.yaml")
    (zone,) = publishing(body)["targetExtendedLocations"]
    assert _plain(zone["name"]) == "westus"
    assert zone["extendedLocation"]["name"] == "microsoftlosangeles1"
    assert (zone["extendedLocationReplicaCount"], zone["storageAccountType"]) == (1, "StandardSSD_LRS")


@example("version-uefi-keys.yaml")
def uefi_keys(applied: Applied) -> None:
    """The certificates of the Secret and the ConfigMap are the version's keys, beside Azure's."""
    body = applied.only("version-uefi-keys.yaml")
    settings = applied.internal(body["id"])["uefi"]
    assert settings["signatureTemplateNames"] == ["MicrosoftUefiCertificateAuthorityTemplate"]
    signatures = settings["additionalSignatures"]
    key = applied.sandbox.secret_text("uefi-keys", "pk.pem")
    boot = applied.sandbox.get("ConfigMap", "uefi-keys")["data"]["db.pem"]
    assert signatures["pk"] == {"type": "x509", "value": [der(key)]}
    assert signatures["db"] == [{"type": "x509", "value": [der(boot)]}]
    assert [each["type"] for each in signatures["dbx"]] == ["sha256"]
