"""The whole report of a disk as one document, and its forms for a cluster."""

from __future__ import annotations

import json
from typing import Final

from gallery_operator.contract import (
    CheckCounts,
    CheckedAgainst,
    CheckedContainer,
    CheckOutcome,
    ChecksDocument,
    GuestProfile,
    PrerequisitesConfig,
)
from gallery_operator.prerequisites import render
from gallery_operator.prerequisites.container import ContainerFacts
from gallery_operator.prerequisites.model import CheckReport, Status

MAX_BYTES: Final = 900 * 1024
"""Most bytes of all texts together: the API server takes an object of about 1 MiB (etcd's limit is 1.5 MiB)."""

JSON_KEY: Final = "report.json"
TEXT_KEY: Final = "report.txt"

_CUTS: Final = (None, 1000, 400, 160, 60, 0)
_COLUMNS: Final = 120


def whole(
    report: CheckReport, image: str, container: ContainerFacts, profile: GuestProfile, config: PrerequisitesConfig
) -> ChecksDocument:
    """Return all rows, in the catalogue's order, with what they were judged by.

    Args:
        report: The outcome.
        image: Name of the file, or of the import.
        container: The file.
        profile: What the disk was checked against.
        config: How findings are judged.
    """
    return ChecksDocument(
        image=image,
        verdict=report.verdict,
        distribution=report.distribution,
        architecture=report.architecture,
        container=CheckedContainer(
            format=container.format, compression=container.compression, virtual_size=container.virtual_size
        ),
        checked_against=CheckedAgainst(
            os_state=profile.os_state,
            hyper_v_generation=profile.hyper_v_generation,
            architecture=profile.architecture,
            disk_role=profile.disk_role,
            replication_mode=container.replication_mode,
            features=dict(profile.features),
            level=config.level,
        ),
        summary=CheckCounts(
            passed=report.count(Status.PASS),
            errors=report.count(Status.FAIL),
            warnings=report.count(Status.WARN),
            information=report.count(Status.INFO),
            unknown=report.count(Status.UNKNOWN),
            ignored=report.count(Status.IGNORED),
            not_applicable=report.count(Status.NOT_APPLICABLE),
        ),
        notes=report.notes,
        results=tuple(
            CheckOutcome(
                id=each.id,
                status=each.status.value,
                severity=each.severity.value,
                title=each.title,
                message=each.message,
                remedy=each.remedy,
                source=each.source,
            )
            for each in report.results
        ),
    )


def published(document: ChecksDocument) -> dict[str, str]:
    """Return a report as the texts of a ConfigMap: JSON for programs, the whole table for people.

    Args:
        document: The report; texts are cut, and in the end results left out, until it fits ``MAX_BYTES``.

    Returns:
        Texts by key; both say so when something was cut.
    """
    for characters in _CUTS:
        shorter = document if characters is None else _cut(document, characters)
        texts = _texts(shorter)
        if _size(texts) <= MAX_BYTES:
            return texts
    kept = len(document.results)
    while _size(texts) > MAX_BYTES:
        kept //= 2
        texts = _texts(shorter.model_copy(update={"results": shorter.results[:kept], "notes": ()}))
    return texts


def _texts(document: ChecksDocument) -> dict[str, str]:
    style = render.Style(width=_COLUMNS)
    return {
        JSON_KEY: json.dumps(document.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False) + "\n",
        TEXT_KEY: render.table(document, style, everything=True),
    }


def _size(texts: dict[str, str]) -> int:
    return sum(len(each.encode()) for each in texts.values())


def _cut(document: ChecksDocument, characters: int) -> ChecksDocument:
    def cut(text: str) -> str:
        return text if len(text) <= characters else text[:characters] + "…"

    # The catalogue has the remedy in full, by id.
    results = tuple(
        each.model_copy(update={"message": cut(each.message), "remedy": cut(each.remedy)}) for each in document.results
    )
    notes = tuple(cut(each) for each in document.notes[:20])
    return document.model_copy(update={"results": results, "notes": notes, "truncated": True})
