"""A prepared disk, a container in the storage emulator, and a proxy before it."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobSasPermissions, BlobServiceClient, ContainerClient, generate_blob_sas
from tests.integration.worker import images
from tests.integration.worker.blobproxy import BlobProxy
from tests.support.azure import STORAGE_ACCOUNT, AzureStand

from gallery_operator.contract import PrepareConfig, Report, UploadConfig
from gallery_operator.worker.backoff import Backoff
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.prepare import prepare
from gallery_operator.worker.target import TargetPolicy
from gallery_operator.worker.tracking import Tracker
from gallery_operator.worker.upload import upload

MIB = 1024 * 1024
QUICK = TargetPolicy(
    backoff=Backoff(first=0.01, most=0.05, tries=5, patience=2.0),
    renewal_seconds=2.0,
    poll_seconds=0.02,
    timeout=20.0,
    lease_seconds=0.1,
    lease_poll_seconds=0.02,
)


def big_disk(size: int = 96 * MIB, data: int = 40 * MIB, seed: int = 3) -> bytes:
    """A disk whose first part is full and whose rest is zero but for a few spots."""
    chance = random.Random(seed)
    disk = bytearray(size)
    disk[:data] = chance.randbytes(data)
    disk[510:512] = b"\x55\xaa"
    for at in (50 * MIB + 4096, 77 * MIB - 512, size - 512):
        disk[at : at + 512] = chance.randbytes(512)
    return bytes(disk)


class Stage:
    """A prepared disk, a container, a proxy before it, and files as the pod has them."""

    def __init__(self, folder: Path, azure: AzureStand, proxy: BlobProxy, config: PrepareConfig) -> None:
        self.folder = folder
        self.azure = azure
        self.proxy = proxy
        self.prepare_config = config
        self.container_name = f"c{time.time_ns()}"
        service = BlobServiceClient(
            azure.account_url, credential=azure.account_key, connection_verify=str(azure.ca_file)
        )
        self.container: ContainerClient = service.create_container(self.container_name)
        self.service = service
        self.data = b""
        self.report: Report | None = None

    def close(self) -> None:
        self.container.delete_container()
        self.service.close()

    def prepare(self, data: bytes) -> None:
        self.data = data
        (self.folder / "source" / "disk").write_bytes(data)
        self.report = prepare(self.prepare_config, Tracker("prepare"))
        assert self.report.disk is not None

    @property
    def vhd(self) -> bytes:
        return images.fixed_vhd(self.data)

    @property
    def sent_minimum(self) -> int:
        assert self.report is not None
        assert self.report.disk is not None
        return (self.report.disk.data_bytes or 0) + 512

    def sas(self, permission: str = "rcw", lifetime: timedelta = timedelta(hours=1), name: str = "disk.vhd") -> str:
        token = generate_blob_sas(
            STORAGE_ACCOUNT,
            self.container_name,
            name,
            account_key=self.azure.account_key,
            permission=BlobSasPermissions.from_string(permission),
            expiry=datetime.now(UTC) + lifetime,
            start=datetime.now(UTC) - timedelta(hours=2),
        )
        return f"{self.proxy.url}/{STORAGE_ACCOUNT}/{self.container_name}/{name}?{token}"

    def config(self, **options: Any) -> UploadConfig:
        assert self.report is not None
        assert self.report.disk is not None
        file = self.folder / "url"
        url = options.pop("url", None)
        file.write_text((url or self.sas()) + "\n")
        values: dict[str, Any] = {
            "target": "pageBlob",
            "virtual_size": self.report.disk.virtual_size,
            "sha256": self.report.disk.sha256,
            "concurrency": 4,
            "blob_metadata": {"made_by": "test"},
            "target_url_file": str(file),
            "scratch_dir": str(self.folder / "scratch"),
            "source_dir": str(self.folder / "source"),
            "port": 0,
        }
        return UploadConfig(**{**values, **options})

    def upload(self, **options: Any) -> Report:
        return upload(self.config(**options), Tracker("upload"), QUICK)

    def refused(self, **options: Any) -> WorkerError:
        with pytest.raises(WorkerError) as caught:
            self.upload(**options)
        assert "sig=" not in caught.value.message
        return caught.value

    @property
    def blob(self) -> Any:
        return self.container.get_blob_client("disk.vhd")

    def content(self) -> bytes:
        return bytes(self.blob.download_blob().readall())
