"""From models to structural schemas."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import pytest
from hack.generate_schema import SchemaError, parse_docstring, structural_schema
from pydantic import Field

from gallery_operator.api.meta import ApiModel, Rule, Time, text


class Inner(ApiModel):
    """An inner part.

    Attributes:
        size: How big,
            in bytes.
    """

    rules: ClassVar[tuple[Rule, ...]] = (Rule("self.size > 1", "size must be greater than 1", ".size"),)

    size: int = 5
    names: tuple[str, ...] = ()


class Outer(ApiModel):
    """An outer part."""

    needed: Annotated[str, Field(min_length=2, description="Said here.")]
    maybe: Annotated[str, Field(max_length=3)] | None = None
    shaped: Annotated[str, text("^[a-z]+$", "shaped must be lower case", max_length=9)] = "a"
    choice: Literal["A", "B"] = "A"
    only: Literal["One"] = "One"
    inner: Inner = Inner()
    other: Inner = Inner(size=7)
    absent: Inner | None = None
    when: Time | None = None
    count: Annotated[int, Field(ge=0, le=10)] | None = None
    labels: Annotated[dict[str, str], Field(max_length=4)] = {}
    free: Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})] = {}


PROPERTIES = structural_schema(Outer)["properties"]


def test_root() -> None:
    schema = structural_schema(Outer)
    assert schema["type"] == "object"
    assert schema["description"] == "An outer part."
    assert schema["required"] == ["needed"]
    assert "additionalProperties" not in schema


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("needed", {"description": "Said here.", "type": "string", "minLength": 2}),
        ("maybe", {"type": "string", "maxLength": 3}),
        (
            "shaped",
            {
                "type": "string",
                "default": "a",
                "minLength": 1,
                "maxLength": 9,
                "x-kubernetes-validations": [
                    {"rule": "self.matches(r'^[a-z]+$')", "message": "shaped must be lower case"}
                ],
            },
        ),
        ("choice", {"type": "string", "default": "A", "enum": ["A", "B"]}),
        ("only", {"type": "string", "default": "One", "enum": ["One"]}),
        ("when", {"type": "string", "format": "date-time"}),
        ("count", {"type": "integer", "format": "int32", "minimum": 0, "maximum": 10}),
        ("labels", {"type": "object", "maxProperties": 4, "additionalProperties": {"type": "string"}}),
        ("free", {"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
    ],
)
def test_field(name: str, schema: dict[str, Any]) -> None:
    assert PROPERTIES[name] == schema


def test_default_of_an_object_is_what_differs_from_its_fields_defaults() -> None:
    assert PROPERTIES["inner"]["default"] == {}
    assert PROPERTIES["other"]["default"] == {"size": 7}
    assert "default" not in PROPERTIES["absent"]
    # The API server goes on into the object and fills in the rest.
    assert PROPERTIES["inner"]["properties"]["size"]["default"] == 5
    # An empty list would only be noise in every object.
    assert "default" not in PROPERTIES["inner"]["properties"]["names"]


def test_status_has_no_defaults() -> None:
    assert "'default'" not in str(structural_schema(Outer, defaults=False))


def test_rules_come_with_the_model_wherever_it_is_used() -> None:
    rule = {"rule": "self.size > 1", "message": "size must be greater than 1", "fieldPath": ".size"}
    for name in ("inner", "other", "absent"):
        assert PROPERTIES[name]["x-kubernetes-validations"] == [rule]


def test_descriptions_come_from_docstrings() -> None:
    assert parse_docstring(Inner) == ("An inner part.", {"size": "How big, in bytes."})
    assert PROPERTIES["inner"]["description"] == "An inner part."
    assert PROPERTIES["inner"]["properties"]["size"]["description"] == "How big, in bytes."


class Union(ApiModel):
    value: str | int


class Untyped(ApiModel):
    value: dict[str, Any]


class AnyValue(ApiModel):
    value: Any


class Quoted(ApiModel):
    value: Annotated[str, text("^'$", "a quote", max_length=1)]


class Exclusive(ApiModel):
    value: Annotated[int, Field(gt=1)]


@pytest.mark.parametrize("model", [Union, Untyped, AnyValue, Quoted, Exclusive])
def test_what_has_no_structural_form_is_refused(model: type[ApiModel]) -> None:
    with pytest.raises(SchemaError):
        structural_schema(model)
