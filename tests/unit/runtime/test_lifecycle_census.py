"""What is due, restorable and at its end is counted when it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gallery_operator.runtime.lifecycle_census import facts, families

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def samples(*bodies: tuple[str, dict[str, Any]]) -> dict[str, float]:
    found = families([(kind, facts(body)) for kind, body in bodies], NOW)
    return {
        ",".join([sample.name.removeprefix("gallery_operator_"), *sample.labels.values()]): sample.value
        for family in found
        for sample in family.samples
    }


def test_nothing_is_counted_as_nothing() -> None:
    assert samples(("ImageVersion", {})) == {"soft_deleted_versions": 0.0}


def test_counted_by_action_and_time() -> None:
    due = [{"action": "DeleteVersion"}, {"action": "DeleteVersion"}, {"action": "Report"}]
    definition = {
        "status": {
            "retention": {"due": due},
            "softDeleted": {"count": 3},
            "nextEndOfLife": {"version": "1.0.0", "endOfLifeDate": "2026-11-24T01:00:00Z"},
        }
    }
    assert samples(
        ("GalleryImageDefinition", definition),
        ("ImageVersion", {"spec": {"endOfLifeDate": "2026-11-23T00:00:00Z"}}),
        ("ImageVersion", {"spec": {"endOfLifeDate": "2026-12-01T00:00:00Z"}}),
        ("ImageVersion", {"spec": {"endOfLifeDate": "2027-12-01T00:00:00+01:00"}}),
    ) == {
        "retention_due,DeleteVersion": 2.0,
        "retention_due,Report": 1.0,
        "soft_deleted_versions": 3.0,
        "end_of_life,ImageVersion,passed": 1.0,
        "end_of_life,ImageVersion,soon": 1.0,
        "end_of_life,ImageVersion,later": 1.0,
        "next_end_of_life_seconds": 3600.0,
    }
