"""Settings of the simulator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Config", "StorageAccount", "Timings"]


@dataclass(frozen=True, slots=True)
class Timings:
    """How long Azure takes, in Azure seconds.

    Measured in recorded traffic (January 2025, images of 30 GiB in one region) unless marked inferred.
    """

    gallery: float = 0.2
    definition: float = 0.1
    version_home: float = 420.0
    version_region: float = 420.0
    version_rescale: float = 120.0  # inferred: more or fewer replicas in a region that has some
    version_settle: float = 5.0  # inferred: an update that moves no bytes
    version_shallow: float = 45.0
    version_restore: float = 150.0  # recorded: between two and three minutes
    version_delete: float = 90.0
    version_delete_spread: float = 45.0
    share: float = 2.2
    share_region: float = 10.0  # inferred: until a share call has reached one more region
    disk: float = 0.1
    disk_hydrate: float = 30.0  # inferred: a disk made from other bytes
    access: float = 0.17
    snapshot: float = 0.9
    image: float = 5.0
    nested_lag: float = 10.0
    nested_lag_spread: float = 10.0


@dataclass(frozen=True, slots=True)
class StorageAccount:
    """A storage account that exists from the start.

    Attributes:
        name: account name, known to Azurite too.
        group: resource group it is in.
        location: its region.
    """

    name: str
    group: str
    location: str


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that is decided at start.

    Attributes:
        state_dir: folder of the database; None keeps state in memory.
        azurite: URL of the blob service.
        azurite_public: URL of the blob service as clients see it, if another.
        azurite_ca: PEM file with the CA of the blob service.
        account_key: key (base64) of all storage accounts.
        disk_account: account that holds the bytes of disks, snapshots and image versions.
        accounts: storage accounts that users' blobs are in.
        containers: blob containers that exist in each of them.
        subscriptions: subscriptions that exist.
        groups: location by resource group that exists in every subscription from the start.
        tenant: tenant of the subscriptions.
        bad_secrets: client secrets that the token endpoint refuses.
        time_scale: Azure seconds per second.
        throttle: whether budgets are enforced.
        seed: makes chances (probability of faults) repeatable.
        timings: how long things take.
    """

    state_dir: Path | None = None
    azurite: str = "https://127.0.0.1:10000"
    azurite_public: str | None = None
    azurite_ca: str | None = None
    account_key: str = field(default="", repr=False)
    disk_account: str = "mdimpexp"
    accounts: tuple[StorageAccount, ...] = ()
    containers: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ("00000000-0000-0000-0000-000000000001",)
    groups: Mapping[str, str] = field(default_factory=dict)
    tenant: str = "00000000-0000-0000-0000-0000000000aa"
    bad_secrets: tuple[str, ...] = ("wrong-secret",)
    time_scale: float = 1.0
    throttle: bool = True
    seed: int | None = None
    timings: Timings = field(default_factory=Timings)
