"""Reads an ARM document with one of our models: what it can say is kept, what it cannot is told. Pure.

Field names of the models are ARM's, so one walk serves every kind, and a property that a model learns is exported from
then on.
"""

import types
from collections.abc import Iterator, Mapping
from typing import Any, Union, get_args, get_origin

from pydantic import ValidationError

from gallery_operator.api.meta import ApiModel

# What Azure tells and nobody sets.
_READ_ONLY = frozenset(
    {
        "provisioningState",
        "publishedDate",
        "replicationStatus",
        "sizeInGB",
        "reportedForPolicyViolation",
        "policyViolations",
        "validationsProfile",
        "imageMetadataProfiles",
        "uniqueName",
        "sharingStatus",
        "communityGalleryEnabled",
        "publicNames",
        "timeCreated",
    }
)


def read(model: type[ApiModel], document: Mapping[str, Any], path: str = "") -> tuple[dict[str, Any], list[str]]:
    """Take from a document what a model has fields for.

    Args:
        model: The model.
        document: Properties as ARM answers them.
        path: Where the document is, for the notes.

    Returns:
        The fields in wire form, and a note for each property that the model has no field for or does not accept.
    """
    fields: dict[str, Any] = {}
    notes: list[str] = []
    known = {(info.alias or name): info for name, info in model.model_fields.items()}
    for name, value in document.items():
        if value is None or value in ({}, [], "") or name in _READ_ONLY:
            continue
        where = f"{path}.{name}" if path else name
        info = known.get(name)
        if info is None:
            notes.append(f"{where} cannot be written here: {_short(value)}")
            continue
        inner = _inner_model(info.annotation)
        if inner is not None and isinstance(value, Mapping):
            fields[name], more = read(inner, value, where)
            notes += more
        elif inner is not None and isinstance(value, list):
            items = [read(inner, item, f"{where}[{number}]") for number, item in enumerate(value)]
            fields[name] = [item for item, _ in items]
            notes += [note for _, more in items for note in more]
        else:
            fields[name] = value
    return fields, notes


def accepted(model: type[ApiModel], fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Drop, one by one, the top fields that a model does not accept.

    Args:
        model: The model.
        fields: Fields in wire form.

    Returns:
        What is accepted, without what equals a default of the model, and a note for each field that was dropped.

    Raises:
        pydantic.ValidationError: A field that the model needs is missing.
    """
    left = dict(fields)
    notes: list[str] = []
    while True:
        try:
            parsed = model.model_validate(left)
        except ValidationError as error:
            wrong = [each for each in error.errors(include_url=False) if each["loc"] and each["loc"][0] in left]
            if not wrong:
                raise
            name = str(wrong[0]["loc"][0])
            notes.append(f"{name} is not accepted here ({wrong[0]['msg']}): {_short(left.pop(name))}")
        else:
            return parsed.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True), notes


def _inner_model(annotation: Any) -> type[ApiModel] | None:
    for each in _unwrapped(annotation):
        if isinstance(each, type) and issubclass(each, ApiModel):
            return each
    return None


def _unwrapped(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType, tuple) or hasattr(annotation, "__metadata__"):
        for each in get_args(annotation):
            yield from _unwrapped(each)
    elif origin is None:
        yield annotation


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else f"{text[:119]}…"
