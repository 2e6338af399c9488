"""Disks come in from URLs and claims, and end where they should, bit for bit."""

from __future__ import annotations

from tests.support.e2e import disks, journeys
from tests.support.e2e.kube import condition
from tests.support.e2e.sandbox import SMALL_MIB, Sandbox
from tests.support.e2e.scenarios import long_scenario, scenario


@long_scenario
def test_image_from_claims(sandbox: Sandbox) -> None:
    """A real Debian and a data disk on a claim become a version in three regions."""
    journeys.image_from_claims(sandbox, real=True, seconds=400)


@long_scenario
def test_url_to_page_blob(sandbox: Sandbox) -> None:
    """A real Debian, as qcow2.xz with a checksum, becomes a page blob."""
    journeys.import_to_page_blob(sandbox, seconds=400)
    told = journeys.events(sandbox, "VhdImport", "os")
    assert {"Preparing", "Checked", "Uploading", "Uploaded"} <= set(told)
    assert len(told) == len(set(told)), f"an event was told twice: {told}"


@long_scenario
def test_url_to_managed_image(sandbox: Sandbox) -> None:
    """A real Debian from a URL and a data disk of another import become a managed image."""
    journeys.import_to_managed_image(sandbox, seconds=400)


@scenario
def test_private_url_to_managed_disk(sandbox: Sandbox) -> None:
    """A data disk from a server with a private CA and a secret header becomes a managed disk."""
    journeys.import_to_managed_disk(sandbox)


@scenario
def test_dropped_connections(sandbox: Sandbox) -> None:
    """A download goes on where it was when the connection drops."""
    name = f"{disks.DATA}.vhd"
    url = f"{disks.HTTPS}/flaky/{sandbox.namespace}/{name}"
    sandbox.vhd_import("data", sandbox.url(url), diskRole="data", **journeys.managed(sandbox))
    status = sandbox.ready("VhdImport", "data")["status"]
    assert status["disk"]["sha256"] == disks.digests().data
    # Three that broke, and one for the rest; more where the rest came over several connections.
    assert disks.counts(sandbox.kube)[f"/flaky/{sandbox.namespace}/{name}"] >= 4, "it was not resumed, or not dropped"


@scenario
def test_objects_wait_for_what_they_need(sandbox: Sandbox) -> None:
    """Missing things are named one after the other, and each is found when it comes."""
    sandbox.version("v1", "1.0.0")
    sandbox.not_ready("ImageVersion", "v1", "DefinitionNotFound", stalled=False)
    claim = {"pvc": {"claimName": "later", "path": "disk.raw"}}
    sandbox.vhd_import("os", claim, prerequisites={"policy": "Warn", "onUnknown": "Allow"})
    sandbox.not_ready("VhdImport", "os", "DefinitionNotFound", stalled=False)
    sandbox.definition()
    sandbox.not_ready("GalleryImageDefinition", "debian-12", "GalleryNotFound", stalled=False)
    sandbox.gallery()
    ready = sandbox.not_ready("VhdImport", "os", "PVCNotFound", stalled=False)
    assert "later" in ready["message"]
    sandbox.claim("later")
    sandbox.fill("later", disks.random_url(SMALL_MIB, 21), "disk.raw")
    version = sandbox.ready("ImageVersion", "v1")
    assert condition(version, "Reconciling").get("status", "False") == "False"
