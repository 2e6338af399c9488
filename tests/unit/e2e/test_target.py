"""The end-to-end tests install and remove things: never in a cluster that is not meant for that."""

from __future__ import annotations

import pytest
from tests.support.e2e.install import image_values
from tests.support.e2e.target import RefusedContextError, check_context


def kubeconfig(*contexts: str) -> dict[str, object]:
    return {"current-context": contexts[0], "contexts": [{"name": name} for name in contexts]}


@pytest.mark.parametrize("name", ["gallery-operator-local-gallery-operator-test", "kind-kind", "minikube"])
def test_local_clusters_are_taken(name: str) -> None:
    assert check_context(kubeconfig(name), None) == name


@pytest.mark.parametrize("name", ["production", "arn:aws:eks:eu-west-1:1:cluster/kind-of-important", "my-minikube"])
def test_others_are_refused(name: str) -> None:
    with pytest.raises(RefusedContextError, match=f"GALLERY_OPERATOR_E2E_CONTEXT={name}"):
        check_context(kubeconfig(name), None)


def test_a_named_context_is_taken_even_if_another_is_current() -> None:
    assert check_context(kubeconfig("production", "staging"), "staging") == "staging"


def test_an_unknown_context_is_refused() -> None:
    with pytest.raises(RefusedContextError, match="it has: production, kind-a"):
        check_context(kubeconfig("production", "kind-a"), "kind-b")


@pytest.mark.parametrize(
    ("reference", "values"),
    [
        ("localhost/operator:dev", {"repository": "localhost/operator", "tag": "dev"}),
        ("registry.example:5000/team/operator", {"repository": "registry.example:5000/team/operator", "tag": "latest"}),
        ("registry.example:5000/operator:1.2", {"repository": "registry.example:5000/operator", "tag": "1.2"}),
        ("example/operator@sha256:ab", {"repository": "example/operator", "digest": "sha256:ab"}),
        ("example/operator:1@sha256:ab", {"repository": "example/operator", "digest": "sha256:ab"}),
    ],
)
def test_image_references(reference: str, values: dict[str, str]) -> None:
    assert image_values(reference) == values
