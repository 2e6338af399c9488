"""Imports from buckets and registries wait for their Secrets, and hand them to the worker as files."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.reconcilers.player import Player
from tests.integration.reconcilers.stage import RESOURCE_GROUP, Json, Stage, ready
from tests.integration.reconcilers.test_imports import no_canary

MANAGED: Json = {"managedDisk": {"resourceGroup": RESOURCE_GROUP, "location": "westeurope", "diskName": "debian"}}
CANARY = "canary-header-value"
S3: Json = {
    "s3": {"region": "eu-north-1", "bucket": "images", "key": "debian.raw", "credentialsSecretRef": {"name": "a"}}
}
OCI: Json = {"oci": {"reference": f"r.example.org/d@sha256:{'a' * 64}", "pullSecretRef": {"name": "a"}}}


@pytest.fixture
async def player(stage: Stage) -> AsyncIterator[Player]:
    async with Player(stage) as found:
        yield found


def secret(stage: Stage, **texts: str) -> None:
    data = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
    if stage.get("Secret", "a") is not None:
        stage.delete("Secret", "a")
    stage.post("Secret", {"metadata": {"name": "a"}, "data": data})


LOGIN = json.dumps({"auths": {"r.example.org": {"username": "u", "password": CANARY}}})
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": CANARY}


@pytest.mark.parametrize(
    ("source", "field", "missing", "content", "file"),
    [
        (S3, "source.s3.credentialsSecretRef", "AWS_SECRET_ACCESS_KEY", KEYS, "/etc/worker/credentials"),
        (OCI, "source.oci.pullSecretRef", ".dockerconfigjson", {".dockerconfigjson": LOGIN}, "/etc/worker/pull-secret"),
    ],
    ids=["s3", "oci"],
)
async def test_secrets_are_waited_for_and_mounted(
    stage: Stage, player: Player, source: Json, field: str, missing: str, content: dict[str, str], file: str
) -> None:
    kind = next(iter(source))
    stage.create("VhdImport", "os", {"source": source, "destination": MANAGED})
    body = await stage.reason("VhdImport", "os", "SecretNotFound")
    message = f"Secret {stage.namespace}/a does not exist: create it, or correct {field}."
    assert message in ready(body)["message"]
    secret(stage, **{name: value for name, value in content.items() if name != missing})
    stage.nudge("VhdImport", "os")
    body = await stage.reason("VhdImport", "os", "SecretUnusable")
    assert f"has no key {missing}: add it, or correct {field}." in ready(body)["message"]
    assert not stage.stalled(body)
    secret(stage, **content)
    stage.nudge("VhdImport", "os")
    job = await player.job("prepare")
    config: dict[str, Any] = player.config(job)["source"]
    assert (config["kind"], config["has_credentials"]) == (kind, True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert file in [each["mountPath"] for each in container["volumeMounts"]]
    assert [each["name"] for each in container["env"]] == ["WORKER_CONFIG"]
    no_canary(stage)


@pytest.mark.parametrize("source", [S3, OCI], ids=["s3", "oci"])
async def test_bundles_are_waited_for(stage: Stage, source: Json) -> None:
    ((kind, disk),) = source.items()
    secret(stage, **KEYS, **{".dockerconfigjson": LOGIN})
    spec = {"source": {kind: {**disk, "caBundleRef": {"name": "ca"}}}, "destination": MANAGED}
    stage.create("VhdImport", "os", spec)
    body = await stage.reason("VhdImport", "os", "ConfigMapNotFound")
    assert f"source.{kind}.caBundleRef" in ready(body)["message"]
    stage.post("ConfigMap", {"metadata": {"name": "ca"}, "data": {"ca.pem": "x"}})
    stage.nudge("VhdImport", "os")
    body = await stage.reason("VhdImport", "os", "CABundleUnusable")
    assert stage.stalled(body)
