"""Objects that stand for Microsoft's published requests are accepted by a real API server, or refused for a reason."""

from __future__ import annotations

import pytest
from tests.support import samples
from tests.support.apiserver import ApiServer
from tests.support.published import VERSIONS, body_of
from tests.unit.planning.test_published_definitions import EXAMPLES, definition_of
from tests.unit.planning.test_published_versions import spelt, version_of

pytestmark = pytest.mark.apiserver

# Placeholders are no ids: the examples leave the subscription and names open.
REFUSED = {
    "GalleryImageVersion_Create_WithVHD": (
        "the OS disk has a disk encryption set in some regions only",
        "same blob",
    ),
    "GalleryImageVersion_Create_WithVHD_UefiSettings": (
        "the OS disk has a disk encryption set in some regions only",
        "same blob",
    ),
}
"""Examples that break rules of Azure's own: encryption in one region, the same VHD for two disks."""


@pytest.mark.parametrize("name", VERSIONS)
def test_version(apiserver: ApiServer, namespace: str, name: str) -> None:
    spec = version_of(spelt(body_of(name))).spec.to_wire()
    answer = apiserver.create(samples.minimal("ImageVersion") | {"spec": spec}, namespace, dry_run=True)
    if name in REFUSED:
        assert answer.status == 422
        for sentence in REFUSED[name]:
            assert sentence in answer.message
    else:
        assert answer.ok, answer.message


@pytest.mark.parametrize("name", EXAMPLES)
def test_definition(apiserver: ApiServer, namespace: str, name: str) -> None:
    spec = definition_of({**body_of(name)["properties"], "osType": "Linux"}).spec.to_wire()
    answer = apiserver.create(samples.minimal("GalleryImageDefinition") | {"spec": spec}, namespace, dry_run=True)
    assert answer.ok, answer.message
