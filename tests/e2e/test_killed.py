"""The same journeys end the same while the operator is killed (SIGKILL) at random moments, again and again."""

from __future__ import annotations

from tests.support.e2e import journeys
from tests.support.e2e.cluster import Cluster
from tests.support.e2e.killer import Killer
from tests.support.e2e.sandbox import KINDS, Sandbox
from tests.support.e2e.scenarios import under_fire

_PATIENCE = 400.0


@under_fire
def test_import_under_fire(sandbox: Sandbox) -> None:
    """URL to page blob."""
    journeys.import_to_page_blob(sandbox, seconds=_PATIENCE)


@under_fire
def test_managed_disk_under_fire(sandbox: Sandbox) -> None:
    """URL with header and CA to a managed disk."""
    journeys.import_to_managed_disk(sandbox, seconds=_PATIENCE)


@under_fire
def test_image_from_claims_under_fire(sandbox: Sandbox) -> None:
    """Two claims' disks to a version in three regions."""
    journeys.image_from_claims(sandbox, real=False, seconds=_PATIENCE)


@under_fire
def test_regions_under_fire(sandbox: Sandbox) -> None:
    """Regions come and go."""
    journeys.change_regions(sandbox)


@under_fire
def test_deletion_under_fire(sandbox: Sandbox) -> None:
    """Everything is deleted, parents first."""
    journeys.delete_in_order(sandbox, KINDS)


@under_fire
def test_namespace_deletion_under_fire(sandbox: Sandbox) -> None:
    """Everything is deleted with its namespace."""
    journeys.delete_in_order(sandbox, ("Namespace",))


def test_it_was_killed(cluster: Cluster, killer: Killer, measured: list[str]) -> None:
    """There was fire, and what was killed had told no secret."""
    killer.stop()
    measured.append(f"the operator was killed {len(killer.kills)} times under fire (seed {killer.seed})")
    assert len([kill for kill in killer.kills if "SIGKILL" in kill or "without grace" in kill]) >= 3, killer.story()
    leaked = [*killer.leaked, *cluster.worker_logs.found]
    assert not leaked, "\n".join(leaked)
    cluster.kube.wait("the operator to work again", cluster.operator_at_work, seconds=120)
