"""``gallery-operator export``: what it writes, applied, is exactly what is there."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
import yaml
from tests.integration.reconcilers.stage import CANARIES, CLIENT_SECRET, COMPUTE, Json, Stage, ready
from tests.support.azure import GROUP as RESOURCE_GROUP
from tests.support.azure import LOCATION, SUBSCRIPTION

from gallery_operator.planning.compare import differences

GALLERY = f"{COMPUTE}/galleries/my_gallery"
DEFINITION = f"{GALLERY}/images/Debian_12"
VERSION = f"{DEFINITION}/versions/1.0.0"


async def made_by_hand(stage: Stage) -> None:
    """A gallery that nobody's operator made."""
    stage.arm("PUT", GALLERY, {"location": LOCATION, "tags": {"team": "x"}, "properties": {"description": "by hand"}})
    await stage.settled(GALLERY)
    definition = {
        "osType": "Linux",
        "osState": "Generalized",
        "hyperVGeneration": "V2",
        "architecture": "x64",
        "identifier": {"publisher": "Contoso", "offer": "debian", "sku": "12"},
        "features": [{"name": "SecurityType", "value": "TrustedLaunchSupported"}],
        "recommended": {"vCPUs": {"min": 2, "max": 8}},
        "endOfLifeDate": "2031-01-01T00:00:00Z",
    }
    stage.arm("PUT", DEFINITION, {"location": LOCATION, "properties": definition})
    await stage.settled(DEFINITION)
    regions = [
        {"name": LOCATION, "regionalReplicaCount": 2},
        {"name": "East US 2", "storageAccountType": "Standard_ZRS"},
    ]
    version = {
        "publishingProfile": {"targetRegions": regions, "excludeFromLatest": True},
        "storageProfile": {"osDiskImage": {"source": {"id": stage.disk()}}},
    }
    stage.arm("PUT", VERSION, {"location": LOCATION, "properties": version})
    await stage.settled(VERSION)


async def export(stage: Stage, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run the command as a person does; returns exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gallery_operator",
        "export",
        *arguments,
        env={
            "PATH": os.environ["PATH"],
            **stage.azure.environment,
            "AZURE_CLIENT_SECRET": CLIENT_SECRET,
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    assert not any(each in (out + err).decode() for each in CANARIES)
    return process.returncode, out.decode(), err.decode()


def apply(stage: Stage, documents: list[Json]) -> None:
    for each in documents:
        answer = stage.api.create(each, stage.namespace)
        assert answer.ok, answer.message


@pytest.mark.parametrize("policy", ["Observe", "Manage"])
async def test_what_is_exported_and_applied_differs_in_nothing(stage: Stage, policy: str) -> None:
    await made_by_hand(stage)
    code, out, err = await export(
        stage, "my_gallery", "-g", RESOURCE_GROUP, "--subscription", SUBSCRIPTION, "-n", stage.namespace,
        "--management-policy", policy,
    )  # fmt: skip
    assert code == 0, err
    assert "3 objects" in err
    documents = list(yaml.safe_load_all(out))
    assert [each["kind"] for each in documents] == ["Gallery", "GalleryImageDefinition", "ImageVersion"]
    before = {each: stage.in_azure(each) for each in (GALLERY, DEFINITION, VERSION)}
    apply(stage, documents)
    for each in documents:
        body = await stage.ready(each["kind"], each["metadata"]["name"])
        if policy == "Observe":
            assert body["status"].get("differences", []) == []
            assert ready(body)["message"] == "Observed; Azure has what is written here."
    for resource_id, then in before.items():
        now = stage.in_azure(resource_id) or {}
        if policy == "Observe":
            assert now == then
        else:  # only the ownership tags are new
            assert now["tags"].pop("gallery-operator.dev-namespace") == stage.namespace
            kept = {name: value for name, value in now["tags"].items() if not name.startswith("gallery-operator.dev-")}
            assert kept == (then or {}).get("tags", {})
            assert differences((then or {})["properties"], now["properties"]) == ()


async def test_a_folder_has_a_file_for_each_definition(stage: Stage, tmp_path: Path) -> None:
    await made_by_hand(stage)
    code, out, err = await export(stage, GALLERY, "-d", str(tmp_path / "platform"))
    assert (code, out) == (0, ""), err
    names = sorted(each.name for each in (tmp_path / "platform").iterdir())
    assert len(names) == 2
    assert "gallery.yaml" in names
    assert names[0].startswith("debian-12-")


async def test_what_is_wrong_is_said(stage: Stage) -> None:
    code, _, err = await export(stage, f"{COMPUTE}/galleries/nowhere")
    assert code == 1
    assert "does not exist, or this credential cannot see it" in err
    code, _, err = await export(stage, "my_gallery")
    assert code == 2
    assert "--resource-group" in err
    code, _, err = await export(stage, f"{COMPUTE}/disks/x")
    assert code == 2
    code, _, err = await export(stage, GALLERY, AZURE_CLIENT_ID="", PATH="/nowhere")
    assert code == 2
    assert "az login" in err


async def test_the_azure_cli_signs_in_where_no_application_does(stage: Stage, tmp_path: Path) -> None:
    await made_by_hand(stage)
    az = tmp_path / "az"
    az.write_text(
        "#!/bin/sh\n"
        'echo "$@" >>"$AZ_CALLS"\n'
        """echo '{"accessToken": "somebody", "expiresOn": "2099-01-01 00:00:00.000000", "tenant": "t"}'\n"""
    )
    az.chmod(0o755)
    calls = tmp_path / "calls"
    code, out, err = await export(
        stage, GALLERY, AZURE_CLIENT_ID="", PATH=f"{tmp_path}:{os.environ['PATH']}", AZ_CALLS=str(calls)
    )
    assert code == 0, err
    assert "account get-access-token" in calls.read_text()
    assert "somebody" not in out + err
