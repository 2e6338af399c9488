"""What people do with the operator, from the first manifest to the end; also played while the operator is killed."""

from __future__ import annotations

from typing import Any

from tests.support.e2e import disks
from tests.support.e2e.kube import Json, condition
from tests.support.e2e.sandbox import ACCOUNT, CONTAINER, GROUP_NAME, KINDS, LOCATION, SMALL_MIB, THREE_REGIONS, Sandbox

from gallery_operator.contract import ChecksDocument
from gallery_operator.prerequisites.catalogue import rows

MIB = 1024 * 1024
_PATIENCE = 240.0


def scaffold(sandbox: Sandbox, **gallery: Any) -> None:
    """Make the gallery and the definition that most journeys begin with; waits for neither."""
    sandbox.gallery(**gallery)
    sandbox.definition()


def import_to_page_blob(sandbox: Sandbox, *, seconds: float = _PATIENCE) -> None:
    """A real Debian, compressed, from a URL with a checksum, to a page blob."""
    wanted = disks.digests()
    # With a checksum, TLS is not needed.
    source = {"url": {"url": f"{disks.HTTP}/disks/{disks.PREPARED}.qcow2.xz", "checksum": f"sha256:{wanted.download}"}}
    blob = {"storageAccountId": ACCOUNT, "container": CONTAINER, "blobName": f"{sandbox.namespace}.vhd"}
    sandbox.vhd_import("os", source, profile={}, destination={"pageBlob": blob})
    found = sandbox.ready("VhdImport", "os", seconds=seconds)
    status = found["status"]
    report = report_of(sandbox, "os")
    assert (report.verdict, report.distribution, report.container.format) == ("ok", "debian 12", "qcow2")
    assert status["disk"]["format"] == "qcow2"
    assert status["disk"]["compression"] == "xz"
    assert status["disk"]["sha256"] == wanted.prepared
    assert sandbox.azure.blob_digest(status["target"]["blobUrl"]) == wanted.prepared
    assert status["prerequisites"]["failures"] == 0
    assert "debian" in status["disk"]["distribution"].lower()
    assert status["sentBytes"] >= status["disk"]["dataBytes"] * 0.5
    assert status["sentBytes"] < status["disk"]["virtualSize"] * 0.9, "zeros were sent"
    nothing_temporary(sandbox)


def import_to_managed_disk(sandbox: Sandbox, *, seconds: float = _PATIENCE) -> None:
    """A data disk from a server with a private CA that wants a header, to a managed disk."""
    token = sandbox.canary("header")
    disks.accept_token(sandbox.kube, token)
    sandbox.secret("headers", {"X-Disk-Token": token})
    sandbox.credential()
    disk = {"resourceGroup": GROUP_NAME, "location": LOCATION, "diskName": sandbox.namespace, "tags": {"team": "e2e"}}
    sandbox.vhd_import(
        "data",
        sandbox.url(f"{disks.HTTPS}/private/{disks.DATA}.vhd", headersSecretRef={"name": "headers"}),
        diskRole="data",
        destination={"managedDisk": disk},
    )
    status = sandbox.ready("VhdImport", "data", seconds=seconds)["status"]
    body = sandbox.azure.resource(status["target"]["resourceId"])
    assert body is not None
    assert body["properties"]["diskState"] == "Unattached", "the disk is still open for writing"
    assert body["tags"]["team"] == "e2e"
    digest = disks.digests().data
    assert status["disk"]["sha256"] == digest
    assert set(sandbox.azure.digests(status["target"]["resourceId"]).values()) == {digest}
    nothing_temporary(sandbox)


def import_to_managed_image(sandbox: Sandbox, *, seconds: float = _PATIENCE) -> None:
    """A real Debian, compressed, and a data disk, to a managed image; what it was made from goes."""
    wanted = disks.digests()
    where = {"resourceGroup": GROUP_NAME, "location": LOCATION}
    data = {"lun": 0, "vhdImportRef": {"name": "data"}, "hostCaching": "ReadOnly"}
    source = {"url": {"url": f"{disks.HTTP}/disks/{disks.PREPARED}.qcow2.xz", "checksum": f"sha256:{wanted.download}"}}
    image = {**where, "imageName": sandbox.namespace, "dataDisks": [data]}
    sandbox.vhd_import("os", source, profile={}, destination={"managedImage": image})
    claim = sandbox.url(f"{disks.HTTPS}/disks/{disks.DATA}.vhd")
    disk = {**where, "diskName": f"{sandbox.namespace}-data"}
    sandbox.vhd_import("data", claim, diskRole="data", destination={"managedDisk": disk})
    target = sandbox.ready("VhdImport", "os", seconds=seconds)["status"]["target"]
    assert target["type"] == "ManagedImage"
    assert sandbox.azure.digests(target["resourceId"]) == {None: wanted.prepared, 0: wanted.data}
    left = sandbox.azure.resources("Microsoft.Compute/disks", namespace=sandbox.namespace)
    assert [each["id"].rsplit("/", 1)[1] for each in left] == [f"{sandbox.namespace}-data"]
    nothing_temporary(sandbox)


