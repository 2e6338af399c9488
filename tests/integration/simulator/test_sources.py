"""Sources that are whole machines or versions of others, encryption, security profile, edge zones, validations."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.compute.aio import ComputeManagementClient
from tests.support.azure import GROUP, OTHER_SUBSCRIPTION, SUBSCRIPTION, AzureStand

from .helpers import vhd
from .plain import Send, client
from .test_disks import filled_disk
from .test_galleries import make_definition, make_gallery
from .test_versions import body, code_of, os_blob, put

RESOURCES = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute"
API = "api-version=2026-03-03"
VERSIONS = f"{RESOURCES}/galleries/platform/images/debian-12/versions"


def machine(azure: AzureStand, *codes: str, name: str = "builder", **more: Any) -> str:
    """Put a machine into the state; without codes it has an instance view that says nothing."""
    identity = f"{RESOURCES}/virtualMachines/{name}"
    view = {"statuses": [{"code": code} for code in codes], "hyperVGeneration": "V2"}
    storage = {"osDisk": {"osType": "Linux", "createOption": "FromImage"}, **more.pop("storage", {})}
    properties = {"storageProfile": storage, "instanceView": view}
    resource = {"id": identity, "location": "westeurope", "properties": properties, **more}
    azure.put_resource(resource, [{"lun": None, "sizeGB": 30}, {"lun": 0, "sizeGB": 10}])
    return identity


def encryption_set(azure: AzureStand, name: str, location: str = "westeurope", owner: str = SUBSCRIPTION) -> str:
    identity = f"/subscriptions/{owner}/resourceGroups/{GROUP}/providers/Microsoft.Compute/diskEncryptionSets/{name}"
    azure.put_resource({"id": identity, "location": location})
    return identity


def region(name: str = "westeurope", **encryption: Any) -> dict[str, Any]:
    return {"name": name, "encryption": encryption}


@pytest.fixture
async def send(compute: ComputeManagementClient, azure: AzureStand) -> Send:
    await make_gallery(compute)
    await make_definition(compute)
    return client(azure)


async def refused(
    compute: ComputeManagementClient, document: dict[str, Any], text: str, *, version: str = "1.0.0"
) -> None:
    with pytest.raises(HttpResponseError, match=text) as caught:
        await put(compute, document, version)
    assert code_of(caught.value)[0] == 400


@pytest.mark.usefixtures("send")
async def test_a_generalized_machine(compute: ComputeManagementClient, azure: AzureStand) -> None:
    identity = machine(azure, "OSState/generalized")
    made = await put(compute, body({"source": {"virtualMachineId": identity}}))
    storage = made.properties.storage_profile
    assert (storage.source.virtual_machine_id, storage.os_disk_image.size_in_gb) == (identity, 30)
    assert [(disk.lun, disk.size_in_gb) for disk in storage.data_disk_images] == [(0, 10)]
    shown = await compute.virtual_machines.get(GROUP, "builder")
    assert shown.instance_view is None
    view = await compute.virtual_machines.instance_view(GROUP, "builder")
    assert view.statuses[0].code == "OSState/generalized"


@pytest.mark.usefixtures("send")
async def test_a_machine_must_be_in_the_definitions_state(compute: ComputeManagementClient, azure: AzureStand) -> None:
    identity = machine(azure, "PowerState/running")
    await refused(compute, body({"source": {"virtualMachineId": identity}}), "is not Specialized")
    await compute.virtual_machines.generalize(GROUP, "builder")
    await put(compute, body({"source": {"virtualMachineId": identity}}))


@pytest.mark.usefixtures("send")
async def test_a_machines_own_disks_are_its_content(compute: ComputeManagementClient, azure: AzureStand) -> None:
    disk = await filled_disk(compute, azure, vhd(24, b"root"))
    storage = {"osDisk": {"osType": "Linux", "managedDisk": {"id": disk}, "caching": "ReadWrite"}}
    identity = f"{RESOURCES}/virtualMachines/mine"
    azure.put_resource({"id": identity, "location": "westeurope", "properties": {"storageProfile": storage}})
    made = await put(compute, body({"source": {"virtualMachineId": identity}}))
    assert azure.digest(made.id)[0]["sha256"] == azure.digest(disk)[0]["sha256"]


@pytest.mark.usefixtures("send")
@pytest.mark.parametrize(
    ("storage", "plan", "text"),
    [
        ({"osDisk": {"diffDiskSettings": {"option": "Local"}}}, None, "cannot contain an ephemeral OS disk"),
        ({"osDisk": {"vhd": {"uri": "https://example.com/a.vhd"}}}, None, "must be created from Managed Disks"),
        ({}, {"name": "n", "publisher": "p", "product": "o"}, "has a different plan"),
    ],
)
async def test_machines_that_do_not_do(
    compute: ComputeManagementClient, azure: AzureStand, storage: dict[str, Any], plan: Any, text: str
) -> None:
    more = {"plan": plan} if plan else {}
    identity = machine(azure, "OSState/generalized", storage=storage, **more)
    await refused(compute, body({"source": {"virtualMachineId": identity}}), text)


@pytest.mark.usefixtures("send")
async def test_a_version_of_another_subscription(compute: ComputeManagementClient, azure: AzureStand) -> None:
    made = await put(compute, body(await os_blob(azure)))
    there = f"/subscriptions/{OTHER_SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/galleries/copies"
    send = client(azure)
    assert send("PUT", f"{there}?{API}", {"location": "westeurope"}).status == 201
    definition = {
        "osType": "Linux",
        "osState": "Generalized",
        "hyperVGeneration": "V2",
        "identifier": {"publisher": "p", "offer": "o", "sku": "s"},
    }
    assert send("PUT", f"{there}/images/d?{API}", {"location": "westeurope", "properties": definition}).status == 201
    answer = send("PUT", f"{there}/images/d/versions/1.0.0?{API}", body({"source": {"id": made.id}}))
    assert answer.status == 201, answer.body
    azure.skip(1000)
    copied = azure.digest(answer.body["id"])[0]["sha256"]
    assert copied == azure.digest(made.id)[0]["sha256"]


@pytest.mark.usefixtures("send")
async def test_encryption_sets_are_checked(compute: ComputeManagementClient, azure: AzureStand) -> None:
    near, far = encryption_set(azure, "near"), encryption_set(azure, "far", "northeurope")
    foreign = encryption_set(azure, "foreign", owner=OTHER_SUBSCRIPTION)
    source = {"source": {"virtualMachineId": machine(azure, "OSState/generalized")}}
    for encryption, text in (
        ({"osDiskImage": {"diskEncryptionSetId": f"{near}x"}}, "was not found"),
        ({"osDiskImage": {"diskEncryptionSetId": foreign}}, "must be in the same subscription"),
        ({"osDiskImage": {"diskEncryptionSetId": far}}, "same region"),
        ({"osDiskImage": {"diskEncryptionSetId": "near"}}, "diskEncryptionSetId is invalid"),
        ({"dataDiskImages": [{"lun": 7, "diskEncryptionSetId": near}]}, "An invalid lun .7. was specified"),
        ({"dataDiskImages": [{"lun": 0, "diskEncryptionSetId": near}] * 2}, "Duplicate luns '0'"),
        ({"osDiskImage": {"securityProfile": {"confidentialVMEncryptionType": "EncryptedWithCmk"}}}, "is missing"),
        ({"osDiskImage": {"securityProfile": {"confidentialVMEncryptionType": "EncryptedWithPmk"}}}, "Confidential VM"),
    ):
        await refused(compute, body(source, region(**encryption)), text)
    main = {"osDiskImage": {"diskEncryptionSetId": near}}
    await refused(compute, body(source, region(**main), "northeurope"), "A disk encryption set is required for disk")
    await refused(compute, body(await os_blob(azure), region(**main)), "Encryption is not supported for source")
    both = (region(**main), region("northeurope", osDiskImage={"diskEncryptionSetId": far}))
    made = await put(compute, body(source, *both))
    shown = made.properties.publishing_profile.target_regions
    assert [item.encryption.os_disk_image.disk_encryption_set_id for item in shown] == [near, far]


async def test_confidential_encryption_needs_a_confidential_definition(
    compute: ComputeManagementClient, azure: AzureStand
) -> None:
    await make_gallery(compute)
    await make_definition(compute, features=[{"name": "SecurityType", "value": "ConfidentialVmSupported"}])
    source = {"source": {"virtualMachineId": machine(azure, "OSState/generalized")}}
    security = {"confidentialVMEncryptionType": "EncryptedWithPmk"}
    made = await put(compute, body(source, region(osDiskImage={"securityProfile": security})))
    shown = made.properties.publishing_profile.target_regions[0].encryption.os_disk_image.security_profile
    assert shown.confidential_vm_encryption_type == "EncryptedWithPmk"


async def test_uefi_keys_are_shown_when_asked_for(compute: ComputeManagementClient, azure: AzureStand) -> None:
    await make_gallery(compute)
    await make_definition(compute, features=[{"name": "SecurityType", "value": "TrustedLaunchSupported"}])
    settings = {
        "signatureTemplateNames": ["MicrosoftUefiCertificateAuthorityTemplate"],
        "additionalSignatures": {"db": [{"type": "x509", "value": ["Zm9v"]}]},
    }
    document = body(await os_blob(azure))
    document["properties"]["securityProfile"] = {"uefiSettings": settings}
    await put(compute, document)
    send = client(azure)
    plain = send("GET", f"{VERSIONS}/1.0.0?{API}", None).body["properties"]
    asked = send("GET", f"{VERSIONS}/1.0.0?$expand=UefiSettings&{API}", None).body["properties"]
    assert "securityProfile" not in plain
    assert asked["securityProfile"] == {"uefiSettings": settings}


async def test_uefi_keys_need_trusted_launch(compute: ComputeManagementClient, azure: AzureStand, send: Send) -> None:
    document = body(await os_blob(azure))
    document["properties"]["securityProfile"] = {"uefiSettings": {"signatureTemplateNames": ["NoSignatureTemplate"]}}
    await refused(compute, document, "UEFI settings are supported")


async def test_secrets_provisioning_becomes_metadata(azure: AzureStand, send: Send) -> None:
    document = body(await os_blob(azure))
    components = [{"name": "AzureGuestAgent", "version": "2.7.0"}]
    settings = {"isSupported": True, "osName": "mariner", "components": components}
    document["properties"]["securityProfile"] = {"secretsProvisioningSettings": settings}
    shown = send("PUT", f"{VERSIONS}/1.0.0?{API}", document).body["properties"]
    assert shown["imageMetadataProfiles"][0]["publicMetadataList"] == [
        {"metadataKey": "Linux.AzureSecretsProvisioning.Enabled", "metadataValue": "true"},
        {"metadataKey": "OS.Name", "metadataValue": "mariner"},
        {"metadataKey": "AzureGuestAgent.Version", "metadataValue": "2.7.0"},
    ]


async def test_edge_zones(azure: AzureStand, compute: ComputeManagementClient, send: Send) -> None:
    zone = {"name": "westeurope", "extendedLocation": {"name": "microsoftamsterdam1", "type": "EdgeZone"}}
    source = await os_blob(azure)
    made = await put(compute, body(source, targetExtendedLocations=[zone]))
    shown = made.properties.publishing_profile.target_extended_locations[0]
    assert (shown.name, shown.storage_account_type) == ("West Europe", "StandardSSD_LRS")
    for change, text in (
        ({"name": "northeurope"}, "must be among the target regions"),
        ({"extendedLocation": {"type": "EdgeZone"}}, "needs a name"),
        ({"storageAccountType": "PremiumV2_LRS"}, "is not allowed"),
        ({"extendedLocationReplicaCount": 0}, "out of range"),
    ):
        await refused(compute, body(source, targetExtendedLocations=[{**zone, **change}]), text)


@pytest.mark.usefixtures("send")
async def test_storage_strategy_and_premium_v2(compute: ComputeManagementClient, azure: AzureStand) -> None:
    regions = ("westeurope", "westus", {"name": "eastus2", "storageAccountType": "Premium_LRS"})
    document = body(await os_blob(azure), *regions, storageAccountStrategy="PreferStandard_ZRS")
    made = await put(compute, document)
    profile = made.properties.publishing_profile
    kinds = [item.storage_account_type for item in profile.target_regions]
    assert (kinds, profile.storage_account_type) == (["Standard_ZRS", "Standard_LRS", "Premium_LRS"], None)
    premium = {"name": "francesouth", "storageAccountType": "PremiumV2_LRS"}
    text = "PremiumV2_LRS storage account type"
    await refused(compute, body(await os_blob(azure), "westeurope", premium), text, version="1.0.1")


@pytest.mark.usefixtures("send")
async def test_what_only_azure_says(compute: ComputeManagementClient, azure: AzureStand) -> None:
    made = await put(compute, body(await os_blob(azure)))
    violation = {"category": "ImageFlaggedUnsafe", "details": "malware"}
    azure.patch_resource(
        made.id,
        {
            "safetyProfile": {"reportedForPolicyViolation": True, "policyViolations": [violation]},
            "validationsProfile": {"executedValidations": [{"type": "AzCertify", "status": "Failed"}]},
        },
    )
    await put(compute, body({}, replicaCount=2))
    send = client(azure)
    plain = send("GET", f"{VERSIONS}/1.0.0?{API}", None).body["properties"]
    assert plain["safetyProfile"]["policyViolations"] == [violation]
    assert "validationsProfile" not in plain
    query = "$expand=ValidationProfile,ReplicationStatus"
    asked = send("GET", f"{VERSIONS}/1.0.0?{query}&{API}", None).body["properties"]
    assert asked["validationsProfile"]["executedValidations"][0]["status"] == "Failed"
    assert asked["replicationStatus"]["aggregatedState"] == "Completed"


@pytest.mark.usefixtures("send")
async def test_a_disk_from_the_latest_version(compute: ComputeManagementClient, azure: AzureStand) -> None:
    await put(compute, body(await os_blob(azure, b"old", "old.vhd")), version="1.9.0")
    newest = await put(compute, body(await os_blob(azure, b"new", "new.vhd")), version="1.10.0")
    await put(compute, body(await os_blob(azure, b"no", "no.vhd"), excludeFromLatest=True), version="2.0.0")
    reference = {"id": newest.id.rsplit("/versions/", 1)[0]}
    data = {"createOption": "FromImage", "galleryImageReference": reference}
    poller = await compute.disks.begin_create_or_update(
        GROUP, "root", {"location": "westeurope", "properties": {"creationData": data}}
    )
    disk = await poller.result()
    assert azure.digest(disk.id)[0]["sha256"] == azure.digest(newest.id)[0]["sha256"]


async def test_a_secure_upload_says_its_security_type(azure: AzureStand, send: Send) -> None:
    path = f"{RESOURCES}/disks/secure?api-version=2026-03-02"
    data = {"createOption": "UploadPreparedSecure", "uploadSizeBytes": 20 * 2**20 + 512}
    document: dict[str, Any] = {"location": "westeurope", "properties": {"creationData": data, "osType": "Linux"}}
    assert send("PUT", path, document).status == 400
    document["properties"]["securityProfile"] = {"securityType": "ConfidentialVM_DiskEncryptedWithCustomerKey"}
    assert send("PUT", path, document).status == 400
    document["properties"]["securityProfile"] = {"securityType": "TrustedLaunch"}
    assert send("PUT", path, document).status == 202
