"""Real bytes in Azurite for the tests."""

from __future__ import annotations

import hashlib
from typing import Any

from azure.storage.blob import BlobType
from azure.storage.blob.aio import BlobClient, BlobServiceClient
from azure_simulator.vhd import MIB, build_footer
from tests.support.azure import STORAGE_ACCOUNT, AzureStand


def vhd(mib: int = 1, fill: bytes = b"data") -> bytes:
    """Return a small fixed VHD: `mib` MiB that begin with `fill`, and a footer."""
    return fill.ljust(mib * MIB, b"\0") + build_footer(mib * MIB)


async def upload(azure: AzureStand, name: str, content: bytes, *, kind: BlobType = BlobType.PAGEBLOB) -> str:
    """Upload a blob to the test's storage account with its key and return its URL."""
    options: dict[str, Any] = {"retry_total": 0, "max_page_size": MIB, "connection_verify": str(azure.ca_file)}
    async with BlobServiceClient(
        azure.account_url, credential={"account_name": STORAGE_ACCOUNT, "account_key": azure.account_key}, **options
    ) as service:
        container = service.get_container_client("vhds")
        if not await container.exists():
            await container.create_container()
        await container.upload_blob(name, content, blob_type=kind, overwrite=True, length=len(content))
    return f"{azure.account_url}/vhds/{name}"


async def write_pages(azure: AzureStand, url: str, content: bytes) -> None:
    """Write a whole page blob through a signed URL, as the upload worker does."""
    async with BlobClient.from_blob_url(url, retry_total=0, connection_verify=str(azure.ca_file)) as blob:
        for start in range(0, len(content), MIB):
            piece = content[start : start + MIB]
            await blob.upload_page(piece, offset=start, length=len(piece), validate_content=True)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
