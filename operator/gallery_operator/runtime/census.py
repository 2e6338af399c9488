"""Counts the objects by state, for Prometheus; fed by the watches, summed up when it is scraped."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gallery_operator.metrics import PREFIX
from gallery_operator.runtime import import_census, lifecycle_census, temporaries
from gallery_operator.runtime.workqueue import Key


@dataclass(frozen=True)
class _Facts:
    state: str
    phase: str
    provisioning: str
    regions: tuple[tuple[str, str], ...]
    replicas: tuple[tuple[str, int], ...]
    sharing: tuple[str, str] | None
    sharing_regions: tuple[tuple[str, str], ...]
    lifecycle: lifecycle_census.LifecycleFacts
    temporaries: tuple[str, ...]
    progress: import_census.ImportFacts | None


class Census(Collector):
    """A collector of gauges by kind, phase, provisioning state and region."""

    def __init__(self) -> None:
        self._facts: dict[Key, _Facts] = {}
        self.swept = temporaries.Swept()

    def update(self, key: Key, body: Mapping[str, Any]) -> None:
        """Note an object as a watch or a list delivered it."""
        status = body.get("status") or {}
        conditions = {each.get("type"): each.get("status") for each in status.get("conditions") or []}
        if conditions.get("Stalled") == "True":
            state = "stalled"
        else:
            state = "ready" if conditions.get("Ready") == "True" else "progressing"
        listed = status.get("regions") or []
        sharing = status.get("sharing") or {}
        self._facts[key] = _Facts(
            state,
            str(status.get("phase") or "Pending"),
            str(status.get("provisioningState") or "None"),
            tuple((str(each.get("name")), str(each.get("state"))) for each in listed),
            tuple((str(each.get("name")), int(each.get("replicas") or 0)) for each in listed if _complete(each)),
            _sharing(sharing, status.get("conditions") or []),
            tuple((str(each.get("region")), str(each.get("state"))) for each in sharing.get("regions") or []),
            lifecycle_census.facts(body),
            temporaries.facts(body) if key.kind == "VhdImport" else (),
            import_census.facts(body) if key.kind == "VhdImport" else None,
        )

    def remove(self, key: Key) -> None:
        """Forget an object that is gone."""
        self._facts.pop(key, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges."""
        objects = Counter((key.kind, facts.state) for key, facts in self._facts.items())
        imports = Counter((facts.phase,) for key, facts in self._facts.items() if key.kind == "VhdImport")
        versions = Counter((facts.provisioning,) for key, facts in self._facts.items() if key.kind == "ImageVersion")
        regions = Counter(region for facts in self._facts.values() for region in facts.regions)
        shared = Counter((key.kind, *facts.sharing) for key, facts in self._facts.items() if facts.sharing)
        shared_in = Counter(region for facts in self._facts.values() for region in facts.sharing_regions)
        yield _family("objects", "Objects by kind and state (ready, progressing, stalled).", ["kind", "state"], objects)
        yield _family("imports", "VhdImports by phase.", ["phase"], imports)
        yield _family("versions", "ImageVersions by provisioning state.", ["state"], versions)
        yield _family("regions", "Regions of versions by name and replication state.", ["region", "state"], regions)
        replicas: Counter[tuple[str]] = Counter()
        for facts in self._facts.values():
            for region, count in facts.replicas:
                replicas[(region,)] += count
        yield _family("region_replicas", "Replicas of versions in regions that are complete.", ["region"], replicas)
        yield _family(
            "shared",
            "Galleries and definitions that are to be shared, by sharing.permissions and state (shared, progressing, "
            "failed).",
            ["kind", "permissions", "state"],
            shared,
        )
        yield _family("sharing_regions", "Regions of shared galleries by state.", ["region", "state"], shared_in)
        lifecycles = ((key.kind, facts.lifecycle) for key, facts in self._facts.items())
        yield from lifecycle_census.families(lifecycles, datetime.now(UTC))
        yield from temporaries.families((facts.temporaries for facts in self._facts.values()), self.swept)
        yield from import_census.families(facts.progress for facts in self._facts.values())


def _complete(region: Mapping[str, Any]) -> bool:
    return region.get("state") == "Completed"


def _sharing(sharing: Mapping[str, Any], conditions: Iterable[Mapping[str, Any]]) -> tuple[str, str] | None:
    """Return permissions and state of sharing, or None when none is asked for."""
    shared = next((each for each in conditions if each.get("type") == "Shared"), None)
    if shared is None:
        return None
    failed = "progressing" if shared.get("reason") == "InProgress" else "failed"
    return str(sharing.get("permissions") or "Private"), "shared" if shared.get("status") == "True" else failed


def _family(name: str, help_text: str, labels: list[str], counts: Counter[Any]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", help_text, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(list(values), count)
    return family
