"""The generated files: up to date, structural, and good to read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hack.generate_crd import as_template, crd, crd_files
from tests.support import schemas
from tests.support.apiserver import ROOT

from gallery_operator.api import KINDS

CHART_CRDS = ROOT / "charts/gallery-operator/templates/crds"


def test_generated_files_are_up_to_date() -> None:
    """`make generate` and a commit make this pass."""
    done = subprocess.run(
        [sys.executable, ROOT / "hack/generate", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_of_a_kind_that_is_gone() -> None:
    found = {str(path.relative_to(ROOT)) for path in [*ROOT.glob("crds/*"), *CHART_CRDS.glob("*")]}
    assert found == set(crd_files())


def _everything() -> Iterator[schemas.Node]:
    yield from schemas.nodes("spec")
    yield from schemas.nodes("status")


def test_every_field_is_described() -> None:
    bare = [str(node) for node in _everything() if "description" not in node.schema and node.path[-1] != schemas.ITEM]
    assert not bare


def test_every_list_and_text_that_a_user_writes_is_bounded() -> None:
    """The API server needs bounds to estimate what a rule costs, and etcd an object of less than 1.5 MB."""
    limits = {"string": ("maxLength", "enum", "format"), "array": ("maxItems",)}
    unbounded = [
        str(node)
        for node in schemas.nodes("spec")
        if node.schema["type"] in limits and not any(limit in node.schema for limit in limits[node.schema["type"]])
    ]
    assert not unbounded


def test_status_has_no_rules_and_no_defaults() -> None:
    """A rule there could keep the operator from reporting; a default would pretend that it has."""
    for node in schemas.nodes("status"):
        assert not {"default", "x-kubernetes-validations"} & set(node.schema), str(node)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind_name)
def test_names(kind: Any) -> None:
    document = crd(kind)
    names = document["spec"]["names"]
    assert document["metadata"]["name"] == f"{kind.plural}.gallery-operator.dev"
    assert names["shortNames"] == [kind.short_name]
    assert names["categories"] == ["azure", "gallery-operator"]
    version = document["spec"]["versions"][0]
    assert version["subresources"] == {"status": {}}
    columns = [column["name"] for column in version["additionalPrinterColumns"]]
    assert columns[-1] == "Age"
    assert {"Ready", "Message"} <= set(columns)


def test_columns_point_at_fields_that_exist() -> None:
    known = {(node.kind, ".".join(node.path)) for node in _everything()}
    for kind in KINDS:
        for column in kind.columns:
            path = column.path.removeprefix(".").split("[?")[0]
            assert path == "metadata.creationTimestamp" or (kind.kind_name, path) in known, column


def test_text_that_helm_would_execute_is_refused() -> None:
    with pytest.raises(ValueError, match="Helm would execute"):
        as_template("metadata:\n  name: {{ x }}\n")
