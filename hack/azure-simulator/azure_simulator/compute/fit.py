"""Whether a source fits the definition that a version is made in.

Texts are those of Microsoft's "Troubleshoot images" page unless marked inferred.
"""

from __future__ import annotations

import json
from typing import Any

from ..errors import bad_parameter
from ..ids import parse_id
from ..store import Resource
from .encryption import encryption_unsupported
from .security import security_type
from .sources import Collected
from .stored import STORAGE

__all__ = ["check_fit"]

_ENCRYPTABLE = (
    "microsoft.compute/disks",
    "microsoft.compute/snapshots",
    "microsoft.compute/images",
    "microsoft.compute/virtualmachines",
)


def check_fit(
    definition: Resource, source: Collected, subscription: str, *, encrypted: bool, confidential: bool
) -> None:
    """Check a version's source against its definition.

    Args:
        definition: the definition.
        source: the disks and what they come from.
        subscription: the version's subscription.
        encrypted: whether any region names a disk encryption set.
        confidential: whether any region encrypts for confidential virtual machines.

    Raises:
        ArmError: 400, they do not fit.
    """
    wanted, disk = definition.properties, source.disks[0]
    if source.os_state is not None and source.os_state != wanted["osState"]:
        raise bad_parameter(
            f"Cannot create Gallery Image Version from: {disk.origin} since the OS State in the parent gallery image "
            f"({wanted['osState']}) is not {source.os_state}",
            STORAGE,
        )
    if disk.generation is not None and disk.generation != wanted["hyperVGeneration"]:
        raise bad_parameter(
            f"The resource with id '{disk.origin}' has a different Hypervisor generation ['{disk.generation}'] than "
            f"the parent gallery image Hypervisor generation ['{wanted['hyperVGeneration']}']",
            STORAGE,
        )
    if disk.os_type is not None and disk.os_type != wanted["osType"]:
        raise bad_parameter(
            f"The resource with id '{disk.origin}' has a different OS type ['{disk.os_type}'] than the parent gallery "
            f"image OS type generation ['{wanted['osType']}']",
            STORAGE,
        )
    if source.origin is not None:
        _check_plan(source.origin, wanted.get("purchasePlan"))
    _check_encryption(source, subscription, encrypted=encrypted)
    if confidential and "confidential" not in security_type(wanted):
        raise bad_parameter(  # inferred: that it is refused, and the words
            "Confidential VM encryption needs a gallery image with the security type ConfidentialVM or "
            "ConfidentialVMSupported.",
            "galleryImageVersion.properties.publishingProfile.targetRegions.encryption",
        )


def _check_plan(origin: Resource, parent: Any) -> None:
    """Refuse a machine with a purchase plan in a definition without, and the other way round."""
    plan = origin.body.get("plan")
    if origin.type != "microsoft.compute/virtualmachines" or _plan(plan) == _plan(parent):
        return
    shown = "null" if not plan else json.dumps(plan, separators=(",", ":"))
    other = "null" if not parent else json.dumps(parent, separators=(",", ":"))
    raise bad_parameter(
        f"The resource with id '{origin.id}' has a different plan ['{shown}'] than the parent gallery image plan "
        f"['{other}']",
        STORAGE,
    )


def _plan(value: Any) -> tuple[str, ...]:
    return tuple(str((value or {}).get(name) or "").lower() for name in ("name", "publisher", "product"))


def _check_encryption(source: Collected, subscription: str, *, encrypted: bool) -> None:
    for disk in source.disks:
        if encrypted and (disk.kind is None or disk.kind not in _ENCRYPTABLE):
            raise encryption_unsupported(disk.origin)
        rid = parse_id(disk.origin)
        if disk.encrypted and rid is not None and rid.subscription.lower() != subscription.lower():
            raise bad_parameter(
                f"Encrypted source: '{disk.origin}' is in a different subscription ID than the current gallery image "
                f"version subscription '{subscription}'. Please retry with an unencrypted source(s) or use the "
                f"source's subscription '{rid.subscription}' to create the gallery image version",
                STORAGE,
            )
