"""Sums up how far the running imports are, for Prometheus; of one import its pod's own metrics tell."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from prometheus_client.core import GaugeMetricFamily

from gallery_operator.contract import Phase
from gallery_operator.metrics import PREFIX

_STEPS = tuple(each for each in get_args(Phase) if each not in ("Starting", "Done"))


@dataclass(frozen=True)
class ImportFacts:
    """How far one import is.

    Attributes:
        step: What its pod is doing.
        remaining: Bytes of that step's work that are left; 0 while unknown.
        rate: Bytes a second; 0 while unknown.
    """

    step: str
    remaining: int
    rate: int


def facts(body: Mapping[str, Any]) -> ImportFacts | None:
    """Tell how far a VhdImport is, by its status; None when no pod of it is at work."""
    progress = (body.get("status") or {}).get("progress") or {}
    step = str(progress.get("step"))
    if step not in _STEPS:
        return None
    remaining = max(0, int(progress.get("totalBytes") or 0) - int(progress.get("bytes") or 0))
    return ImportFacts(step, remaining if progress.get("totalBytes") else 0, int(progress.get("bytesPerSecond") or 0))


def families(all_facts: Iterable[ImportFacts | None]) -> Iterator[GaugeMetricFamily]:
    """Yield the gauges; a step that no import is at is 0.

    Args:
        all_facts: Facts of every import.
    """
    running: Counter[str] = Counter()
    remaining: Counter[str] = Counter()
    rate: Counter[str] = Counter()
    for each in all_facts:
        if each is not None:
            running[each.step] += 1
            remaining[each.step] += each.remaining
            rate[each.step] += each.rate
    for name, text, counts in (
        ("imports_running", "Imports whose pod is at work, by its step.", running),
        ("import_remaining_bytes", "Bytes of the steps' work that are left, where known, of all imports.", remaining),
        ("import_bytes_per_second", "Rate at which the steps go on, of all imports together.", rate),
    ):
        family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=["step"])
        for step in _STEPS:
            family.add_metric([step], counts[step])
        yield family
