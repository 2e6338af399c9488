"""The operator does its whole work with the rights that the chart gives it, and with nothing else."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from tests.integration.chart.install import install_rights
from tests.integration.reconcilers.player import MIB, Player, checked, disk
from tests.integration.reconcilers.stage import Stage
from tests.support import reports
from tests.support.apiserver import ApiServer
from tests.support.azure import AzureStand
from tests.support.chart import NAMESPACE
from tests.support.kubelet import kubelet

from gallery_operator.runtime.lease import LeaseSettings

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("release_namespaces")]


async def test_whole_journey(
    apiserver: ApiServer, azure: AzureStand, namespace: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # In one namespace: other tests' objects are none of this operator's business. The rules of a ClusterRole are the
    # same, and test_cluster.py asks the API server about them.
    caplog.set_level(logging.INFO)
    values: dict[str, Any] = {"fullnameOverride": "journey", "watchNamespaces": [namespace]}
    account = install_rights(apiserver, tmp_path, values)
    stage = Stage(apiserver, azure, namespace)
    try:
        await stage.start(
            kubeconfig=str(apiserver.kubeconfig_of(NAMESPACE, account, tmp_path)),
            lease=LeaseSettings(NAMESPACE, "gallery-operator", "test"),
        )
        await _journey(stage)
    finally:
        await stage.stop()
    refused = [record.getMessage() for record in caplog.records if "forbidden" in record.getMessage().lower()]
    assert not refused


async def _journey(stage: Stage) -> None:
    """Every kind of object that the operator reads or writes: a URL with headers and CA, a claim, Jobs, a version."""
    stage.post("Secret", {"metadata": {"name": "auth"}, "stringData": {"Authorization": "x"}})
    stage.post("ConfigMap", {"metadata": {"name": "ca"}, "data": {"ca.crt": "-----BEGIN CERTIFICATE-----"}})
    stage.gallery()
    stage.definition()
    url = {
        "url": "https://images.example.com/a.xz",
        "headersSecretRef": {"name": "auth"},
        "caBundleRef": {"name": "ca"},
    }
    # The operator makes the import itself: v1-os.
    stage.version(source={"osDisk": {"importTemplate": {"spec": {"source": {"url": url}}}}})
    report = reports.document()
    with kubelet(stage.api) as node:
        async with Player(stage) as player:
            player.node = node.node
            vhd = disk(20 * MIB)  # the smallest managed disk
            prepare = await player.job("prepare")
            pod = player.run(prepare)
            node.logs[pod] = reports.log(report)
            player.end(prepare, checked(vhd, prerequisites=reports.summary(report)), pod=pod)
            await _rest(stage, player, vhd)


async def _rest(stage: Stage, player: Player, vhd: bytes) -> None:
    upload = await player.job("upload")
    assert (stage.get("ConfigMap", "v1-os-prerequisites") or {})["data"]["report.txt"]
    player.end(upload, player.upload(upload, vhd))
    await stage.ready("ImageVersion", "v1")
    # What was only needed on the way is gone again.
    await stage.until(lambda: [each["metadata"]["name"] for each in stage.list("Secret")] == ["auth"])
    await stage.until(lambda: stage.list("PersistentVolumeClaim") == [])
    assert {each["reason"] for each in stage.events("v1-os")} >= {"Preparing", "Uploading", "Ready"}
    # And makes it anew when it is needed again.
    await stage.reason("VhdImport", "v1-os", "Released")
    first = (stage.get("VhdImport", "v1-os") or {})["metadata"]["uid"]
    stage.arm("DELETE", stage.version_id)
    await stage.until(
        lambda: ((stage.get("VhdImport", "v1-os") or {}).get("metadata") or {}).get("uid", first) != first
    )
    for kind, name in (
        ("ImageVersion", "v1"),
        ("VhdImport", "v1-os"),
        ("GalleryImageDefinition", "debian"),
        ("Gallery", "platform"),
    ):
        stage.delete(kind, name)
        await stage.gone(kind, name)
