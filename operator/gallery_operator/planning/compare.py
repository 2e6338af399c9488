"""How what Azure has differs from what would be sent, field by field, for people to read before anything is changed.

Which differences lead to an update is decided elsewhere, kind by kind; this is the report of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gallery_operator.api.meta import Difference
from gallery_operator.planning.regions import normal

MAX_DIFFERENCES = 32
_MAX_TEXT = 256
_IDENTIFYING = ("name", "lun", "id")
# Azure reads this one and never shows it.
_WRITE_ONLY = frozenset({"allowUpdateImage"})
# What Azure means where it says nothing (a definition that was made before these existed; facts of the service).
_MEANT = {
    "architecture": "x64",
    "hyperVGeneration": "V1",
    "regionalReplicaCount": 1,
    "permissions": "Private",
    "storageAccountType": "Standard_LRS",
}
# Nobody writes these in a spec.
_ENVELOPES = frozenset({"properties", "publishingProfile"})
# Azure answers with all target regions; one that is not wanted would be taken out.
_COMPLETE = frozenset({"targetRegions"})


def differences(wanted: Mapping[str, Any], existing: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Compare a PUT body with the resource that is there.

    Only fields of the body count: what Azure has besides stays as it is.

    Args:
        wanted: Body that would be sent, in REST form.
        existing: Resource as Azure answers it.

    Returns:
        At most :data:`MAX_DIFFERENCES`, in the order of the body. Region names, dates, the case of ids and the order
        inside comma-separated values do not count as differences.
    """
    found = list(_compare("", wanted, existing))
    return tuple(found[:MAX_DIFFERENCES])


def _compare(path: str, wanted: Any, found: Any) -> Iterator[Difference]:
    if isinstance(wanted, Mapping):
        have = found if isinstance(found, Mapping) else {}
        for name, value in wanted.items():
            if value is None or name in _WRITE_ONLY:
                continue
            inner = path if not path and name in _ENVELOPES else f"{path}.{name}" if path else name
            found_there = have.get(name)
            yield from _compare(inner, value, _MEANT.get(name) if found_there is None else found_there)
    elif isinstance(wanted, Sequence) and not isinstance(wanted, str):
        yield from _compare_list(path, wanted, found if isinstance(found, Sequence) else ())
    elif not _same(wanted, found):
        yield _difference(path, found, wanted)


def _compare_list(path: str, wanted: Sequence[Any], found: Sequence[Any]) -> Iterator[Difference]:
    identity = next(
        (
            each
            for each in _IDENTIFYING
            if wanted and all(isinstance(item, Mapping) and each in item for item in wanted)
        ),
        None,
    )
    if identity is None:
        if sorted(map(_normal, wanted)) != sorted(map(_normal, found)):
            yield _difference(path, list(found) or None, list(wanted))
        return
    have = {_normal(item.get(identity)): item for item in found if isinstance(item, Mapping)}
    names = set()
    for item in wanted:
        name = _normal(item[identity])
        names.add(name)
        where = f"{path}[{item[identity]}]"
        if name not in have:
            yield _difference(where, None, "to be added")
        else:
            yield from _compare(where, {key: value for key, value in item.items() if key != identity}, have[name])
    if path.rpartition(".")[2] in _COMPLETE:
        for name, item in have.items():
            if name not in names:
                yield _difference(f"{path}[{item[identity]}]", "there", None)


def _identity(items: Sequence[Any]) -> str | None:
    """Return the member by which the items of a list are told apart, or None for a list of plain values."""
    for name in _IDENTIFYING:
        if items and all(isinstance(item, Mapping) and name in item for item in items):
            return name
    return None


def _difference(path: str, found: object, wanted: object) -> Difference:
    return Difference(field=path, found=_text(found), wanted=_text(wanted))


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"


def _same(wanted: object, found: object) -> bool:
    if isinstance(wanted, bool) or isinstance(found, bool):
        # Azure leaves out what is false.
        return _normal(wanted) == _normal(found if found is not None else False)
    return _normal(wanted) == _normal(found)


def _normal(value: object) -> str:
    if not isinstance(value, str):
        return repr(value).lower()
    moment = _moment(value)
    if moment is not None:
        return moment
    return ",".join(sorted(normal(part) for part in value.split(",")))


def _moment(value: str) -> str | None:
    if "T" not in value:
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    aware = parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
    # Azure writes seven digits of a second.
    return aware.astimezone(UTC).replace(microsecond=0).isoformat()
