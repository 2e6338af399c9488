"""A Secret with a credential is kept while an object needs it to clean up in Azure, and not a moment longer."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.reconcilers.player import Player, checked, disk
from tests.integration.reconcilers.stage import CLIENT, CLIENT_SECRET, RESOURCE_GROUP, Json, Stage
from tests.support.azure import LOCATION, SUBSCRIPTION, TENANT

from gallery_operator.planning.credential_use import IN_USE_FINALIZER, NAMESPACE_SECRET
from gallery_operator.reconcilers import credential_hold
from gallery_operator.reconcilers.engine import Engine

GALLERY = "Microsoft.Compute/galleries"


def secret(stage: Stage, name: str = "azure") -> None:
    data = {
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_CLIENT_SECRET": CLIENT_SECRET,
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
    }
    stage.post("Secret", {"metadata": {"name": name}, "stringData": data})


def gallery(stage: Stage, name: str = "platform", credential: str = "azure") -> Json:
    return stage.gallery(name, galleryName=name, credentialRef={"name": credential})


def is_held(stage: Stage, name: str = "azure") -> bool:
    return IN_USE_FINALIZER in ((stage.get("Secret", name) or {}).get("metadata", {}).get("finalizers") or ())


async def test_all_deleted_at_once_in_the_worst_order(stage: Stage) -> None:
    secret(stage)
    gallery(stage)
    await stage.ready("Gallery", "platform")
    assert is_held(stage)
    assert stage.status("Gallery", "platform")["credentialSecrets"] == ["azure"]
    stage.delete("Secret", "azure")
    assert stage.get("Secret", "azure")
    # Still at work with it: what drifts is corrected.
    stage.patch("Gallery", "platform", {"spec": {"description": "changed"}})
    await stage.until(lambda: _described(stage) == "changed")
    stage.delete("Gallery", "platform")
    await stage.gone("Gallery", "platform")
    assert stage.azure.resources(GALLERY) == []
    assert stage.get("Secret", "azure") is None


def _described(stage: Stage) -> Any:
    return (stage.in_azure(stage.gallery_id) or {}).get("properties", {}).get("description")


async def test_last_of_several_lets_go(stage: Stage) -> None:
    secret(stage)
    names = ("one", "two", "three")
    for name in names:
        gallery(stage, name)
    for name in names:
        await stage.ready("Gallery", name)
    stage.delete("Gallery", "one")
    await stage.gone("Gallery", "one")
    assert is_held(stage)
    # Both at the same time: one of them is the last.
    stage.delete("Gallery", "two")
    stage.delete("Gallery", "three")
    await stage.gone("Gallery", "two")
    await stage.gone("Gallery", "three")
    assert stage.get("Secret", "azure")  # it is the user's; nothing but the finalizer goes
    assert not is_held(stage)


async def test_another_secret_lets_the_first_one_go(stage: Stage) -> None:
    secret(stage)
    secret(stage, "other")
    secret(stage, "unused")
    gallery(stage)
    await stage.ready("Gallery", "platform")
    stage.patch("Gallery", "platform", {"spec": {"credentialRef": {"name": "other"}}})
    await stage.until(lambda: is_held(stage, "other") and not is_held(stage))
    await stage.until(lambda: stage.status("Gallery", "platform")["credentialSecrets"] == ["other"])
    assert not is_held(stage, "unused")


async def test_secret_of_the_namespace_is_kept_for_whoever_uses_it(stage: Stage) -> None:
    secret(stage, NAMESPACE_SECRET)
    where = {"managedDisk": {"resourceGroup": RESOURCE_GROUP, "location": LOCATION, "diskName": "debian"}}
    stage.create("VhdImport", "os", {"source": {"url": {"url": "https://example.com/a"}}, "destination": where})
    vhd = disk()
    async with Player(stage) as player:
        player.end(await player.job("prepare"), checked(vhd))
        upload = await player.job("upload")
        assert is_held(stage, NAMESPACE_SECRET)
        player.end(upload, player.upload(upload, vhd))
        await stage.ready("VhdImport", "os")
        stage.delete("Secret", NAMESPACE_SECRET)
        stage.delete("VhdImport", "os")
        await stage.gone("VhdImport", "os")
    assert stage.azure.resources("Microsoft.Compute/disks") == []
    assert stage.get("Secret", NAMESPACE_SECRET) is None


async def test_what_only_observes_keeps_nothing(stage: Stage) -> None:
    secret(stage)
    gallery(stage)
    await stage.ready("Gallery", "platform")
    stage.patch("Gallery", "platform", {"spec": {"managementPolicy": "Observe"}})
    await stage.until(lambda: not is_held(stage))
    await stage.until(lambda: "credentialSecrets" not in stage.status("Gallery", "platform"))
    stage.patch("Gallery", "platform", {"spec": {"managementPolicy": "Manage"}})
    await stage.until(lambda: is_held(stage))


@pytest.mark.parametrize("moment", ["before the Secret is let go", "after the Secret is let go"])
async def test_killed_in_between(stage: Stage, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    secret(stage)
    gallery(stage)
    await stage.ready("Gallery", "platform")

    async def killed(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        if moment.startswith("before"):
            patched.setattr(credential_hold, "let_go", killed)
        else:
            patched.setattr(Engine, "_remove_finalizer", killed)
        stage.delete("Secret", "azure")
        stage.delete("Gallery", "platform")
        await stage.until(lambda: stage.status("Gallery", "platform").get("finalized"))
        if moment.startswith("after"):
            await stage.until(lambda: stage.get("Secret", "azure") is None)
        await stage.stop()
    await stage.start()
    await stage.gone("Gallery", "platform")
    await stage.until(lambda: stage.get("Secret", "azure") is None)
    assert stage.azure.resources(GALLERY) == []


async def test_killed_while_a_secret_takes_the_place_of_another(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    secret(stage)
    secret(stage, "other")
    gallery(stage)
    await stage.ready("Gallery", "platform")

    async def killed(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(credential_hold, "let_go", killed)
        stage.patch("Gallery", "platform", {"spec": {"credentialRef": {"name": "other"}}})
        await stage.until(lambda: is_held(stage, "other"))
        await stage.stop()
    # A person changes it back meanwhile: nothing is forgotten.
    stage.patch("Gallery", "platform", {"spec": {"credentialRef": {"name": "azure"}}})
    await stage.start()
    await stage.until(lambda: not is_held(stage, "other"))
    assert is_held(stage)
    assert stage.status("Gallery", "platform")["credentialSecrets"] == ["azure"]


async def test_steady_state_writes_nothing(stage: Stage) -> None:
    secret(stage)
    gallery(stage)
    await stage.ready("Gallery", "platform")
    await stage.quiet()
    before = stage.kubernetes_writes()
    stage.nudge("Gallery", "platform")
    await stage.quiet(2.0)
    assert stage.kubernetes_writes() == before
