"""The simulator against recorded traffic of the real service.

The recordings are not part of the repository. `GALLERY_OPERATOR_RECORDED` names their folder; without it, and without
the folder beside the checkout, these tests are skipped.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from azure_simulator.blobs import BlobPath, BlobStore
from azure_simulator.replay import Replay, read_recording
from azure_simulator.vhd import FOOTER_BYTES, GIB, build_footer
from tests.support.azure import ROOT, STORAGE_ACCOUNT, SUBSCRIPTION, AzureStand

from .plain import client

FOLDER = Path(os.environ.get("GALLERY_OPERATOR_RECORDED") or ROOT.parent / "shared" / "data" / "recorded")
NAMES = (
    "community_gallery_operations",
    "gallery_e2e",
    "gallery_image_version_vhd",
    "image_version_create_os_vhd",
    "shared_gallery",
    "snapshot_access",
    "vm_disk_upload",
)

# Differences that are known and meant, by recording, interaction and place.
EXPECTED: dict[tuple[str, int, str], str] = {
    ("shared_gallery", 66, "body.value (length)"): "the recording's tenant sees somebody else's gallery, too",
}


def make_blob(stand: AzureStand, name: str, gib: int) -> str:
    async def make() -> str:
        keys = {STORAGE_ACCOUNT: stand.account_key}
        store = BlobStore(stand.blob_url, keys, ca_file=str(stand.ca_file))
        try:
            path = BlobPath(STORAGE_ACCOUNT, "vhds", name)
            await store.create(path, gib * GIB + FOOTER_BYTES, build_footer(gib * GIB))
            return store.url(path)
        finally:
            await store.close()

    return asyncio.run(make())


@pytest.mark.parametrize("name", NAMES)
def test_recording(azure: AzureStand, name: str) -> None:
    path = FOLDER / f"{name}.jsonl"
    if not path.exists():
        pytest.skip("the recorded traffic is not here; set GALLERY_OPERATOR_RECORDED to its folder")
    azure.set_scale(1)
    replay = Replay(
        send=client(azure),
        put=lambda body, disks: azure.request("PUT", "/_control/resources", {"body": body, "disks": disks}),
        make_blob=lambda blob, gib: make_blob(azure, blob, gib),
        skip=azure.skip,
        subscription=SUBSCRIPTION,
        account=STORAGE_ACCOUNT,
    )
    recording = read_recording(path.read_text().splitlines())
    found = replay.play(recording)
    unexpected = [str(row) for row in found if (name, row.n, row.where) not in EXPECTED]
    assert not unexpected, "\n".join(unexpected)
    assert len(replay.skipped) < len(recording) / 2, replay.skipped
