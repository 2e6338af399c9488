"""The API server takes the sources of Microsoft's published examples."""

from __future__ import annotations

import pytest
from tests.support import samples
from tests.support.apiserver import ApiServer
from tests.support.published import VERSIONS, body_of, source_of

pytestmark = pytest.mark.apiserver

# The service itself says "OSDiskImage and DataDiskImage cannot point to same blob" to these.
ONE_BLOB_TWICE = ("GalleryImageVersion_Create_WithVHD", "GalleryImageVersion_Create_WithVHD_UefiSettings")


@pytest.mark.parametrize("name", VERSIONS)
def test_source_is_accepted(apiserver: ApiServer, namespace: str, name: str) -> None:
    document = samples.minimal("ImageVersion")
    document["spec"]["source"] = source_of(body_of(name)["properties"]["storageProfile"])
    answer = apiserver.create(document, namespace, dry_run=True)
    if name in ONE_BLOB_TWICE:
        assert answer.status == 422
        assert "two disks of the version name the same blob" in answer.message
    else:
        assert answer.ok, answer.message
