"""Waits for what Azure does with a disk; the operator looks again at its next wake, a command has to wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.gateway import Arm
from gallery_operator.azure.resource_ids import ResourceId
from gallery_operator.transfer.cloud import persist

_PATIENCE = 900.0
_FIRST_DELAY, _MOST_DELAY = 0.25, 5.0

Document = Mapping[str, Any] | None


async def until_ready(arm: Arm, disk: ResourceId, writable: frozenset[str]) -> None:
    """Wait until a disk can be written to.

    Raises:
        AzureError: Azure could not make it.
    """

    def is_ready(document: Document) -> bool:
        found = _properties(document)
        return found.get("provisioningState") == "Succeeded" and found.get("diskState") in writable

    await _until(arm, disk, is_ready, "CreatingDisk")


async def until_taken_over(arm: Arm, disk: ResourceId, writable: frozenset[str]) -> None:
    """End the upload into a disk, and wait until Azure has it.

    Raises:
        AzureError: INVALID: Azure refuses its content.
    """
    await persist(lambda: arm.revoke_access(disk))
    await _until(arm, disk, lambda document: _properties(document).get("diskState") not in writable, "Finalizing")


async def until_removed(arm: Arm, disk: ResourceId) -> None:
    """Remove a disk, and wait until it is gone."""
    found = await persist(lambda: arm.get(disk))
    if _properties(found).get("diskState") == "ActiveUpload":
        # A disk with an open SAS cannot be deleted.
        try:
            await persist(lambda: arm.revoke_access(disk))
        except AzureError as error:
            # Azure looks for the footer of a whole disk even when the upload is being given up.
            if error.kind is not ErrorKind.INVALID:
                raise
    await persist(lambda: arm.delete(disk))
    await _until(arm, disk, lambda document: document is None, "Deleting")


async def _until(arm: Arm, disk: ResourceId, good: Callable[[Document], bool], what: str) -> None:
    until = time.monotonic() + _PATIENCE
    delay = _FIRST_DELAY
    while True:
        document = await persist(lambda: arm.get(disk))
        if good(document):
            return
        if _properties(document).get("provisioningState") == "Failed":
            failure = await persist(lambda: arm.failure(disk))
            if failure is not None:
                raise failure
        if time.monotonic() + delay > until:
            message = f"{what}: Azure has not done with {disk} after {_PATIENCE:.0f} seconds"
            raise AzureError(ErrorKind.RETRY, what, message, "Give the command again: it goes on.", "disks.get")
        await asyncio.sleep(delay)
        delay = min(delay * 2, _MOST_DELAY)


def _properties(document: Document) -> Mapping[str, Any]:
    found = (document or {}).get("properties")
    return found if isinstance(found, Mapping) else {}
