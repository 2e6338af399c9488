"""Image definitions: what is taken out of the spec, what others have set, features, dates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.api import GalleryImageDefinition
from gallery_operator.planning import definition as plan
from gallery_operator.planning.moments import refused_end_of_life

Json = dict[str, Any]
OWNER = {"o": "1"}
NOW = datetime(2026, 11, 24, tzinfo=UTC)
_OPTIONAL: Json = {
    "description": "x",
    "privacyStatementUri": "https://example.com/p",
    "releaseNoteUri": "https://example.com/r",
    "endOfLifeDate": "2030-01-01T00:00:00Z",
    "recommended": {"vCPUs": {"min": 1, "max": 4}, "memory": {"min": 2}},
    "disallowed": {"diskTypes": ["Standard_LRS", "Premium_LRS"]},
    "features": [
        {"name": "SecurityType", "value": "TrustedLaunchSupported", "startsAtVersion": "2.0.0"},
        {"name": "IsHibernateSupported", "value": "True"},
    ],
    "tags": {"costCenter": "42"},
}


def definition(managed: list[str] | None = None, **spec: Any) -> GalleryImageDefinition:
    identifier = {"publisher": "P", "offer": "O", "sku": "S"}
    base = {"galleryRef": {"name": "g"}, "osState": "Generalized", "identifier": identifier}
    meta = {"name": "d", "namespace": "n", "uid": "u"}
    status = {"managedFields": managed or []}
    return GalleryImageDefinition.from_wire({"metadata": meta, "spec": {**base, **spec}, "status": status})


def stored(body: Json) -> Json:
    """What Azure has after a PUT."""
    properties = {name: value for name, value in body["properties"].items() if name != "allowUpdateImage"}
    return {**body, "properties": {**properties, "provisioningState": "Succeeded"}}


def put(wanted: GalleryImageDefinition, existing: Json | None = None) -> Json:
    return stored(plan.body(wanted, "westeurope", OWNER, existing))


specs = st.fixed_dictionaries({}, optional={name: st.just(value) for name, value in _OPTIONAL.items()})


@given(specs, specs)
def test_an_update_ends_at_the_spec_and_stays_there(first: Json, second: Json) -> None:
    azure = put(definition(**first))
    wanted = definition(plan.managed_fields(definition(**first)), **second)
    found = plan.differences(wanted, OWNER, azure)
    assert found.immutable == ()
    after = put(wanted, azure)
    settled = definition(plan.managed_fields(wanted), **second)
    assert plan.differences(settled, OWNER, after) == plan.Differences()
    fresh = put(definition(**second))
    assert (found.updatable == ()) == (first == second)
    for name in ("description", "endOfLifeDate", "recommended", "disallowed"):
        assert after["properties"].get(name) == fresh["properties"].get(name)
    assert after["tags"] == fresh["tags"]
    normal = [sorted(each["name"] for each in body["properties"]["features"]) for body in (after, fresh)]
    assert normal[0] == normal[1]


@given(specs)
def test_what_others_have_set_is_no_difference_and_survives_an_update(theirs: Json) -> None:
    azure = put(definition(**theirs))
    silent = definition(features=[{"name": "SecurityType", "value": plan.security_type(definition(**theirs))}])
    assert plan.differences(silent, OWNER, azure) == plan.Differences()
    after = put(
        definition(**{**theirs, "features": [], "description": "ours", "tags": {}}),
        azure,
    )
    for name in ("recommended", "disallowed", "endOfLifeDate", "releaseNoteUri"):
        assert after["properties"].get(name) == azure["properties"].get(name)
    assert after["tags"] == azure["tags"]
    assert {each["name"] for each in after["properties"]["features"]} == {
        each["name"] for each in azure["properties"]["features"]
    }


def test_one_end_of_a_range_is_taken_out() -> None:
    azure = put(definition(recommended={"memory": {"min": 1, "max": 8}}))
    managed = plan.managed_fields(definition(recommended={"memory": {"min": 1, "max": 8}}))
    wanted = definition(managed, recommended={"memory": {"min": 1}})
    assert plan.differences(wanted, OWNER, azure).updatable == ("recommended",)
    assert put(wanted, azure)["properties"]["recommended"] == {"memory": {"min": 1}}


def test_what_azure_does_not_give_up_is_asked_for_once() -> None:
    managed = plan.managed_fields(definition(description="x"))
    azure = put(definition(description="x"))
    assert plan.differences(definition(managed), OWNER, azure).updatable == ("description",)
    # Azure kept it; the spec no longer claims it.
    assert plan.differences(definition(plan.managed_fields(definition())), OWNER, azure).updatable == ()


def test_fixed_optional_fields_are_left_alone_when_the_spec_is_silent() -> None:
    terms = {"eula": "text", "purchasePlan": {"name": "a", "publisher": "b", "product": "c"}}
    azure = put(definition(**terms))
    assert plan.differences(definition(), OWNER, azure) == plan.Differences()
    body = plan.body(definition(description="x"), "westeurope", OWNER, azure)
    assert {name: body["properties"][name] for name in terms} == terms
    other = definition(eula="other", purchasePlan={"name": "z", "publisher": "b", "product": "c"})
    assert [name for name, _, _ in plan.differences(other, OWNER, azure).immutable] == ["purchasePlan.name", "eula"]


def test_a_definition_without_security_type_is_standard() -> None:
    azure = put(definition())
    del azure["properties"]["features"]
    assert plan.differences(definition(), OWNER, azure) == plan.Differences()
    trusted = definition(features=[{"name": "SecurityType", "value": "TrustedLaunchSupported"}])
    assert plan.differences(trusted, OWNER, azure).updatable == ("features",)


@pytest.mark.parametrize(
    ("there", "wanted", "managed", "expected"),
    [
        (None, "2.0.0", [], "2.0.0"),
        ("1.0.0", "2.0.0", [], "2.0.0"),
        ("1.0.0", None, [], "1.0.0"),
        ("1.0.0", None, ["features/X/startsAtVersion"], None),
    ],
)
def test_starts_at_version(there: str | None, wanted: str | None, managed: list[str], expected: str | None) -> None:
    def feature(starts: str | None) -> list[Json]:
        return [{"name": "X", "value": "True"} | ({"startsAtVersion": starts} if starts else {})]

    azure = put(definition(features=feature(there)))
    mine = definition(managed, features=feature(wanted))
    assert (plan.differences(mine, OWNER, azure).updatable == ("features",)) == (expected != there)
    after = {each["name"]: each for each in put(mine, azure)["properties"]["features"]}
    assert after["X"].get("startsAtVersion") == expected


@pytest.mark.parametrize(
    ("wanted", "existing", "refused"),
    [
        (None, None, False),
        ("2027-01-01T00:00:00Z", None, False),
        ("2026-11-24T00:00:00Z", None, True),
        ("2020-01-01T00:00:00Z", "2030-01-01T00:00:00+00:00", True),
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00.0000000+00:00", False),
    ],
)
def test_end_of_life_must_be_in_the_future_when_it_is_set(
    wanted: str | None, existing: str | None, refused: bool
) -> None:
    moment = datetime.fromisoformat(wanted) if wanted else None
    assert bool(refused_end_of_life(moment, existing, NOW)) == refused
