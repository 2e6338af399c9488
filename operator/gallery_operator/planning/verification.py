"""What became of the comparison after an upload, for status and Events, and the digest for tags. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from gallery_operator.api import GROUP, VhdImport
from gallery_operator.contract import VerificationFacts
from gallery_operator.planning.progress import human
from gallery_operator.planning.status import timestamp

DIGEST_TAG = f"{GROUP}-sha256"
"""Of a disk: SHA-256 of its VHD. Of an image or version with ``-os``, or ``-data-<lun>``."""
_MOST_TAGS = 50
"""Azure's limit for a resource."""


def fields(facts: VerificationFacts, vhd_import: VhdImport, now: datetime) -> dict[str, Any]:
    """Return ``status.verification``.

    Args:
        facts: What the worker found.
        vhd_import: The import, prepared.
        now: Present time.
    """
    disk = vhd_import.status.disk
    return {
        "readBack": facts.read_back,
        "readBackBytes": facts.read_back_bytes,
        "pagesListed": facts.listed,
        "repairedBytes": facts.repaired_bytes + facts.cleared_bytes,
        "notReadBack": facts.refused,
        "sha256": disk.sha256 if disk is not None else "",
        "time": timestamp(now),
    }


def events(facts: VerificationFacts, data: int) -> list[tuple[str, str, str]]:
    """Return the Events of a comparison that has ended well.

    Args:
        facts: What the worker found.
        data: Bytes of the disk that are not zero.
    """
    found = []
    mended = facts.repaired_bytes + facts.cleared_bytes
    if mended:
        message = f"Azure's storage had lost or damaged {human(mended)} that it had acknowledged; they are mended."
        found.append(("Warning", "Repaired", message))
    listed = "the list of written pages compared" if facts.listed else "the list of written pages not available"
    if facts.refused is not None:
        read = f"nothing read back, Azure does not let it be read ({facts.refused})"
    else:
        read = f"{human(facts.read_back_bytes)} read back of {human(data)}"
    found.append(("Normal", "Verified", f"What is in Azure is what was checked: {listed}, {read}."))
    return found


def digest_tags(digests: Iterable[tuple[int | None, str]], others: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that name the disks of an image or version by their SHA-256.

    Azure takes 50 tags in all: of many data disks those with the highest LUNs have none.

    Args:
        digests: LUN (None: OS disk) and SHA-256 (hex) of each disk whose digest is known.
        others: All other tags that will be there.
    """
    ordered = sorted(digests, key=lambda each: -1 if each[0] is None else each[0])
    room = max(0, _MOST_TAGS - len(others))
    return {f"{DIGEST_TAG}-{'os' if lun is None else f'data-{lun}'}": digest for lun, digest in ordered[:room]}
