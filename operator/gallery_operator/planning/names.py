"""Names of what an import makes in the cluster; deterministic, so that a restart finds what it made."""

import hashlib
import json
from typing import Any

_LONGEST = 63
_LONGEST_IMPORT = 80


def fingerprint(*parts: Any) -> str:
    """Return a short digest of JSON-able settings; equal settings give equal digests."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def child_name(parent: str, purpose: str, suffix: str = "") -> str:
    """Return ``<parent>-<purpose>-<suffix>``, shortened to a DNS label without losing uniqueness.

    Args:
        parent: Name of the owning object.
        purpose: For example ``prepare``.
        suffix: A fingerprint; empty (and no hyphen before it) for what there is only one of.
    """
    tail = f"-{purpose}-{suffix}" if suffix else f"-{purpose}"
    head = parent.replace(".", "-")
    if len(head) + len(tail) > _LONGEST or head != parent:
        mark = hashlib.sha256(parent.encode()).hexdigest()[:6]
        head = head[: _LONGEST - len(tail) - len(mark) - 1].rstrip("-") + "-" + mark
    return head + tail


def staging_disk_name(namespace: str, name: str, uid: str) -> str:
    """Return the name of the staging disk of an import: readable, unique, at most 80 characters (Azure's limit)."""
    mark = hashlib.sha256(uid.encode()).hexdigest()[:8]
    return f"{namespace}-{name}"[: 80 - len("-staging-") - len(mark)].rstrip("-._") + f"-staging-{mark}"


def import_name(version: str, lun: int | None) -> str:
    """Return the name of the VhdImport that an image version makes for one of its disks.

    Args:
        version: Name of the ImageVersion.
        lun: LUN of the data disk, None for the OS disk.

    Returns:
        ``<version>-os`` or ``<version>-data-<lun>``; a long name is shortened without losing uniqueness, so that the
        disk or blob named after it keeps within Azure's 80 characters.
    """
    tail = "-os" if lun is None else f"-data-{lun}"
    if len(version) + len(tail) <= _LONGEST_IMPORT:
        return version + tail
    mark = "-" + hashlib.sha256(version.encode()).hexdigest()[:6]
    return version[: _LONGEST_IMPORT - len(mark) - len(tail)].rstrip("-.") + mark + tail
