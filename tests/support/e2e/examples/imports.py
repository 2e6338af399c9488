"""What the examples of imports must have made in Azure, to the last bit of each disk."""

from __future__ import annotations

from functools import cache

from tests.support.e2e import disks
from tests.support.e2e.examples.manifests import BLOBS
from tests.support.e2e.examples.run import PATIENCE, Applied, Json, example
from tests.support.e2e.examples.world import COMPUTE, OURS

_DEVELOPMENT = f"{OURS}/resourceGroups/rg-development/providers/Microsoft.Compute"
PREPARED, UNPREPARED, SPECIALIZED, DATA = (
    "debian-12-gen2",
    "debian-12-unprepared",
    "debian-12-specialized",
    "data-disk",
)


@cache
def digest(disk: str) -> str:
    """Return the SHA-256 of the VHD of one of our real disks."""
    return disks.file_sha256(disks.build(disk))


def has(applied: Applied, resource_id: str, disk: str, lun: int | None = None) -> None:
    """A resource in Azure has the content of one of our real disks."""
    assert applied.azure.digests(resource_id)[lun] == digest(disk), f"{resource_id} has another content than {disk}"


def uploaded(body: Json) -> Json:
    """Return the properties of a managed disk, which nobody can write to any more."""
    properties: Json = body["properties"]
    assert properties["diskState"] == "Unattached", "the disk is still open for writing"
    return properties


@example("03-import-os-url.yaml")
def os_disk(applied: Applied) -> None:
    """The disk was unpacked, checked, and is what the version's OS disk is; its staging disk is gone."""
    (found,) = applied.ready("03-import-os-url.yaml")
    status = found["status"]
    assert (status["disk"]["format"], status["disk"]["compression"]) == ("qcow2", "xz")
    assert status["disk"]["sha256"] == digest(PREPARED)
    assert status["prerequisites"]["failures"] == 0
    assert status["target"]["staging"] is True
    (version,) = applied.ready("05-version.yaml")
    has(applied, version["status"]["resourceId"], PREPARED)
    _gone(applied, status["target"]["resourceId"])


@example("04-import-data-pvc.yaml")
def data_disk(applied: Applied) -> None:
    """The disk was read where it lies, and is the version's data disk."""
    (found,) = applied.ready("04-import-data-pvc.yaml")
    assert found["status"]["disk"]["inPlace"] is True
    (version,) = applied.ready("05-version.yaml")
    has(applied, version["status"]["resourceId"], DATA, lun=0)
    tags = applied.body(version["status"]["resourceId"])["tags"]
    assert tags["gallery-operator.dev-sha256-os"] == digest(PREPARED)
    assert tags["gallery-operator.dev-sha256-data-0"] == digest(DATA)


@example("import-managed-disk.yaml")
def managed_disk(applied: Applied) -> None:
    """A managed disk with its name, storage and tags that can be attached."""
    body = applied.only("import-managed-disk.yaml")
    assert body["id"] == f"{COMPUTE}/disks/debian-12"
    assert (body["sku"]["name"], body["tags"]["team"]) == ("StandardSSD_LRS", "platform")
    assert uploaded(body)["osType"] == "Linux"
    assert body["tags"]["gallery-operator.dev-sha256"] == digest(PREPARED)
    has(applied, body["id"], PREPARED)


@example("import-signed-checksums.yaml")
def signed_checksums(applied: Applied) -> None:
    """The checksum came from the publisher's signed list, and the disk that it is of is in the blob."""
    (found,) = applied.ready("import-signed-checksums.yaml")
    assert found["status"]["disk"]["sourceChecksum"].startswith("sha256:")
    assert applied.azure.blob_digest(f"{BLOBS}vhds/debian-12-signed.vhd") == digest(PREPARED)


@example("import-from-blob.yaml")
def from_blob(applied: Applied) -> None:
    """The blob's disk is in the managed disk; as Azurite copies no pages, the bytes were sent, and status says why."""
    (found,) = applied.ready("import-from-blob.yaml")
    status = found["status"]
    assert status["disk"]["format"] == "vhd"
    assert status["disk"]["sourceEtag"]
    assert status["copyProblem"]
    assert status["sentBytes"] >= status["disk"]["dataBytes"]
    body = applied.only("import-from-blob.yaml")
    assert body["id"] == f"{COMPUTE}/disks/debian-12-from-blob"
    uploaded(body)
    has(applied, body["id"], PREPARED)


@example("import-page-blob.yaml")
def page_blob(applied: Applied) -> None:
    """A page blob in the account's container."""
    (found,) = applied.ready("import-page-blob.yaml")
    url = found["status"]["target"]["blobUrl"]
    assert url == f"{BLOBS}vhds/debian-12.vhd"
    assert applied.azure.blob_digest(url) == digest(PREPARED)


