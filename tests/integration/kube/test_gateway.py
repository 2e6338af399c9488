"""The gateway against a real API server: pages, preconditions, patches, subresources, errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from tests.support.apiserver import ApiServer

from gallery_operator.kube import KubeError, KubeGateway, KubeReason


@pytest.fixture
async def kube(apiserver: ApiServer) -> AsyncIterator[KubeGateway]:
    async with KubeGateway(str(apiserver.kubeconfig)) as gateway:
        yield gateway
    await asyncio.sleep(0.1)  # TLS connections report that they are closed a few turns later


def config_map(namespace: str, name: str, **labels: str) -> dict[str, object]:
    return {"metadata": {"namespace": namespace, "name": name, "labels": labels}}


async def test_create_read_list_and_delete(kube: KubeGateway, namespace: str) -> None:
    assert await kube.get("ConfigMap", namespace, "a") is None
    created = await kube.create("ConfigMap", config_map(namespace, "a", team="x"))
    with pytest.raises(KubeError) as refused:
        await kube.create("ConfigMap", config_map(namespace, "a"))
    assert refused.value.reason is KubeReason.ALREADY_EXISTS
    await kube.create("ConfigMap", config_map(namespace, "b"))
    found = await kube.list("ConfigMap", namespace, "team=x")
    assert [(each["kind"], each["metadata"]["name"]) for each in found] == [("ConfigMap", "a")]
    assert not await kube.delete("ConfigMap", namespace, "a", uid="00000000-0000-0000-0000-000000000000")
    assert await kube.delete("ConfigMap", namespace, "a", uid=created["metadata"]["uid"])
    assert not await kube.delete("ConfigMap", namespace, "a")


async def test_a_list_of_many_pages_is_whole(kube: KubeGateway, namespace: str) -> None:
    names = [f"m-{number}" for number in range(620)]
    for start in range(0, len(names), 40):
        chunk = names[start : start + 40]
        await asyncio.gather(*(kube.create("ConfigMap", config_map(namespace, name, many="x")) for name in chunk))
    assert {each["metadata"]["name"] for each in await kube.list("ConfigMap", namespace, "many=x")} == set(names)


async def test_replace_needs_the_present_version(kube: KubeGateway, namespace: str) -> None:
    old = await kube.create("ConfigMap", config_map(namespace, "a"))
    await kube.replace("ConfigMap", {**old, "data": {"x": "1"}})
    with pytest.raises(KubeError) as refused:
        await kube.replace("ConfigMap", {**old, "data": {"x": "2"}})
    assert refused.value.reason is KubeReason.CONFLICT


async def test_a_failed_test_of_a_json_patch_is_a_conflict(kube: KubeGateway, namespace: str) -> None:
    await kube.create("ConfigMap", config_map(namespace, "a"))
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": "0"}
    change = {"op": "add", "path": "/metadata/finalizers", "value": ["x/y"]}
    with pytest.raises(KubeError) as refused:
        await kube.json_patch("ConfigMap", namespace, "a", [test, change])
    assert refused.value.reason is KubeReason.CONFLICT


async def test_status_goes_to_its_subresource_and_never_to_a_namesake(kube: KubeGateway, namespace: str) -> None:
    spec = {"resourceGroup": "rg", "location": "westeurope"}
    await kube.create("Gallery", {**config_map(namespace, "g"), "spec": spec})
    write = {"op": "add", "path": "/status", "value": {"location": "x"}}
    changed = await kube.patch_status("Gallery", namespace, "g", [write])
    assert changed["status"] == {"location": "x"}
    behind = {"op": "add", "path": "/status/location", "value": "y"}
    changed = await kube.json_patch("Gallery", namespace, "g", [behind])
    assert changed["status"] == {"location": "x"}
    other = [{"op": "test", "path": "/metadata/uid", "value": "00000000-0000-0000-0000-000000000000"}, write]
    with pytest.raises(KubeError) as refused:
        await kube.patch_status("Gallery", namespace, "g", other)
    assert refused.value.reason is KubeReason.CONFLICT
    with pytest.raises(KubeError) as refused:
        await kube.json_patch("Gallery", namespace, "g", [{"op": "add", "path": "/spec/location", "value": "eastus"}])
    assert refused.value.reason is KubeReason.INVALID
    assert "cannot be moved" in str(refused.value)
    with pytest.raises(KubeError) as refused:
        await kube.patch_status("Gallery", namespace, "missing", [write])
    assert refused.value.reason is KubeReason.NOT_FOUND


async def test_kopf_gets_the_same_way_to_the_cluster(kube: KubeGateway, apiserver: ApiServer) -> None:
    how = await kube.connection()
    assert how.server == apiserver.url
    assert how.certificate_path is not None
    assert Path(how.certificate_path).exists()
    assert how.insecure is False


async def test_a_server_that_is_away_is_unavailable(apiserver: ApiServer, tmp_path: Path) -> None:
    config = yaml.safe_load(apiserver.kubeconfig.read_text())
    for cluster in config["clusters"]:
        cluster["cluster"]["server"] = "https://127.0.0.1:1"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    async with KubeGateway(str(path)) as gateway:
        with pytest.raises(KubeError) as refused:
            await gateway.get("ConfigMap", "default", "x")
    assert refused.value.reason is KubeReason.UNAVAILABLE


async def test_no_usable_kubeconfig_is_told(tmp_path: Path) -> None:
    with pytest.raises(KubeError):
        async with KubeGateway(str(tmp_path / "missing")):
            pass
