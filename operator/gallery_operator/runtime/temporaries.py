"""Counts what imports need only for a while, for Prometheus."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import GaugeMetricFamily

from gallery_operator.metrics import PREFIX

CLUSTER_KINDS = ("Job", "ScratchClaim")
_AZURE_KINDS = ("OpenUpload", "StagingDisk")


@dataclass
class Swept:
    """What the periodic look at cluster and Azure has counted last.

    Attributes:
        present: Jobs and scratch claims, by kind.
        abandoned: What no import needs any more, by kind.
    """

    present: Counter[str] = field(default_factory=Counter)
    abandoned: Counter[str] = field(default_factory=Counter)


def facts(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Tell what a VhdImport has in Azure for a while, by its status.

    Returns:
        ``OpenUpload``: a disk or blob whose upload has not ended (a disk in ActiveUpload cannot be deleted and its SAS
        is valid); ``StagingDisk``: a disk that goes when a version or a managed image has its content.
    """
    status = body.get("status") or {}
    target = status.get("target") or {}
    if not target or status.get("stagingReleased"):
        return ()
    staging = bool(target.get("staging") or target.get("uploadDiskId"))
    found = () if status.get("uploaded") else ("OpenUpload",)
    return (*found, "StagingDisk") if staging else found


def families(all_facts: Iterable[tuple[str, ...]], swept: Swept) -> Iterator[GaugeMetricFamily]:
    """Yield the gauges; a kind of which there is nothing is 0, so that an alert sees it end.

    Args:
        all_facts: Facts of every import.
        swept: What the periodic look has counted.
    """
    present = Counter(kind for each in all_facts for kind in each) + swept.present
    yield _family(
        "temporaries",
        "What imports need only for a while: Jobs, scratch claims, uploads that are open, staging disks.",
        [*CLUSTER_KINDS, *_AZURE_KINDS],
        present,
    )
    yield _family(
        "abandoned",
        "Jobs, scratch claims and staging disks of imports that no longer exist; the log names each.",
        [*CLUSTER_KINDS, "StagingDisk"],
        swept.abandoned,
    )


def _family(name: str, text: str, kinds: Iterable[str], counts: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=["kind"])
    for kind in kinds:
        family.add_metric([kind], counts.get(kind, 0))
    return family