@example("import-verified.yaml")
def verified(applied: Applied) -> None:
    """All that is not zero was read back, and status says what it is."""
    (found,) = applied.ready("import-verified.yaml")
    status = found["status"]
    told = status["verification"]
    assert (told["readBack"], told["pagesListed"], told["repairedBytes"]) == ("Full", True, 0)
    assert told["readBackBytes"] == status["sentBytes"]
    assert told["sha256"] == digest(PREPARED)
    assert applied.azure.blob_digest(status["target"]["blobUrl"]) == digest(PREPARED)


@example("import-from-oci.yaml")
def from_registry(applied: Applied) -> None:
    """The artifact's only layer has become a managed disk."""
    (found,) = applied.ready("import-from-oci.yaml")
    assert (found["status"]["disk"]["format"], found["status"]["disk"]["compression"]) == ("qcow2", "xz")
    body = applied.only("import-from-oci.yaml")
    assert body["id"] == f"{COMPUTE}/disks/debian-12-from-registry"
    assert uploaded(body)["osType"] == "Linux"
    has(applied, body["id"], PREPARED)


@example("import-from-s3.yaml")
def from_bucket(applied: Applied) -> None:
    """The object, for which a signature was asked, has become a managed disk for data."""
    body = applied.only("import-from-s3.yaml")
    assert body["id"] == f"{COMPUTE}/disks/reference-data-from-bucket"
    assert "osType" not in uploaded(body)
    has(applied, body["id"], DATA)


@example("refused-image.yaml")
def refused(applied: Applied) -> None:
    """Nothing is in Azure, and status names what is wrong."""
    sandbox, name = applied.sandbox, "debian-12-unprepared"
    sandbox.not_ready("VhdImport", name, "PrerequisitesNotMet", stalled=True, seconds=PATIENCE)
    status = sandbox.status("VhdImport", name)
    errors = [each for each in status["prerequisites"]["findings"] if each["severity"] == "error"]
    assert len(errors) > 3
    assert all(each["message"] for each in errors)
    assert not status.get("sentBytes")
    tagged = applied.azure.resources(namespace=sandbox.namespace)
    owners = {(row["body"].get("tags") or {}).get("gallery-operator.dev-name") for row in tagged}
    assert name not in owners


@example("import-data-disks.yaml")
def data_disks(applied: Applied) -> None:
    """One disk is zone-redundant; the other is fast, in a zone, and encrypted with a key of one's own."""
    redundant, fast = applied.bodies("import-data-disks.yaml")
    assert redundant["sku"]["name"] == "Premium_ZRS"
    assert (fast["sku"]["name"], fast["zones"]) == ("PremiumV2_LRS", ["1"])
    encryption = uploaded(fast)["encryption"]
    assert (
        encryption["diskEncryptionSetId"]
        .lower()
        .endswith("/rg-keys/providers/microsoft.compute/diskencryptionsets/databases")
    )
    for body in (redundant, fast):
        assert "osType" not in uploaded(body)
        has(applied, body["id"], DATA)


@example("import-managed-disk-trusted-launch.yaml")
def trusted_launch(applied: Applied) -> None:
    """An OS disk of a specialized Trusted Launch machine, with its guest state."""
    (found,) = applied.ready("import-managed-disk-trusted-launch.yaml")
    body = applied.body(found["status"]["target"]["resourceId"])
    properties = uploaded(body)
    assert body["id"] == f"{COMPUTE}/disks/appliance-trusted"
    assert (body["sku"]["name"], body["zones"]) == ("Premium_LRS", ["1"])
    assert properties["securityProfile"]["securityType"] == "TrustedLaunch"
    assert properties["creationData"]["createOption"] == "UploadPreparedSecure"
    has(applied, body["id"], SPECIALIZED)


@example("import-managed-image.yaml")
def managed_image(applied: Applied) -> None:
    """A managed image of the OS disk and of the data disk that stays beside it."""
    image, data = applied.bodies("import-managed-image.yaml")
    assert image["id"] == f"{_DEVELOPMENT}/images/debian-12"
    storage = image["properties"]["storageProfile"]
    assert image["properties"]["hyperVGeneration"] == "V2"
    assert storage["osDisk"]["osState"] == "Generalized"
    assert storage["osDisk"]["storageAccountType"] == "Premium_LRS"
    (attached,) = storage["dataDisks"]
    assert (attached["lun"], attached["caching"]) == (0, "ReadOnly")
    has(applied, image["id"], PREPARED)
    has(applied, image["id"], DATA, lun=0)
    has(applied, data["id"], DATA)


@example("specialized-from-import.yaml")
def specialized(applied: Applied) -> None:
    """A specialized definition, a disk, and a version of it in two regions."""
    definition, disk, version = applied.bodies("specialized-from-import.yaml")
    assert definition["properties"]["osState"] == "Specialized"
    assert disk["id"] == f"{COMPUTE}/disks/appliance-os"
    uploaded(disk)
    assert version["id"] == f"{definition['id']}/versions/1.0.0"
    assert len(version["properties"]["publishingProfile"]["targetRegions"]) == 2
    has(applied, version["id"], SPECIALIZED)


def _gone(applied: Applied, resource_id: str) -> None:
    applied.sandbox.wait(f"{resource_id} to go", lambda: applied.azure.resource(resource_id) is None, seconds=60)