def image_from_claims(sandbox: Sandbox, *, real: bool, seconds: float = _PATIENCE) -> None:
    """An OS disk and a data disk from claims become a version in three regions.

    Args:
        sandbox: Where.
        real: Take a real Debian, and check it; else made-up disks of a few MiB.
        seconds: How long each step may take.
    """
    sandbox.claim("build-output")
    if real:
        sandbox.fill("build-output", f"{disks.HTTP}/disks/{disks.PREPARED}.vhd", "images/os.vhd")
        sandbox.fill("build-output", f"{disks.HTTP}/disks/{disks.DATA}.vhd", "images/data.vhd")
    else:
        sandbox.fill("build-output", disks.random_url(SMALL_MIB, 11), "images/os.vhd")
        sandbox.fill("build-output", disks.random_url(SMALL_MIB, 12), "images/data.vhd")
    checks = {} if real else {"prerequisites": {"policy": "Warn", "onUnknown": "Allow"}}
    # In the wrong order on purpose: each object waits for what it needs.
    data = {"lun": 3, "vhdImportRef": {"name": "data"}, "hostCaching": "ReadOnly"}
    disks_of_version = {"osDisk": {"vhdImportRef": {"name": "os"}}, "dataDisks": [data]}
    regions = [
        {"name": "West Europe", "regionalReplicaCount": 2},
        {"name": "northeurope"},
        {"name": "eastus2", "storageAccountType": "Premium_LRS", "excludeFromLatest": True},
    ]
    sandbox.version("v1", "12.7.1", source=disks_of_version, targetRegions=regions)
    claim = {"pvc": {"claimName": "build-output", "path": "images/os.vhd"}}
    sandbox.vhd_import("os", claim, **checks)
    claim = {"pvc": {"claimName": "build-output", "path": "images/data.vhd"}}
    sandbox.vhd_import("data", claim, diskRole="data", **checks)
    sandbox.definition()
    sandbox.gallery()
    found = sandbox.ready("ImageVersion", "v1", seconds=seconds)
    assert found["status"]["regionsReady"] == "3/3"
    assert {each["state"] for each in found["status"]["regions"]} == {"Completed"}
    for name in ("os", "data"):
        sandbox.ready("VhdImport", name)
        assert sandbox.status("VhdImport", name)["disk"]["inPlace"] is True
    digests = sandbox.azure.digests(sandbox.version_id("12.7.1"))
    if real:
        wanted = {None: disks.digests().prepared, 3: disks.digests().data}
    else:
        wanted = {None: disks.random_sha256(SMALL_MIB, 11), 3: disks.random_sha256(SMALL_MIB, 12)}
    assert digests == wanted
    assert regions_in_azure(sandbox, "12.7.1") == {"westeurope": 2, "northeurope": 1, "eastus2": 1}
    # The staging disks have done their work.
    sandbox.wait(
        "the staging disks to be removed",
        lambda: not sandbox.azure.resources("Microsoft.Compute/disks", namespace=sandbox.namespace),
        seconds=60,
    )


def small_image(sandbox: Sandbox, regions: tuple[str, ...] = (LOCATION,), **version: Any) -> None:
    """A version of a made-up disk; returns when all four objects are Ready."""
    scaffold(sandbox)
    sandbox.small_import("os", 7)
    sandbox.version("v1", "1.0.0", regions, **version)
    sandbox.ready("ImageVersion", "v1", seconds=_PATIENCE)
    sandbox.ready("VhdImport", "os")


def change_regions(sandbox: Sandbox) -> None:
    """A region is added, one gets more replicas, one is removed, and the same again in one go."""
    small_image(sandbox)

    def ask(*regions: Json) -> None:
        sandbox.kube.patch("ImageVersion", sandbox.namespace, "v1", {"spec": {"targetRegions": list(regions)}})
        wanted = {region["name"]: region.get("regionalReplicaCount", 1) for region in regions}
        sandbox.ready("ImageVersion", "v1", seconds=_PATIENCE)
        assert regions_in_azure(sandbox, "1.0.0") == wanted
        assert sandbox.status("ImageVersion", "v1")["regionsReady"] == f"{len(wanted)}/{len(wanted)}"

    ask({"name": LOCATION}, {"name": "northeurope"})
    ask({"name": LOCATION, "regionalReplicaCount": 3}, {"name": "northeurope"})
    ask({"name": LOCATION, "regionalReplicaCount": 3})
    ask({"name": LOCATION}, {"name": "eastus2", "regionalReplicaCount": 2}, {"name": "uksouth"})


