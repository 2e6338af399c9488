"""The models: what they read and write."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support import samples
from tests.support.strategies import models

from gallery_operator.api import KINDS, Condition, Gallery, GalleryImageDefinition, Resource
from gallery_operator.api.meta import arm_id, at_most_one, exactly_one, immutable


def _wire(sample: dict[str, Any]) -> dict[str, Any]:
    return sample | {"metadata": sample["metadata"] | {"namespace": "images"}}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind_name)
def test_samples_are_read(kind: type[Resource]) -> None:
    for sample in [samples.minimal(kind.kind_name), *samples.full(kind.kind_name)]:
        resource = kind.from_wire(_wire(sample))
        assert resource.key == "images/sample"
        # Nothing of what was said is lost on the way.
        assert _within(sample["spec"], resource.spec.to_wire())


def _within(part: Any, whole: Any) -> bool:
    if isinstance(part, dict):
        return all(key in whole and _within(value, whole[key]) for key, value in part.items())
    if isinstance(part, list):
        return len(part) == len(whole) and all(_within(one, other) for one, other in zip(part, whole, strict=True))
    return bool(part == whole)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind_name)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_written_can_be_read(kind: type[Resource], data: st.DataObject) -> None:
    for part in ("spec", "status"):
        model: Any = kind.model_fields[part].annotation
        value = data.draw(models(model))
        assert model.model_validate(value.to_wire()) == value


def test_fields_of_a_newer_crd_are_ignored() -> None:
    sample = samples.minimal("Gallery")
    sample["spec"]["fromTheFuture"] = True
    assert Gallery.model_validate(_wire(sample)).spec.location == "westeurope"


def test_name_in_azure_defaults_to_the_objects() -> None:
    sample = samples.minimal("Gallery", "platform")
    gallery = Gallery.model_validate(_wire(sample))
    assert gallery.gallery_name == "platform"
    named = Gallery.model_validate(_wire(samples.full("Gallery")[0]))
    assert named.gallery_name == "platform_images"
    definition = GalleryImageDefinition.model_validate(_wire(samples.full("GalleryImageDefinition")[0]))
    assert definition.definition_name == "debian-12.x64"


def test_times_carry_their_offset() -> None:
    """The API server refuses a time without one, and the whole status with it."""
    values: dict[str, Any] = {"type": "Ready", "status": "True", "reason": "Ready"}
    with pytest.raises(ValidationError, match="timezone"):
        Condition(**values, last_transition_time=datetime(2026, 1, 1))
    written = Condition(**values, last_transition_time=datetime(2026, 1, 1, tzinfo=UTC)).to_wire()
    assert written["lastTransitionTime"] == "2026-01-01T00:00:00Z"


def test_rules_in_words() -> None:
    assert exactly_one(("a", "b"), "m").rule == "[has(self.a), has(self.b)].filter(x, x).size() == 1"
    assert at_most_one(("a", "b"), "m").rule == "[has(self.a), has(self.b)].filter(x, x).size() <= 1"
    rule = immutable("location", "make a new one")
    assert rule.message == "location cannot be changed: make a new one"
    assert rule.to_schema()["fieldPath"] == ".location"


def test_arm_id_says_what_it_wants() -> None:
    extra = arm_id("Microsoft.Compute/disks", "a managed disk").json_schema_extra
    assert extra == {
        "x-pattern-message": "this must be the ARM id of a managed disk: /subscriptions/<id>/resourceGroups/<name>/"
        "providers/Microsoft.Compute/disks/<name>"
    }
