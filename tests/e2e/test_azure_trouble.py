"""What Azure refuses, forgets, slows down or already has."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.e2e import journeys, names
from tests.support.e2e.kube import Json, condition, is_ready
from tests.support.e2e.sandbox import GROUP_NAME, LOCATION, Sandbox
from tests.support.e2e.scenarios import scenario

_TROUBLE: dict[str, dict[str, Any]] = {
    "throttled": {"status": 429, "code": "OperationNotAllowed", "retry_after": 2},
    "unavailable": {"status": 503, "code": "ServerTimeout"},
    "dropped-before": {"drop": "before"},
    "dropped-after": {"drop": "after"},
}


@pytest.mark.parametrize("trouble", _TROUBLE)
@scenario
def test_trouble_passes(sandbox: Sandbox, trouble: str) -> None:
    """What time mends is tried again, and the end is the same."""
    faults = [
        sandbox.azure.add_fault(method=method, path=f"/galleries/{sandbox.gallery_name}", **_TROUBLE[trouble])
        for method in ("PUT", "GET")
    ]
    journeys.scaffold(sandbox)
    sandbox.ready("GalleryImageDefinition", "debian-12", seconds=120)
    hits = {each["id"]: each["hits"] for each in sandbox.azure.request("GET", "/_control/faults")["faults"]}
    assert [hits[fault] for fault in faults] == [1, 1], "the trouble never came"


@scenario
def test_forbidden(sandbox: Sandbox) -> None:
    """A missing right is told with Azure's own code; when it is granted, the work goes on."""
    path = f"/galleries/{sandbox.gallery_name}"
    message = "The client does not have authorization to perform action 'Microsoft.Compute/galleries/write'"
    fault = sandbox.azure.add_fault(path=path, status=403, code="AuthorizationFailed", message=message, count=None)
    sandbox.gallery()

    def told() -> Json | None:
        found = sandbox.get("Gallery", "platform")
        ready = condition(found)
        return ready if "AuthorizationFailed" in f"{ready.get('reason')} {ready.get('message')}" else None

    sandbox.wait("the gallery to tell AuthorizationFailed", told, seconds=60)
    sandbox.azure.remove_fault(fault)
    # A person would wait; a test asks.
    stamp = {"metadata": {"annotations": {"gallery-operator.dev/reconcile-requested-at": "now"}}}
    sandbox.kube.patch("Gallery", sandbox.namespace, "platform", stamp)
    sandbox.wait("the gallery to be Ready", lambda: is_ready(sandbox.get("Gallery", "platform")), seconds=120)


@scenario
def test_wrong_client_secret(sandbox: Sandbox) -> None:
    """A wrong client secret is told, not shown; when it is corrected, the work goes on."""
    sandbox.credential("azure", secret="wrong-secret")
    sandbox.gallery(credentialRef={"name": "azure"})

    def told() -> bool:
        status = sandbox.status("Gallery", "platform")
        return any("AADSTS7000215" in each.get("message", "") for each in status.get("conditions") or [])

    sandbox.wait("the gallery to tell AADSTS7000215", told, seconds=60)
    sandbox.credential("azure")
    stamp = {"metadata": {"annotations": {"gallery-operator.dev/reconcile-requested-at": "now"}}}
    sandbox.kube.patch("Gallery", sandbox.namespace, "platform", stamp)
    sandbox.wait("the gallery to be Ready", lambda: is_ready(sandbox.get("Gallery", "platform")), seconds=120)


@scenario
def test_adoption(sandbox: Sandbox) -> None:
    """What exists and is not ours is not touched until a person says so."""
    gallery = (
        f"/subscriptions/{names.SUBSCRIPTION}/resourceGroups/{GROUP_NAME}/providers/Microsoft.Compute/galleries/"
        f"{sandbox.gallery_name}"
    )
    body = {"id": gallery, "location": LOCATION, "properties": {"description": "by hand"}, "tags": {"by": "hand"}}
    sandbox.azure.request("PUT", "/_control/resources", {"body": body})
    sandbox.gallery(description="by operator")
    ready = sandbox.not_ready("Gallery", "platform", "AlreadyExists", stalled=True)
    assert "adoptionPolicy" in ready["message"]
    assert (sandbox.azure.resource(gallery) or {})["tags"] == {"by": "hand"}
    sandbox.kube.patch("Gallery", sandbox.namespace, "platform", {"spec": {"adoptionPolicy": "Adopt"}})
    sandbox.wait("the gallery to be adopted", lambda: is_ready(sandbox.get("Gallery", "platform")), seconds=60)
    adopted = sandbox.azure.resource(gallery) or {}
    assert adopted["tags"]["gallery-operator.dev-namespace"] == sandbox.namespace
    assert adopted["properties"]["description"] == "by operator"


@scenario
def test_two_objects_for_one_target(sandbox: Sandbox) -> None:
    """The older of two objects wins; the other says who was there first."""
    sandbox.gallery("first")
    sandbox.ready("Gallery", "first")
    sandbox.gallery("second")
    ready = sandbox.not_ready("Gallery", "second", "TargetInUse", "OwnedByAnother", stalled=True)
    assert "first" in ready["message"]
    sandbox.delete("Gallery", "second")
    sandbox.gone(("Gallery", "second"))
    assert is_ready(sandbox.get("Gallery", "first"))
    assert sandbox.left_in_azure(), "the loser's deletion took the winner's gallery"


@scenario
def test_drift_is_corrected(sandbox: Sandbox) -> None:
    """A change behind our back is undone at the next comparison."""
    sandbox.gallery(description="wanted")
    gallery = sandbox.azure.resources("Microsoft.Compute/galleries", namespace=sandbox.namespace)
    sandbox.ready("Gallery", "platform")
    gallery = sandbox.azure.resources("Microsoft.Compute/galleries", namespace=sandbox.namespace)
    body = gallery[0]["body"]
    body["properties"]["description"] = "changed by somebody"
    sandbox.azure.request("PUT", "/_control/resources", {"body": body})

    def corrected() -> bool:
        found = sandbox.azure.resource(body["id"]) or {}
        return bool(found.get("properties", {}).get("description") == "wanted")

    sandbox.wait("the description to be corrected", corrected, seconds=60)


@scenario
def test_other_namespaces_only_where_allowed(sandbox: Sandbox) -> None:
    """A definition may name a gallery of another namespace only if that gallery lists its namespace."""
    sandbox.gallery()
    with Sandbox.make(sandbox.cluster, "neighbour") as neighbour:
        reference = {"name": "platform", "namespace": sandbox.namespace}
        neighbour.definition(galleryRef=reference)
        ready = neighbour.not_ready("GalleryImageDefinition", "debian-12", "NamespaceNotAllowed", stalled=True)
        assert "allowedNamespaces" in ready["message"]
        allowed = {"spec": {"allowedNamespaces": {"names": [neighbour.namespace]}}}
        sandbox.kube.patch("Gallery", sandbox.namespace, "platform", allowed)
        neighbour.wait(
            "the definition to be Ready",
            lambda: is_ready(neighbour.get("GalleryImageDefinition", "debian-12")),
            seconds=90,
        )
        neighbour.delete("GalleryImageDefinition", "debian-12")
        neighbour.gone(("GalleryImageDefinition", "debian-12"))
