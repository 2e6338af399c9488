"""Where and how versions are stored: on a real API server against the simulator."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.reconcilers.stage import COMPUTE, Json, Stage, ready
from tests.support.azure import SUBSCRIPTION

from gallery_operator.azure.gateway import AzureGateway
from gallery_operator.kube import KubeGateway
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.engine import Engine
from gallery_operator.runtime.events import EventRecorder
from gallery_operator.runtime.hints import Hints
from gallery_operator.runtime.progress import ProgressReader
from gallery_operator.runtime.workqueue import Backoff, Key, WorkQueue

REGIONS = ("westeurope", "eastus2", "northeurope")
# What a certificate looks like from outside: a DER sequence of 300 bytes.
DER = b"\x30\x82\x01\x28" + bytes(range(148)) * 2
CERTIFICATE = base64.b64encode(DER).decode()
PEM = f"-----BEGIN CERTIFICATE-----\n{CERTIFICATE}\n-----END CERTIFICATE-----\n"


def encryption_set(stage: Stage, name: str, location: str) -> str:
    resource_id = f"{COMPUTE}/diskEncryptionSets/{name}"
    stage.azure.put_resource({"id": resource_id, "location": location, "properties": {}})
    return resource_id


def targets(stage: Stage) -> dict[str, Json]:
    regions = (stage.in_azure(stage.version_id) or {})["properties"]["publishingProfile"]["targetRegions"]
    return {each["name"].replace(" ", "").lower(): each for each in regions}


def conditions(body: Json) -> dict[str, Json]:
    return {each["type"]: each for each in body["status"]["conditions"]}


async def test_storage_replicas_and_sets(stage: Stage) -> None:
    await stage.base()
    wanted: list[Json] = [
        {"name": "westeurope", "regionalReplicaCount": 3, "storageAccountType": "Standard_ZRS"},
        {"name": "eastus2", "additionalReplicaSets": [{"storageAccountType": "PremiumV2_LRS"}]},
        {"name": "northeurope", "storageAccountType": "Premium_LRS", "excludeFromLatest": True},
    ]
    stage.version(targetRegions=wanted, replicaCount=2)
    body = await stage.ready("ImageVersion", "v1")
    assert [each["replicas"] for each in body["status"]["regions"]] == [3, 2, 2]
    assert targets(stage)["eastus2"]["additionalReplicaSets"][0]["storageAccountType"] == "PremiumV2_LRS"
    assert targets(stage)["northeurope"]["storageAccountType"] == "Premium_LRS"
    told = {each["message"] for each in stage.events("v1") if each["reason"] == "RegionCompleted"}
    assert "Replicated to westeurope (3 replicas)." in told
    # Everything that can change, in one edit; then back to the defaults.
    wanted[0] |= {"regionalReplicaCount": 1, "excludeFromLatest": True}
    wanted[1] |= {"additionalReplicaSets": [{"storageAccountType": "PremiumV2_LRS", "regionalReplicaCount": 2}]}
    wanted[2] |= {"excludeFromLatest": False}
    stage.patch("ImageVersion", "v1", {"spec": {"targetRegions": wanted, "endOfLifeDate": "2099-01-01T00:00:00Z"}})
    await stage.ready("ImageVersion", "v1")
    assert [bool(each.get("excludeFromLatest")) for each in targets(stage).values()] == [True, False, False]
    assert targets(stage)["eastus2"]["additionalReplicaSets"][0]["regionalReplicaCount"] == 2
    plain = [{"name": each["name"], "storageAccountType": each.get("storageAccountType")} for each in wanted]
    plain[1].pop("storageAccountType")
    change = {"targetRegions": plain, "endOfLifeDate": None, "replicaCount": None}
    stage.patch("ImageVersion", "v1", {"spec": change})
    body = await stage.ready("ImageVersion", "v1")
    assert [each["regionalReplicaCount"] for each in targets(stage).values()] == [1, 1, 1]
    assert not any(
        each.get("excludeFromLatest") or each.get("additionalReplicaSets") for each in targets(stage).values()
    )
    profile = (stage.in_azure(stage.version_id) or {})["properties"]["publishingProfile"]
    assert not profile.get("endOfLifeDate")
    assert body["status"].get("managedFields", []) == []
    await stage.quiet()
    stage.azure.clear_counts()
    stage.nudge("ImageVersion", "v1")
    await stage.quiet(2.0)
    assert stage.azure.counts()["writes"] == 0


async def test_strategy_chooses_and_stays_without_differences(stage: Stage) -> None:
    await stage.base()
    regions = [{"name": "westeurope"}, {"name": "westus"}, {"name": "eastus2", "storageAccountType": "Premium_LRS"}]
    stage.version(targetRegions=regions, storageAccountStrategy="PreferStandard_ZRS")
    await stage.ready("ImageVersion", "v1")
    types = {name: each["storageAccountType"] for name, each in targets(stage).items()}
    assert types == {"westeurope": "Standard_ZRS", "westus": "Standard_LRS", "eastus2": "Premium_LRS"}
    stage.patch("ImageVersion", "v1", {"spec": {"targetRegions": [*regions, {"name": "northeurope"}]}})
    await stage.ready("ImageVersion", "v1")
    assert targets(stage)["northeurope"]["storageAccountType"] == "Standard_ZRS"
    assert targets(stage)["westeurope"]["storageAccountType"] == "Standard_ZRS"


async def test_edge_zones_come_and_go(stage: Stage) -> None:
    await stage.base()
    zone = {"name": "westeurope", "extendedLocation": {"name": "microsoftlondon1"}}
    stage.version(targetExtendedLocations=[zone])
    await stage.ready("ImageVersion", "v1")

    def zones() -> list[Json]:
        profile = (stage.in_azure(stage.version_id) or {})["properties"]["publishingProfile"]
        found: list[Json] = profile.get("targetExtendedLocations") or []
        return found

    assert [each["extendedLocation"]["name"] for each in zones()] == ["microsoftlondon1"]
    stage.patch("ImageVersion", "v1", {"spec": {"targetExtendedLocations": None}})
    await stage.until(lambda: not zones())
    await stage.ready("ImageVersion", "v1")


async def test_encrypted_version_and_what_is_refused_before_azure_is_asked(stage: Stage) -> None:
    await stage.base()
    here, there = encryption_set(stage, "here", "westeurope"), encryption_set(stage, "there", "eastus2")

    def keyed(name: str, key: str) -> Json:
        return {"name": name, "encryption": {"osDiskImage": {"diskEncryptionSetId": key}}}

    elsewhere = here.replace(SUBSCRIPTION, "00000000-0000-0000-0000-00000000ffff")
    absent = here.replace("/here", "/absent")
    for number, (regions, reason, named) in enumerate(
        [
            ([keyed("westeurope", elsewhere)], "EncryptionSetElsewhere", "gallery's subscription"),
            ([keyed("westeurope", absent)], "EncryptionSetNotFound", "which does not exist"),
            ([keyed("westeurope", there)], "EncryptionSetElsewhere", "which is in eastus2"),
        ]
    ):
        stage.version(f"bad{number}", version=f"2.0.{number}", targetRegions=regions)
        body = await stage.reason("ImageVersion", f"bad{number}", reason)
        assert named in ready(body)["message"]
        assert stage.in_azure(f"{stage.definition_id}/versions/2.0.{number}") is None
    stage.version(targetRegions=[keyed("westeurope", here), keyed("eastus2", there)])
    await stage.ready("ImageVersion", "v1")
    assert targets(stage)["eastus2"]["encryption"]["osDiskImage"]["diskEncryptionSetId"] == there
    # An update carries the encryption along.
    stage.patch("ImageVersion", "v1", {"spec": {"excludeFromLatest": True}})
    await stage.ready("ImageVersion", "v1")
    assert targets(stage)["eastus2"]["encryption"]["osDiskImage"]["diskEncryptionSetId"] == there


async def test_a_gallery_that_is_shared_directly_has_no_encrypted_versions(stage: Stage) -> None:
    stage.disk()
    stage.gallery(sharingProfile={"permissions": "Groups", "groups": {"subscriptions": [SUBSCRIPTION]}})
    stage.definition()
    await stage.ready("GalleryImageDefinition", "debian")
    key = encryption_set(stage, "here", "westeurope")
    encryption = {"osDiskImage": {"diskEncryptionSetId": key}}
    stage.version(targetRegions=[{"name": "westeurope", "encryption": encryption}])
    body = await stage.reason("ImageVersion", "v1", "EncryptedInSharedGallery")
    assert stage.stalled(body)
    assert "take the encryption out, or use another gallery" in ready(body)["message"]
    assert stage.in_azure(stage.version_id) is None


async def test_confidential_encryption_needs_such_a_definition(stage: Stage) -> None:
    await stage.base()
    stage.definition("confidential", features=[{"name": "SecurityType", "value": "ConfidentialVm"}])
    profile = {"securityProfile": {"confidentialVMEncryptionType": "EncryptedVMGuestStateOnlyWithPmk"}}
    regions = [{"name": "westeurope", "encryption": {"osDiskImage": profile}}]
    stage.version(targetRegions=regions)
    body = await stage.reason("ImageVersion", "v1", "NotConfidential")
    assert stage.stalled(body)
    stage.version("v2", version="2.0.0", definitionRef={"name": "confidential"}, targetRegions=regions)
    await stage.ready("ImageVersion", "v2")


async def test_keys_of_secure_boot_come_from_secrets_and_config_maps(stage: Stage) -> None:
    await stage.base()
    stage.definition("trusted", features=[{"name": "SecurityType", "value": "TrustedLaunchSupported"}])
    hashed = hashlib.sha256(b"x")
    settings = {
        "signatureTemplateNames": ["MicrosoftUefiCertificateAuthorityTemplate"],
        "additionalSignatures": {
            "pk": {"type": "x509", "secretKeyRef": {"name": "keys", "key": "pk.der"}},
            "db": [{"type": "x509", "configMapKeyRef": {"name": "keys", "key": "db.pem"}}],
            "dbx": [{"type": "sha256", "configMapKeyRef": {"name": "keys", "key": "dbx.txt"}}],
        },
    }
    stage.version(definitionRef={"name": "trusted"}, securityProfile={"uefiSettings": settings})
    body = await stage.reason("ImageVersion", "v1", "SecretNotFound")
    assert f"Secret {stage.namespace}/keys (additionalSignatures.pk) does not exist" in ready(body)["message"]
    stage.post("Secret", {"metadata": {"name": "keys"}, "data": {"pk.der": base64.b64encode(DER).decode()}})
    config = {"metadata": {"name": "keys"}, "data": {"db.pem": PEM, "dbx.txt": "nonsense"}}
    stage.post("ConfigMap", config)
    stage.nudge("ImageVersion", "v1")
    body = await stage.reason("ImageVersion", "v1", "UefiKeyUnusable")
    assert "Key dbx.txt of ConfigMap" in ready(body)["message"]
    stage.patch("ConfigMap", "keys", {"data": {"dbx.txt": hashed.hexdigest()}})
    stage.nudge("ImageVersion", "v1")
    await stage.ready("ImageVersion", "v1")
    version_id = stage.version_id.replace("/debian/", "/trusted/")

    def stored() -> Json:
        answer = stage.arm("GET", version_id, query="&$expand=UefiSettings")
        found: Json = answer["properties"]["securityProfile"]["uefiSettings"]["additionalSignatures"]
        return found

    expected = {
        "pk": {"type": "x509", "value": [CERTIFICATE]},
        "db": [{"type": "x509", "value": [CERTIFICATE]}],
        "dbx": [{"type": "sha256", "value": [base64.b64encode(hashed.digest()).decode()]}],
    }
    assert {name: stored()[name] for name in expected} == expected
    # The keys stay with an update, although the Secret is gone.
    stage.delete("Secret", "keys")
    stage.patch("ImageVersion", "v1", {"spec": {"excludeFromLatest": True}})
    await stage.ready("ImageVersion", "v1")
    assert {name: stored()[name] for name in expected} == expected


async def test_secrets_provisioning_is_sent_once_and_changed(stage: Stage) -> None:
    await stage.base()
    settings: Json = {
        "isSupported": True,
        "osName": "debian",
        "components": [{"name": "OS", "version": "12"}, {"name": "AzureGuestAgent", "version": "2.7.0"}],
    }
    stage.version(securityProfile={"secretsProvisioningSettings": settings})
    await stage.ready("ImageVersion", "v1")
    await stage.quiet()
    stage.azure.clear_counts()
    stage.nudge("ImageVersion", "v1")
    await stage.quiet(2.0)
    assert stage.azure.counts()["writes"] == 0
    change = {"securityProfile": {"secretsProvisioningSettings": {"isSupported": False}}}
    stage.patch("ImageVersion", "v1", {"spec": change})
    await stage.until(lambda: stage.azure.counts()["writes"] == 1)
    await stage.ready("ImageVersion", "v1")
    await stage.quiet()
    assert stage.azure.counts()["writes"] == 1
    properties = (stage.in_azure(stage.version_id) or {})["properties"]
    assert properties["securityProfile"]["secretsProvisioningSettings"] == {**settings, "isSupported": False}


async def test_policy_and_validation_are_conditions(stage: Stage) -> None:
    await stage.base()
    stage.version()
    body = await stage.ready("ImageVersion", "v1")
    assert conditions(body)["PolicyCompliant"]["status"] == "True"
    assert "Validated" not in conditions(body)
    executed = {
        "type": "LinuxSecurityBaseline",
        "status": "Failed",
        "executionTime": "2026-01-01T00:00:00.1234567+00:00",
    }
    found = {
        "safetyProfile": {
            "reportedForPolicyViolation": True,
            "policyViolations": [{"category": "CopyrightValidation", "details": "Somebody else's."}],
        },
        "validationsProfile": {"executedValidations": [executed], "validationEtag": "e"},
    }
    stage.azure.patch_resource(stage.version_id, found)
    stage.nudge("ImageVersion", "v1")

    def told() -> Json | None:
        seen = stage.get("ImageVersion", "v1") or {}
        return seen if conditions(seen).get("Validated") else None

    body = await stage.until(told) or {}
    policy = conditions(body)["PolicyCompliant"]
    assert (policy["status"], policy["reason"]) == ("False", "CopyrightValidation")
    assert "Somebody else's" in policy["message"]
    assert conditions(body)["Validated"]["status"] == "False"
    assert conditions(body)["Ready"]["status"] == "True"
    assert body["status"]["validationsProfile"]["executedValidations"][0]["executionTime"] == "2026-01-01T00:00:00Z"
    await stage.until(lambda: any(each["reason"] == "PolicyViolation" for each in stage.events("v1")))
    await stage.quiet()
    before = stage.kubernetes_writes()
    stage.nudge("ImageVersion", "v1")
    await stage.quiet(2.0)
    assert stage.kubernetes_writes() == before


async def test_what_azure_never_changes_is_told_not_tried(stage: Stage) -> None:
    await stage.base()
    stage.version(deletionPolicy="Retain")
    await stage.ready("ImageVersion", "v1")
    stage.delete("ImageVersion", "v1")
    await stage.gone("ImageVersion", "v1")
    stage.azure.clear_counts()
    stage.version(targetRegions=[{"name": "westeurope", "storageAccountType": "Premium_LRS"}])
    body = await stage.reason("ImageVersion", "v1", "ImmutableFieldDiffers")
    assert "targetRegions[westeurope].storageAccountType is Standard_LRS, wanted Premium_LRS" in ready(body)["message"]
    assert stage.azure.counts()["writes"] == 0


class _Queue(WorkQueue):
    """Notes when a key asks to be woken, and wakes nobody."""

    def __init__(self) -> None:
        super().__init__(Backoff(jitter=0.0))
        self.delay = 0.0

    def add_after(self, key: Key, delay: float) -> None:
        self.delay = delay


async def watch_replication(
    stage: Stage, hours: float, now: Callable[[], datetime], pass_time: Callable[[float], None]
) -> int:
    """Reconcile a version as it asks for over some hours; returns how often Azure was asked."""
    options = stage.options(poll_seconds=15.0)
    queue = _Queue()
    async with (
        KubeGateway(options.kubeconfig) as kube,
        AzureGateway(options.azure) as azure,
        ProgressReader() as progress,
    ):
        context = Context(kube, azure, options.reconcilers, Hints(), progress, now)
        engine = Engine(context, queue, EventRecorder(kube, "test"), 600.0)
        start = now()
        while (now() - start).total_seconds() < hours * 3600:
            await engine.process(Key("ImageVersion", stage.namespace, "v1"))
            pass_time(queue.delay)
        return sum(int(row["count"]) for row in stage.azure.counts()["counts"])


async def test_hours_of_replication_cost_few_requests(idle_stage: Stage) -> None:
    stage = idle_stage
    await stage.start()
    await stage.base()
    await stage.stop()
    stage.azure.set_scale(0.001)
    stage.version(regions=REGIONS)
    stage.azure.clear_counts()
    clock = [datetime.now(UTC)]

    def pass_time(seconds: float) -> None:
        clock[0] += timedelta(seconds=seconds)

    asked = await watch_replication(stage, 6.0, lambda: clock[0], pass_time)
    assert stage.azure.counts()["writes"] == 1
    # Token and source aside: some 15 s apart at first, at last five minutes apart.
    assert 60 < asked < 130
    stage.azure.set_scale(600.0)
    stage.azure.skip(6 * 3600)
    await stage.start()
    await stage.ready("ImageVersion", "v1")


@pytest.mark.parametrize("kind", ["ImageVersion", "GalleryImageDefinition", "Gallery"])
async def test_a_passing_failure_of_azure_leaves_ready_true(stage: Stage, kind: str) -> None:
    await stage.base()
    stage.version()
    names = {"ImageVersion": "v1", "GalleryImageDefinition": "debian", "Gallery": "platform"}
    for each, name in names.items():
        await stage.ready(each, name)
    path = {
        "ImageVersion": "/versions/",
        "GalleryImageDefinition": "/images/debian$",
        "Gallery": "/galleries/platform$",
    }
    since = ready(stage.get(kind, names[kind]))["lastTransitionTime"]
    fault = stage.azure.add_fault(method="GET", path=path[kind], status=503, count=None)
    stage.nudge(kind, names[kind])
    await stage.until(lambda: "Reconciling" in conditions(stage.get(kind, names[kind]) or {}))
    assert ready(stage.get(kind, names[kind]))["status"] == "True"
    stage.azure.request("DELETE", f"/_control/faults/{fault}")
    body = await stage.ready(kind, names[kind])
    assert ready(body)["lastTransitionTime"] == since
