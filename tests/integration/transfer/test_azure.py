"""``gallery-operator upload`` with an identity: managed disks and page blobs in simulated Azure."""

from __future__ import annotations

import hashlib
import signal
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient
from tests.integration.transfer.command import Command
from tests.integration.worker import images
from tests.support.azure import BAD_SECRET, GROUP, LOCATION, SUBSCRIPTION, AzureStand

from gallery_operator.azure.credentials import CredentialSpec
from gallery_operator.azure.settings import AzureSettings
from gallery_operator.transfer.cloud import Cloud, Renewal
from gallery_operator.transfer.target import MARK

MIB = 1024 * 1024
DISK = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/disks/debian"
# Of few pieces, so that one that waits holds the others up.
SLOWLY = ("--concurrency", "1", "--bandwidth-limit", "2Mi")


@pytest.fixture
def command(azure: AzureStand, tmp_path: Path) -> Command:
    return Command(tmp_path, azure)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(images.disk_bytes(24 * MIB))
    return path


def found(azure: AzureStand) -> dict[str, Any]:
    resources = azure.resources("Microsoft.Compute/disks")
    assert len(resources) == 1
    return resources[0]


def test_a_file_becomes_a_managed_disk(command: Command, azure: AzureStand, disk: Path) -> None:
    dry = command.run(str(disk), DISK, "--no-check", "--dry-run")
    assert dry.code == 0, dry.err
    assert f"creates the managed disk in {LOCATION}" in dry.out
    assert not azure.resources("Microsoft.Compute/disks")
    ended = command.run(
        str(disk), DISK, "--no-check", "--sku", "Premium_LRS", "--generation", "V1", "--tag", "team=x", "-o", "json"
    )
    assert ended.code == 0, ended.err
    made = found(azure)["body"]
    properties = made["properties"]
    assert properties["diskState"] == "Unattached"
    assert (properties["osType"], properties["hyperVGeneration"]) == ("Linux", "V1")
    assert (made["sku"]["name"], made["location"], made["tags"]["team"]) == ("Premium_LRS", LOCATION, "x")
    vhd = hashlib.sha256(images.fixed_vhd(disk.read_bytes())).hexdigest()
    assert azure.digest(DISK)[0]["sha256"] in (vhd, hashlib.sha256(disk.read_bytes()).hexdigest())
    assert ended.report["facts"]["sha256"] == vhd
    assert not command.left()
    again = command.run(str(disk), DISK, "--no-check")
    assert again.code == 5
    assert "is there already. It is left alone" in again.err


def until_active(azure: AzureStand) -> None:
    end = time.monotonic() + 60
    while True:
        disks = azure.resources("Microsoft.Compute/disks")
        if disks and disks[0]["body"]["properties"].get("diskState") == "ActiveUpload":
            return
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.raw"
    data = bytearray(b"\x5a" * (24 * MIB))
    data[510:512] = b"\x55\xaa"
    data[446:462] = struct.pack("<B3sB3sII", 0x80, b"\0\2\0", 0x83, b"\0\0\0", 2048, 24 * MIB // 512 - 2048)
    path.write_bytes(data)
    return path


def test_an_interrupted_managed_disk_goes_on(command: Command, azure: AzureStand, large: Path) -> None:
    process = command.start(str(large), DISK, "--no-check", *SLOWLY)
    until_active(azure)
    process.send_signal(signal.SIGKILL)
    command.end(process)
    assert MARK in found(azure)["body"]["tags"]
    ended = command.run(str(large), DISK, "--no-check", "-o", "json")
    assert ended.code == 0, ended.err
    assert ended.report["resumed"]
    assert found(azure)["body"]["properties"]["diskState"] == "Unattached"
    assert not command.left()


def test_an_abandoned_managed_disk_is_removed(command: Command, azure: AzureStand, large: Path, tmp_path: Path) -> None:
    process = command.start(str(large), DISK, "--no-check", *SLOWLY)
    until_active(azure)
    process.send_signal(signal.SIGINT)
    ended = command.end(process)
    assert ended.code == 130
    assert "--abort removes what is left" in ended.err
    assert f"The disk {DISK} stays in the state ActiveUpload, and Azure charges for it" in ended.err
    (tmp_path / "elsewhere").mkdir()
    elsewhere = Command(tmp_path / "elsewhere", azure)
    other = elsewhere.run(str(large), DISK, "--no-check")
    assert other.code == 5
    assert "Another upload has left it unfinished; --abort removes it" in other.err
    ended = command.run(str(large), DISK, "--abort", "--yes")
    assert ended.code == 0, ended.err
    assert not azure.resources("Microsoft.Compute/disks")
    assert not command.left()


def test_a_disk_of_somebody_else_stays(command: Command, azure: AzureStand, disk: Path) -> None:
    properties = {"diskState": "Unattached", "provisioningState": "Succeeded", "diskSizeGB": 4}
    azure.put_resource({"id": DISK, "location": LOCATION, "sku": {"name": "Standard_LRS"}, "properties": properties})
    assert command.run(str(disk), DISK, "--no-check").code == 5
    ended = command.run(str(disk), DISK, "--abort", "--yes")
    assert "left alone" in ended.err
    assert azure.resources("Microsoft.Compute/disks")


def test_what_azure_refuses(command: Command, azure: AzureStand, disk: Path) -> None:
    elsewhere = DISK.replace(f"/{GROUP}/", "/nowhere/")
    ended = command.run(str(disk), elsewhere, "--no-check")
    assert ended.code == 5
    assert "does not exist" in ended.err
    ended = command.run(str(disk), DISK, "--no-check", AZURE_CLIENT_SECRET=BAD_SECRET)
    assert ended.code == 5
    assert BAD_SECRET not in ended.err
    assert not command.left()
    ended = command.run(str(disk), DISK, "--no-check", "--sku", "Premium_XXL")
    assert ended.code == 2


@pytest.fixture
def blob(azure: AzureStand) -> Iterator[Any]:
    service = BlobServiceClient(azure.account_url, credential=azure.account_key, connection_verify=str(azure.ca_file))
    container = service.create_container(f"c{time.time_ns()}")
    yield container.get_blob_client("folder/debian.vhd")
    container.delete_container()
    service.close()


def test_a_page_blob_by_identity(command: Command, azure: AzureStand, disk: Path, blob: Any) -> None:
    ended = command.run(str(disk), blob.url, "--no-check", "-o", "json")
    assert ended.code == 0, ended.err
    assert blob.download_blob().readall() == images.fixed_vhd(disk.read_bytes())
    assert not command.left()
    missing = command.run(str(disk), blob.url.replace(blob.container_name, "not-there"), "--no-check")
    assert missing.code in (5, 6)
    assert "ontainer" in missing.err


def test_the_sas_is_renewed(azure: AzureStand) -> None:
    settings = AzureSettings.from_environment({**azure.environment, "GALLERY_OPERATOR_AZURE_RATE_FACTOR": "100"})
    environment = {**azure.environment, "AZURE_CLIENT_SECRET": "a-secret"}
    issued: list[str] = []
    renewed = threading.Event()

    def put(url: str) -> None:
        issued.append(url)
        if len(issued) == 3:
            renewed.set()

    with Cloud(settings, CredentialSpec.from_environment(environment)) as cloud:
        blobs = cloud.gateway.blobs(cloud.credential)
        with Renewal(cloud, lambda seconds: blobs.upload_sas(f"{azure.account_url}/c/b.vhd", seconds), put, 2):
            assert renewed.wait(30)
        count = len(issued)
        assert len(set(issued)) >= 2
        time.sleep(2)
        assert len(issued) == count, "nothing is issued after the end"
