"""The manifests in docs/examples are what a user copies: a real API server accepts each, word for word."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from tests.support.apiserver import ROOT, ApiServer

from gallery_operator.api import KINDS

FOLDER = ROOT / "docs/examples"
DOCUMENTS: list[tuple[str, dict[str, Any]]] = [
    (f"{file.stem}-{document['kind']}", document)
    for file in sorted(FOLDER.glob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text())
]


@pytest.mark.apiserver
@pytest.mark.parametrize("document", [document for _, document in DOCUMENTS], ids=[name for name, _ in DOCUMENTS])
def test_example_is_accepted(apiserver: ApiServer, namespace: str, document: dict[str, Any]) -> None:
    answer = apiserver.create(document, namespace, dry_run=True)
    assert answer.ok, answer.message
    kind = next(kind for kind in KINDS if kind.kind_name == document["kind"])
    assert kind.from_wire(answer.body).metadata.name == document["metadata"]["name"]


def test_readme_names_every_example() -> None:
    text = (FOLDER / "README.md").read_text()
    assert [file.name for file in FOLDER.glob("*.yaml") if f"({file.name})" not in text] == []


def test_names_are_unique() -> None:
    names = [(document["kind"], document["metadata"]["name"]) for _, document in DOCUMENTS]
    assert len(names) == len(set(names))


def test_versions_are_unique() -> None:
    """All examples can be applied together: no two are the same version of a definition."""
    specs = [document["spec"] for _, document in DOCUMENTS if document["kind"] == "ImageVersion"]
    versions = [(spec["definitionRef"]["name"], spec["version"]) for spec in specs]
    assert len(versions) == len(set(versions))
