"""Managed disks and snapshots."""

from __future__ import annotations

from typing import Any

from ..store import Resource
from ..vhd import FOOTER_BYTES, GIB
from .diskbase import DiskKind

__all__ = ["Disks", "Snapshots"]

# Performance of premium disks: size in GiB up to which, tier, IOPS, MB/s. Source: Microsoft's table of disk types;
# P3 and P4 agree with recorded traffic.
_PREMIUM = (
    (4, "P1", 120, 25),
    (8, "P2", 120, 25),
    (16, "P3", 120, 25),
    (32, "P4", 120, 25),
    (64, "P6", 240, 50),
    (128, "P10", 500, 100),
    (256, "P15", 1100, 125),
    (512, "P20", 2300, 150),
    (1024, "P30", 5000, 200),
    (2048, "P40", 7500, 250),
    (4096, "P50", 7500, 250),
    (8192, "P60", 16000, 500),
    (16384, "P70", 18000, 750),
    (32767, "P80", 20000, 900),
)
_COMMON = {
    "encryption": {"type": "EncryptionAtRestWithPlatformKey"},
    "networkAccessPolicy": "AllowAll",
    "publicNetworkAccess": "Enabled",
}


class Disks(DiskKind):
    """Microsoft.Compute/disks."""

    types = ("disks",)

    def finished(self, resource: Resource, blob_bytes: int) -> dict[str, Any]:
        """See `DiskKind.finished`."""
        sku = resource.body["sku"]
        size = -(-(blob_bytes - FOOTER_BYTES) // GIB)
        added: dict[str, Any] = {name: value for name, value in _COMMON.items() if name not in resource.properties}
        if sku["name"].startswith("Premium_"):
            sku["tier"] = "Premium"
            _, tier, iops, rate = next((row for row in _PREMIUM if size <= row[0]), _PREMIUM[-1])
            added.update(tier=tier, diskIOPSReadWrite=iops, diskMBpsReadWrite=rate)
        else:
            sku["tier"] = "Premium" if sku["name"] == "PremiumV2_LRS" else "Standard"
            speed = {"diskIOPSReadWrite": 500, "diskMBpsReadWrite": 60}
            added.update((name, value) for name, value in speed.items() if name not in resource.properties)
        if resource.properties["creationData"]["createOption"].startswith("Upload"):
            added["diskState"] = "ReadyToUpload"
            return added
        added.update(diskSizeGB=size, diskSizeBytes=blob_bytes - FOOTER_BYTES, diskState="Unattached")
        return added


class Snapshots(DiskKind):
    """Microsoft.Compute/snapshots."""

    types = ("snapshots",)

    def finished(self, resource: Resource, blob_bytes: int) -> dict[str, Any]:
        """See `DiskKind.finished`."""
        sku = resource.body["sku"]
        sku["tier"] = "Premium" if sku["name"].startswith("Premium_") else "Standard"
        added: dict[str, Any] = {name: value for name, value in _COMMON.items() if name not in resource.properties}
        added.update(
            diskSizeGB=-(-(blob_bytes - FOOTER_BYTES) // GIB),
            diskSizeBytes=blob_bytes - FOOTER_BYTES,
            diskState="Unattached",
            incremental=bool(resource.properties.get("incremental", False)),
        )
        return added
