"""What the models can produce survives the API server: nothing pruned, nothing refused, nothing changed."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import samples
from tests.support.apiserver import ApiServer
from tests.support.strategies import models

from gallery_operator.api import KINDS, Resource
from gallery_operator.api.meta import ApiModel

pytestmark = pytest.mark.apiserver

# The server is the same for all examples on purpose; a shared machine makes durations meaningless.
_SETTINGS = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def place(apiserver: ApiServer) -> str:
    return apiserver.new_namespace("roundtrip")


def _part(kind: type[Resource], name: str) -> type[ApiModel]:
    part = kind.model_fields[name].annotation
    assert isinstance(part, type)
    assert issubclass(part, ApiModel)
    return part


def _missing(sent: Any, stored: Any, path: str = "") -> list[str]:
    """Return where something that was sent is not stored as it was; defaults that were added do not count."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        gone = [f"{path}.{key} is gone" for key in sent.keys() - stored.keys()]
        kept = [(key, value) for key, value in sent.items() if key in stored]
        return gone + [place for key, value in kept for place in _missing(value, stored[key], f"{path}.{key}")]
    if isinstance(sent, list) and isinstance(stored, list) and len(sent) == len(stored):
        return [
            place
            for index, (one, other) in enumerate(zip(sent, stored, strict=True))
            for place in _missing(one, other, f"{path}[{index}]")
        ]
    return [] if sent == stored else [f"{path}: {sent!r} became {stored!r}"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind_name)
def test_spec_survives(apiserver: ApiServer, place: str, kind: type[Resource]) -> None:
    model = _part(kind, "spec")

    @_SETTINGS
    @given(models(model), st.booleans())
    def check(spec: ApiModel, terse: bool) -> None:
        # As the operator writes it, or as a person does, who leaves out what is the default.
        sent = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True) if terse else spec.to_wire()
        document = samples.minimal(kind.kind_name, "a" + uuid.uuid4().hex) | {"spec": sent}
        created = apiserver.create(document, place)
        assert created.ok, created.message
        stored = apiserver.get(kind.kind_name, place, document["metadata"]["name"]).body
        assert not _missing(sent, stored["spec"])
        # The defaults of the schema are those of the model.
        assert kind.from_wire(stored).spec == spec

    check()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind_name)
def test_status_survives(apiserver: ApiServer, place: str, kind: type[Resource]) -> None:
    model = _part(kind, "status")
    document = samples.minimal(kind.kind_name, f"status{kind.plural}")
    created = apiserver.create(document, place)
    assert created.ok, created.message
    current = created.body

    @_SETTINGS
    @given(_statuses(model))
    def check(status: ApiModel) -> None:
        sent = status.to_wire()
        written = apiserver.replace(current | {"status": sent}, subresource="status")
        assert written.ok, written.message
        current["metadata"] = written.body["metadata"]
        stored = apiserver.get(kind.kind_name, place, document["metadata"]["name"]).body
        # Nothing is added either: the operator compares what it has with what it would write.
        assert stored["status"] == sent
        assert kind.from_wire(stored).status == status

    check()


def _statuses(model: type[ApiModel]) -> st.SearchStrategy[ApiModel]:
    def keys_are_unique(status: Any) -> bool:
        types = [condition.type for condition in status.conditions]
        regions = [region.name for region in getattr(status, "regions", ())]
        return len(types) == len(set(types)) and len(regions) == len(set(regions))

    return models(model).filter(keys_are_unique)