def delete_in_order(sandbox: Sandbox, order: tuple[str, ...]) -> None:
    """All four objects are deleted without waiting in between, in an order of their letters; nothing is left.

    Args:
        sandbox: Where.
        order: Kinds; ``Namespace`` alone removes everything at once.
    """
    small_image(sandbox, THREE_REGIONS[:2])
    blob = {"storageAccountId": ACCOUNT, "container": CONTAINER, "blobName": f"{sandbox.namespace}.vhd"}
    sandbox.small_import("blob", 8, destination={"pageBlob": blob})
    url = sandbox.ready("VhdImport", "blob")["status"]["target"]["blobUrl"]
    sandbox.azure.blob_digest(url)
    assert sandbox.left_in_azure()
    what = {"Gallery": ["platform"], "GalleryImageDefinition": ["debian-12"], "ImageVersion": ["v1"]}
    what["VhdImport"] = ["os", "blob"]
    if order == ("Namespace",):
        sandbox.kube.delete("Namespace", None, sandbox.namespace)
    else:
        assert sorted(order) == sorted(KINDS)
        for kind in order:
            for name in what[kind]:
                sandbox.delete(kind, name)
    sandbox.gone(*((kind, name) for kind, items in what.items() for name in items), seconds=_PATIENCE)
    sandbox.nothing_left()
    assert not blob_exists(sandbox, url), "the page blob is left"
    nothing_temporary(sandbox)


def managed(sandbox: Sandbox) -> Json:
    """Return the part of an import's spec that sends it to a managed disk named after the namespace."""
    disk = {"resourceGroup": GROUP_NAME, "location": LOCATION, "diskName": sandbox.namespace}
    return {"destination": {"managedDisk": disk}}


def nothing_temporary(sandbox: Sandbox) -> None:
    """No scratch claim and no Secret with a SAS is left."""

    def look() -> bool:
        claims = [item["metadata"]["name"] for item in sandbox.kube.list("PersistentVolumeClaim", sandbox.namespace)]
        selector = "app.kubernetes.io/managed-by=gallery-operator"
        return not [name for name in claims if "scratch" in name] and not sandbox.kube.list(
            "Secret", sandbox.namespace, selector
        )

    sandbox.wait("scratch claims and SAS Secrets to be removed", look, seconds=60)


def blob_exists(sandbox: Sandbox, url: str) -> bool:
    """Whether a blob is there."""
    from kubernetes.client import ApiException

    try:
        sandbox.azure.blob_digest(url)
    except ApiException as error:
        if error.status in (400, 404):
            return False
        raise
    return True


def regions_in_azure(sandbox: Sandbox, version: str) -> dict[str, int]:
    """Return the replicas by region of a version in the scenario's gallery."""
    body = sandbox.azure.resource(sandbox.version_id(version))
    assert body is not None, f"version {version} is not in Azure"
    regions = body["properties"]["publishingProfile"]["targetRegions"]
    return {each["name"].lower().replace(" ", ""): each["regionalReplicaCount"] for each in regions}


def events(sandbox: Sandbox, kind: str, name: str) -> list[str]:
    """Return the reasons of the events about an object."""
    items = sandbox.kube.list("Event", sandbox.namespace)
    about = [item for item in items if item["involvedObject"].get("kind") == kind]
    return [item["reason"] for item in about if item["involvedObject"].get("name") == name]


def reason(document: Json) -> str:
    """Return the reason of an object's Ready condition."""
    return str(condition(document).get("reason"))


def report_of(sandbox: Sandbox, name: str) -> ChecksDocument:
    """The whole report of an import's checks; every row of the catalogue is in it, for programs and for people."""
    status = sandbox.status("VhdImport", name)["prerequisites"]
    assert "reportRef" in status, status.get("reportProblem")
    body = sandbox.get("ConfigMap", status["reportRef"]["name"])
    report = ChecksDocument.model_validate_json(body["data"]["report.json"])
    assert report.image == f"{sandbox.namespace}/{name}"
    assert [each.id for each in report.results] == [row.id for row in rows()]
    assert all(row.id in body["data"]["report.txt"] for row in rows())
    assert (report.summary.errors, report.summary.passed) == (status["failures"], status["passed"])
    return report
