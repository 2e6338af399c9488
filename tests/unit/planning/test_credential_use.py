"""Which Secret an object uses, and whether it still needs it."""

from __future__ import annotations

from typing import Any

import pytest

from gallery_operator.api.meta import FINALIZER
from gallery_operator.planning.credential_use import NAMESPACE_SECRET, needs, wanted

OURS = {"galleryRef": {"name": "platform"}}
BY_ID = {"gallery": {"resourceId": "/subscriptions/s"}}


@pytest.mark.parametrize(
    ("kind", "spec", "name"),
    [
        ("Gallery", {"credentialRef": {"name": "azure"}}, "azure"),
        ("Gallery", {}, NAMESPACE_SECRET),
        ("Gallery", {"credentialRef": {"name": "azure"}, "managementPolicy": "Observe"}, None),
        ("GalleryImageDefinition", OURS, None),
        ("GalleryImageDefinition", BY_ID, NAMESPACE_SECRET),
        ("VhdImport", {"definitionRef": {"name": "debian"}}, None),
        ("VhdImport", {}, NAMESPACE_SECRET),
        ("ImageVersion", {}, None),
    ],
)
def test_wanted(kind: str, spec: dict[str, Any], name: str | None) -> None:
    assert wanted(kind, {"spec": spec}) == name


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"metadata": {"finalizers": []}}, False),
        ({"status": {"finalized": True}}, False),
        ({"spec": {"credentialRef": {"name": "other"}}}, False),
        ({"spec": {"credentialRef": {"name": "other"}}, "status": {"credentialSecrets": ["azure", "other"]}}, True),
        ({"spec": {"managementPolicy": "Observe"}, "status": {"credentialSecrets": ["azure"]}}, False),
    ],
)
def test_needs(change: dict[str, Any], expected: bool) -> None:
    body = {"metadata": {"finalizers": [FINALIZER]}, "spec": {"credentialRef": {"name": "azure"}}, **change}
    assert needs("Gallery", body, "azure") is expected
