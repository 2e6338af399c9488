"""Deletion in any order leaves nothing behind but what Retain keeps."""

from __future__ import annotations

import pytest
from tests.support.e2e import journeys
from tests.support.e2e.sandbox import KINDS, Sandbox
from tests.support.e2e.scenarios import scenario

_ORDERS = {
    "parents-first": KINDS,
    "children-first": tuple(reversed(KINDS)),
    "import-first": ("VhdImport", "Gallery", "ImageVersion", "GalleryImageDefinition"),
    "namespace": ("Namespace",),
}


@pytest.mark.parametrize("order", _ORDERS)
@scenario
def test_deletion_in_any_order(sandbox: Sandbox, order: str) -> None:
    """All four kinds are deleted in an order, without waiting in between."""
    journeys.delete_in_order(sandbox, _ORDERS[order])


@scenario
def test_parents_wait_for_children(sandbox: Sandbox) -> None:
    """A gallery that is deleted first says what it waits for, and its children go on working."""
    journeys.small_image(sandbox)
    sandbox.delete("Gallery", "platform")
    ready = sandbox.not_ready("Gallery", "platform", "HasDependents", stalled=False)
    assert "debian-12" in ready["message"]
    for kind, name in (("ImageVersion", "v1"), ("VhdImport", "os"), ("GalleryImageDefinition", "debian-12")):
        sandbox.delete(kind, name)
    sandbox.gone(("Gallery", "platform"))
    sandbox.nothing_left()


@scenario
def test_retain(sandbox: Sandbox) -> None:
    """What is to be retained stays in Azure, all the rest goes."""
    sandbox.gallery(deletionPolicy="Retain")
    sandbox.definition(deletionPolicy="Retain")
    sandbox.small_import("os", 7)
    disk = journeys.managed(sandbox)
    sandbox.small_import("kept", 8, deletionPolicy="Retain", **disk)
    sandbox.small_import(
        "gone",
        9,
        destination={"managedDisk": {**disk["destination"]["managedDisk"], "diskName": f"{sandbox.namespace}-b"}},
    )
    sandbox.version("v1", "1.0.0", deletionPolicy="Retain")
    second = {"osDisk": {"vhdImportRef": {"name": "kept"}}}
    sandbox.version("v2", "2.0.0", source=second)
    objects = [
        *(("ImageVersion", name) for name in ("v1", "v2")),
        *(("VhdImport", name) for name in ("os", "kept", "gone")),
        ("GalleryImageDefinition", "debian-12"),
        ("Gallery", "platform"),
    ]
    for kind, name in objects:
        sandbox.ready(kind, name)
    kept_disk = sandbox.status("VhdImport", "kept")["target"]["resourceId"]
    for kind, name in reversed(objects):
        sandbox.delete(kind, name)
    sandbox.gone(*objects)
    left = {item.lower() for item in sandbox.left_in_azure()}
    version = sandbox.version_id("1.0.0").lower()
    definition, gallery = version.rsplit("/", 2)[0], version.rsplit("/", 4)[0]
    assert left == {version, definition, gallery, kept_disk.lower()}


@scenario
def test_deletion_while_at_work(sandbox: Sandbox) -> None:
    """What has only begun can be deleted, too."""
    journeys.scaffold(sandbox)
    sandbox.small_import("os", 7, mebibytes=64)
    sandbox.version("v1", "1.0.0")
    sandbox.wait(
        "the upload to begin", lambda: sandbox.status("VhdImport", "os").get("phase") == "Uploading", seconds=180
    )
    objects = [
        ("VhdImport", "os"),
        ("ImageVersion", "v1"),
        ("Gallery", "platform"),
        ("GalleryImageDefinition", "debian-12"),
    ]
    for kind, name in objects:
        sandbox.delete(kind, name)
    sandbox.gone(*objects)
    sandbox.nothing_left()
    journeys.nothing_temporary(sandbox)


@scenario
def test_namespace_with_its_credential(sandbox: Sandbox) -> None:
    """A namespace can be deleted with the Secret that its gallery's credentialRef names."""
    sandbox.credential("azure")
    sandbox.gallery(credentialRef={"name": "azure"})
    sandbox.definition()
    sandbox.ready("GalleryImageDefinition", "debian-12")
    sandbox.kube.delete("Namespace", None, sandbox.namespace)
    sandbox.gone(("GalleryImageDefinition", "debian-12"), ("Gallery", "platform"))
    sandbox.wait(
        "the namespace to go", lambda: sandbox.kube.get("Namespace", None, sandbox.namespace) is None, seconds=60
    )
    sandbox.nothing_left()
