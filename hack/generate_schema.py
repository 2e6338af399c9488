"""From pydantic models to the structural schemas that a CustomResourceDefinition needs.

pydantic writes JSON Schema with ``$ref``, ``anyOf`` with ``null``, ``const`` and titles; a structural schema has none
of these. What the API server does with each keyword:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from gallery_operator.api.meta import PATTERN_MESSAGE, ApiModel, Rule

Schema = dict[str, Any]

_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_INT32_MAX = 2**31 - 1
# Keywords in the order in which a reader wants them; PyYAML keeps it.
_ORDER = (
    "description",
    "type",
    "format",
    "default",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    _PRESERVE,
    "x-kubernetes-validations",
    "required",
    "properties",
    "additionalProperties",
    "items",
)


class SchemaError(ValueError):
    """A model uses something that has no structural form."""


class _Generator(GenerateJsonSchema):
    """pydantic's generator, which also writes each model's CEL rules and documentation."""

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        result = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        summary, attributes = parse_docstring(model)
        if summary:
            result["description"] = summary
        for name, field in model.model_fields.items():
            prop = result.get("properties", {}).get(field.alias or name)
            if prop is not None and name in attributes:
                prop.setdefault("description", attributes[name])
        rules = rules_of(model)
        if rules:
            result["x-kubernetes-validations"] = rules
        return result

    def encode_default(self, dft: Any) -> Any:
        # Only what differs from the nested defaults: the API server fills in the rest itself.
        if isinstance(dft, BaseModel):
            return dft.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return super().encode_default(dft)


def rules_of(model: type[BaseModel]) -> list[dict[str, str]]:
    """Return the CEL rules of a model as items of ``x-kubernetes-validations``."""
    if not issubclass(model, ApiModel):
        return []
    return [rule.to_schema() for rule in model.rules]


def pattern_rule(pattern: str, message: str) -> Rule:
    """Return a pattern as a CEL rule: the API server would only say "should match" and the pattern.

    Raises:
        SchemaError: The pattern cannot be written as a CEL raw string.
    """
    if "'" in pattern:
        raise SchemaError(f"the pattern {pattern!r} contains a quote")
    return Rule(f"self.matches(r'{pattern}')", message)


def parse_docstring(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """Return what a model's docstrings say.

    Returns:
        The text above the first section, and the descriptions of the ``Attributes:`` sections of the model and of
        the models that it extends, by Python name.
    """
    summary = ""
    attributes: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        if cls is BaseModel or not issubclass(cls, BaseModel) or not cls.__dict__.get("__doc__"):
            continue
        head, _, section = inspect.cleandoc(cls.__doc__ or "").partition("\nAttributes:\n")
        summary = _plain(head)
        # An entry starts at four spaces; its continuation lines are indented further.
        for entry in re.split(r"\n(?=    \S)", "\n" + section.split("\n\n")[0]):
            name, colon, text = entry.strip().partition(":")
            if colon:
                attributes[name] = _plain(text)
    return (summary if model.__dict__.get("__doc__") else ""), attributes


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def structural_schema(model: type[BaseModel], *, defaults: bool = True) -> Schema:
    """Return the structural schema of a model.

    Args:
        model: Root of the part of the object, for example the model of ``spec``.
        defaults: Write the models' defaults, so that the API server stores them. Not wanted for ``status``, where
            they would appear before the operator has looked at the object.

    Raises:
        SchemaError: The model has a union, or an untyped part that is not marked as preserving unknown fields.
    """
    source = model.model_json_schema(by_alias=True, schema_generator=_Generator)
    definitions = source.pop("$defs", {})
    return _convert(source, definitions, defaults=defaults, where=model.__name__)


def _convert(node: Schema, definitions: dict[str, Schema], *, defaults: bool, where: str) -> Schema:
    node = _inline(node, definitions, where)
    for unwanted in ("title", "additionalProperties") if _PRESERVE in node else ("title",):
        node.pop(unwanted, None)
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if not defaults or not _worth_a_default(node):
        node.pop("default", None)
    if node.get("type") == "integer":
        node["format"] = "int32" if abs(node.get("maximum", _INT32_MAX + 1)) <= _INT32_MAX else "int64"
    if PATTERN_MESSAGE in node:
        rule = pattern_rule(node.pop("pattern"), node.pop(PATTERN_MESSAGE))
        node["x-kubernetes-validations"] = [rule.to_schema(), *node.get("x-kubernetes-validations", [])]
    if "x-kubernetes-validations" in node:  # pydantic has sorted their keys
        node["x-kubernetes-validations"] = [
            {key: rule[key] for key in ("rule", "message", "fieldPath") if key in rule}
            for rule in node["x-kubernetes-validations"]
        ]
    if "properties" in node:
        node["properties"] = {
            name: _convert(child, definitions, defaults=defaults, where=f"{where}.{name}")
            for name, child in node["properties"].items()
        }
        if node.pop("additionalProperties", None):
            raise SchemaError(f"{where}: properties and additionalProperties exclude each other")
    for part in ("items", "additionalProperties"):
        if part in node:
            if not isinstance(node[part], dict):
                raise SchemaError(f"{where}: {part} is untyped; say what it holds or preserve unknown fields")
            node[part] = _convert(node[part], definitions, defaults=defaults, where=f"{where}.{part}")
    if "type" not in node:
        raise SchemaError(f"{where}: no type ({sorted(node)})")
    unknown = set(node) - set(_ORDER)
    if unknown:
        raise SchemaError(f"{where}: {sorted(unknown)} has no structural form")
    return {key: node[key] for key in _ORDER if key in node}


def _inline(node: Schema, definitions: dict[str, Schema], where: str) -> Schema:
    """Resolve references, and take the ``null`` out of optional fields: absence is the API's way to say it."""
    node = dict(node)
    while True:
        if "$ref" in node:
            target = definitions[node.pop("$ref").removeprefix("#/$defs/")]
        elif "anyOf" in node:
            members = [member for member in node.pop("anyOf") if member != {"type": "null"}]
            if len(members) != 1:
                raise SchemaError(f"{where}: a union of {len(members)} types is not structural")
            target = members[0]
        else:
            return node
        # What the field says goes before what its type says.
        node = {**target, **node}


def _worth_a_default(node: Schema) -> bool:
    """Whether a default belongs into stored objects; an empty list or map would only be noise there."""
    default = node.get("default")
    return default is not None and (default not in ([], {}) or "properties" in node)
