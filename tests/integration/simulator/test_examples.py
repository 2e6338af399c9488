"""Microsoft's published examples: what they send is accepted, what they answer is what the simulator answers.

The examples are not part of the repository. `GALLERY_OPERATOR_AZURE_EXAMPLES` names their folder (with one folder a
version and one a kind below it); without it, and without the folder beside the checkout, these tests are skipped.
Examples name things that they do not make: those are put into the simulator first.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure_simulator.replaying.compare import compare
from azure_simulator.replaying.interaction import Answer, Interaction
from azure_simulator.replaying.presuppose import Presupposition
from azure_simulator.replaying.stage import Stage
from tests.support.azure import ROOT

FOLDER = Path(
    os.environ.get("GALLERY_OPERATOR_AZURE_EXAMPLES")
    or ROOT.parent / "shared" / "data" / "azure-specs" / "examples-current"
)
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/myResourceGroup"
COMPUTE = f"{GROUP}/providers/Microsoft.Compute"
GALLERY_API, DISK_API, IMAGE_API = "2026-03-03", "2026-03-02", "2026-04-01"
KINDS = {
    "Galleries": ("galleries/{}", GALLERY_API),
    "GalleryImages": ("galleries/{}/images/{}", GALLERY_API),
    "GalleryImageVersions": ("galleries/{}/images/{}/versions/{}", GALLERY_API),
    "GallerySharingProfile": ("galleries/{}/share", GALLERY_API),
    "SoftDeletedResource": ("galleries/{}/softDeletedArtifactTypes/{}/artifacts/{}/versions", GALLERY_API),
    "Disks": ("disks/{}", DISK_API),
    "Snapshots": ("snapshots/{}", DISK_API),
    "Images": ("images/{}", IMAGE_API),
}
METHODS = {
    "BeginCreateOrUpdate": "PUT",
    "BeginUpdate": "PATCH",
    "BeginDelete": "DELETE",
    "Get": "GET",
    "BeginGrantAccess": "POST beginGetAccess",
    "BeginRevokeAccess": "POST endGetAccess",
    "BeginUpdateImmutabilityPolicy": "POST updateImmutabilityPolicy",
    "BeginUpdateImmutabilityPolicyLock": "POST updateImmutabilityPolicy",
}
MARKET = "made from an image of the marketplace, which is not simulated"
SAN = "made from an Elastic SAN, which is not simulated"
ONE_BLOB = "one blob for the OS disk and a data disk, encrypted in one of two regions: the error table forbids both"

# Examples that are not accepted, each with the reason.
REFUSED = {
    "Disk_Create_ConfidentialVMSupportedDiskEncryptedWithCMK": MARKET,
    "Disk_Create_FromAPlatformImage": MARKET,
    "Disk_Create_WithSecurityProfile": MARKET,
    "Disk_Create_FromAnElasticSanVolumeSnapshot": SAN,
    "Snapshot_Create_FromAnElasticSanVolumeSnapshot": SAN,
    "GalleryImageVersion_Create_WithVHD": ONE_BLOB,
    "GalleryImageVersion_Create_WithVHD_UefiSettings": ONE_BLOB,
    "Disk_Create_PerformancePlus": "an upload without uploadSizeBytes, which the model says is needed",
    "Snapshot_UpdateImmutabilityPolicy": "immutability policies are not simulated",
    "Snapshot_UpdateImmutabilityPolicyLock": "immutability policies are not simulated",
    "Snapshot_Create_FromAnExistingSnapshotInDifferentRegion": "copies across regions (CopyStart) are not simulated",
    "Snapshot_Create_EnhancedProvisionedBandwidthCopySpeed": "copies across regions (CopyStart) are not simulated",
}
# Examples that are changed before they are sent, each with the reason.
UNENCRYPTED = {
    "GalleryImageVersion_Create_WithSnapshotsAsSource": "it encrypts a disk in one of two regions; the error table",
    "GalleryImageVersion_Create_WithCommunityImageVersionAsSource": "the error table: such sources are not encrypted",
    "GalleryImageVersion_Create_WithImageVersionAsSource": "the error table: such sources are not encrypted",
}
# Places in answers where an example has what no request could lead to.
INVENTED = re.compile(
    r".*\.(provisioningState|policyViolations|reportedForPolicyViolation|nextLink|location|id|publishedDate|tenantId"
    r"|principalId|uniqueName|uniqueId|publicNetworkAccess|zoneResilient|supportedCapabilities|tier|targetExtendedLocations"
    r"|communityGalleryImageId|sharedGalleryImageId)"
    r"|.*\.(galleryImageReference|source)\.id"  # the example's is not there, another was sent
    r"|body\.properties\.storageProfile\.(dataDiskImages|osDiskImage).*"  # sizes, which come once a version is there
)


def examples() -> list[Path]:
    return sorted(path for path in FOLDER.glob("*/*Examples/*.json") if _client(path) in KINDS)


def _client(path: Path) -> str:
    return str(json.loads(path.read_text())["client"])


def _texts(value: Any) -> Any:
    """Return a document with its placeholders filled in and its misspelt ids mended."""
    text = json.dumps(value)
    text = re.sub(r"\{subscription-?[iI]d\}", SUBSCRIPTION, text)
    text = text.replace("{storageAccount}", "gallerysourcencus").replace("{versionName}", "1.0.0")
    text = re.sub(r"\{resourceGroup(Name)?\}", "myResourceGroup", text)
    text = re.sub(r"\{(?:existing-)?([A-Za-z-]+)\}", lambda found: "my" + re.sub(r"\W", "", found[1]), text)
    text = text.replace("/diskEncryptionSet/", "/diskEncryptionSets/")
    text = re.sub(r'"subscriptions/', '"/subscriptions/', text)
    return json.loads(text)


def _without_encryption(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_encryption(item) for key, item in value.items() if key != "encryption"}
    return [_without_encryption(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage([SUBSCRIPTION]) as found:
        found.send("PUT", f"{GROUP}?api-version=2024-03-01", {"location": "westus"})
        yield found


def settle(stage: Stage, answer: Answer) -> Answer:
    stage.skip(36000)
    return answer


def prepare(stage: Stage, name: str, location: str, client: str, method: str) -> None:
    """Make what examples of galleries take for granted: sources with an OS disk and data disks, and other galleries."""
    if client in ("Disks", "Snapshots", "Images"):
        return
    disks = [{"lun": lun, "sizeGB": 10} for lun in (None, 0, 1)]
    plain = {"location": location}
    for image in ("myimageName", "myImage"):
        stage.put({**plain, "id": f"{COMPUTE}/images/{image}"}, disks)
    for machine in ("myvmName", "myVM"):
        stage.put({**plain, "id": f"{COMPUTE}/virtualMachines/{machine}"}, disks)
    feature = {"name": "SecurityType", "value": "Standard"}
    if "CVM" in name:
        feature["value"] = "ConfidentialVmSupported"
    if "Uefi" in name:
        feature["value"] = "TrustedLaunchSupported"
    definition = {
        "osType": "Windows",
        "osState": "Generalized",
        "hyperVGeneration": "V2" if feature["value"] != "Standard" or "Features" in name else "V1",
        "identifier": {"publisher": "myPublisherName", "offer": "myOfferName", "sku": "mySkuName"},
        "features": [feature],
    }
    info = {"eula": "e", "publicNamePrefix": "prefix", "publisherContact": "c@example.com", "publisherUri": "u"}
    sharing: dict[str, Any] = {}
    if name == "Gallery_AddToSharingProfile":
        sharing = {"sharingProfile": {"permissions": "Groups"}}
    if name in ("Gallery_EnableCommunityGallery", "CommunityGallery_Get"):
        sharing = {"sharingProfile": {"permissions": "Community", "communityGalleryInfo": info}}
    if client == "Galleries" and method == "PUT":
        return
    if "RestoreSoftDeleted" in name or "SoftDeleted" in name:
        sharing = {"softDeletePolicy": {"isSoftDeleteEnabled": True}}
    for gallery in ("myGalleryName", "myGallery"):
        path = f"{COMPUTE}/galleries/{gallery}"
        body = {**plain, "properties": sharing}
        assert settle(stage, stage.send("PUT", f"{path}?api-version={GALLERY_API}", body)).status == 201
        if (client == "Galleries" and method == "DELETE") or (client == "GalleryImages" and method == "PUT"):
            continue
        image = f"{path}/images/myGalleryImageName?api-version={GALLERY_API}"
        body = {**plain, "properties": definition}
        assert settle(stage, stage.send("PUT", image, body)).status == 201


def prior(stage: Stage, path: Path, method: str, url: str, document: dict[str, Any]) -> None:
    """Make what an example changes, reads or removes."""
    client, name, where = document["client"], path.stem, f"{url}?api-version={KINDS[document['client']][1]}"
    if client == "GalleryImageVersions" and method != "PUT":
        image = {"source": {"id": f"{COMPUTE}/images/myimageName"}}
        regions = [{"name": "West US"}, {"name": "East US", "storageAccountType": "Standard_ZRS"}]
        body = {
            "location": "West US",
            "properties": {"storageProfile": image, "publishingProfile": {"targetRegions": regions}},
        }
        assert settle(stage, stage.send("PUT", where, body)).status == 201
        if "RestoreSoftDeleted" in name:
            assert settle(stage, stage.send("DELETE", where, None)).status == 202
    if client in ("Disks", "Snapshots") and (method != "PUT" or name == "Disk_CreateOrUpdate_BurstingEnabled"):
        data: dict[str, Any] = {"createOption": "Empty"}
        sent = next((item for item in document["args"] if isinstance(item, dict)), {}).get("properties") or {}
        size = sent.get("diskSizeGB", 1024)
        body = {"location": "West US", "properties": {"creationData": data, "diskSizeGB": size}}
        if "VMGuestState" in name:
            stage.make_blob("https://mystorageaccount.blob.core.windows.net/osimages/osimage.vhd", 1)
            stage.make_blob("https://mystorageaccount.blob.core.windows.net/osimages/vmgs.vhd", 1)
            data.update(
                createOption="ImportSecure",
                sourceUri="https://mystorageaccount.blob.core.windows.net/osimages/osimage.vhd",
                securityDataUri="https://mystorageaccount.blob.core.windows.net/osimages/vmgs.vhd",
            )
            body["properties"]["securityProfile"] = {"securityType": "TrustedLaunch"}
        assert settle(stage, stage.send("PUT", where, body)).status == 202
    if client == "Images" and method != "PUT":
        body = {
            "location": "West US",
            "properties": {"sourceVirtualMachine": {"id": f"{COMPUTE}/virtualMachines/myVM"}},
        }
        disk = {"id": f"{COMPUTE}/disks/os"}
        stage.put({**disk, "location": "westus", "properties": {"diskState": "Attached"}}, [{"sizeGB": 10}])
        storage = {"osDisk": {"osType": "Linux", "managedDisk": disk}}
        machine = {"id": f"{COMPUTE}/virtualMachines/myVM", "location": "westus"}
        stage.put({**machine, "properties": {"storageProfile": storage}})
        assert settle(stage, stage.send("PUT", where, body)).status == 201


def request_of(path: Path) -> tuple[str, str, Any, dict[str, Any]]:
    """Return method, URL without query, body and the whole document of an example."""
    document = _texts(json.loads(path.read_text()))
    names = [item for item in document["args"] if isinstance(item, str)]
    bodies = [item for item in document["args"] if isinstance(item, dict)]
    template, _ = KINDS[document["client"]]
    operation = document["operation"]
    url = f"{COMPUTE}/{template.format(*names[1:], *['x'] * 4)}"
    if operation.startswith("New"):
        url = f"{COMPUTE}/{template.format(*(names[1:] + ['x'] * 4))}"
        if document["client"] != "SoftDeletedResource":
            url = url.rsplit("/", 1)[0]
        if not names:
            url = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/{template.split('/')[0]}"
        return "GET", url, None, document
    method = "POST" if document["client"] == "GallerySharingProfile" else METHODS.get(operation, operation)
    if method.startswith("POST "):
        url, method = f"{url}/{method.removeprefix('POST ')}", "POST"
    body = bodies[0] if bodies and method in ("PUT", "PATCH", "POST") else None
    if path.stem in UNENCRYPTED:
        body = _without_encryption(body)
    return method, url, body, document


@pytest.mark.skipif(
    not FOLDER.exists(), reason="the published examples are not here; set GALLERY_OPERATOR_AZURE_EXAMPLES"
)
@pytest.mark.parametrize("path", examples(), ids=lambda path: path.stem)
def test_example(stage: Stage, path: Path) -> None:
    method, url, body, document = request_of(path)
    location = (body or {}).get("location") or "West US"
    prepare(stage, path.stem, location, document["client"], method)
    root = re.sub("/(beginGetAccess|endGetAccess|updateImmutabilityPolicy)$", "", url)
    if not document["operation"].startswith("New"):
        prior(stage, path, method, root, document)
    example = document["responses"][0] if document["responses"] else None
    query = f"?api-version={KINDS[document['client']][1]}"
    options = next((item for item in document["args"][::-1] if isinstance(item, dict)), {})
    if method in ("GET", "DELETE"):
        query += f"&$expand={options['Expand']}" if options.get("Expand") else ""
        query += f"&$select={options['Select']}" if options.get("Select") else ""
        query += "&bypassSoftDelete=true" if options.get("BypassSoftDelete") else ""
    item = Interaction(1, method, url + query, body, 200, {}, example)
    Presupposition(stage, [item] if method == "PUT" else []).before(item)
    if isinstance(body, dict) and "location" not in body and method == "PUT":
        body = {**body, "location": "West US"}
    if re.search("communityGallery|sharedGallery|/images/[^/]+/versions/", json.dumps(body), re.IGNORECASE):
        body = shared(stage, body)
    answer = stage.send(method, url + query, body)
    if path.stem in REFUSED:
        assert answer.status >= 400, "it is accepted: take it out of REFUSED"
        return
    assert answer.status < 300, (answer.status, answer.body)
    if method != "PUT" or not isinstance(example, dict):
        return
    if path.stem in UNENCRYPTED:
        example = _without_encryption(example)
    rows = [row for row in compare(example, answer.body) if row[1] is not None and not INVENTED.fullmatch(row[0])]
    left = [row for row in rows if str(row[1]).replace(" ", "").lower() != str(row[2]).replace(" ", "").lower()]
    assert not left, left


def shared(stage: Stage, body: dict[str, Any]) -> dict[str, Any]:
    """Make a version that consumers see, and return the body with the public name it got."""
    info = {"eula": "e", "publicNamePrefix": "prefix", "publisherContact": "c@example.com", "publisherUri": "u"}
    way = "Community" if "communityGallery" in json.dumps(body) else "Groups"
    profile = {"permissions": way, **({"communityGalleryInfo": info} if way == "Community" else {})}
    path = f"{COMPUTE}/galleries/theirs"
    query = f"?api-version={GALLERY_API}"
    plain = {"location": "West US"}
    made = settle(stage, stage.send("PUT", path + query, {**plain, "properties": {"sharingProfile": profile}}))
    operation = {"operationType": "EnableCommunity" if way == "Community" else "Add", "groups": []}
    assert settle(stage, stage.send("POST", f"{path}/share{query}", operation)).status == 202
    definition = {
        "osType": "Windows",
        "osState": "Generalized",
        "hyperVGeneration": "V1",
        "identifier": {"publisher": "p", "offer": "o", "sku": "s"},
    }
    image = f"{path}/images/myimageName"
    assert settle(stage, stage.send("PUT", image + query, {**plain, "properties": definition})).status == 201
    stage.put({"id": f"{COMPUTE}/images/theirs", "location": "westus"}, [{"lun": None, "sizeGB": 10}])
    content = {"storageProfile": {"source": {"id": f"{COMPUTE}/images/theirs"}}}
    version = stage.send("PUT", f"{image}/versions/1.0.0{query}", {**plain, "properties": content})
    assert settle(stage, version).status == 201
    text = json.dumps(body)
    properties = made.body["properties"]
    if way == "Community":
        public = properties["sharingProfile"]["communityGalleryInfo"]["publicNames"][0]
    else:
        public = properties["identifier"]["uniqueName"]
    text = re.sub(
        r'(?i)/(Community|Shared)Galleries/[^/"]+/Images/[^/"]+',
        lambda found: f"/{found[1]}Galleries/{public}/Images/myimageName",
        text,
    )
    text = re.sub(r'(?i)/Subscriptions/[^"]+/Galleries/[^/]+/Images/[^/]+/Versions/', f"{image}/versions/", text)
    return dict(json.loads(text))


@pytest.mark.skipif(
    not FOLDER.exists(), reason="the published examples are not here; set GALLERY_OPERATOR_AZURE_EXAMPLES"
)
def test_nothing_is_left_out() -> None:
    names = {path.stem for path in examples()}
    assert len(names) >= 100
    assert set(REFUSED) <= names
    assert set(UNENCRYPTED) <= names
    assert len([name for name in names if name.startswith(("Gallery", "CommunityGallery"))]) >= 48
