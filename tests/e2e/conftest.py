"""One cluster for all end-to-end tests. See tests/support/e2e/target.py for how to point them at another one."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from tests.support.e2e import disks
from tests.support.e2e.cluster import Cluster
from tests.support.e2e.install import install
from tests.support.e2e.killer import Killer
from tests.support.e2e.kube import Kube
from tests.support.e2e.scenarios import Scenarios, group_of
from tests.support.e2e.target import choose, installed, take_down

# Making a cluster and building images from nothing is part of the first test's time.
_SECONDS = 2400


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Scenarios that run at the same time come first, then the tests that need quiet, then those under fire."""
    here = [item for item in items if "/e2e/" in str(item.path)]
    for item in here:
        item.add_marker(pytest.mark.e2e)
        item.add_marker(pytest.mark.timeout(_SECONDS))
    order = {item.nodeid: (_turn(item), place) for place, item in enumerate(here)}
    places = [place for place, item in enumerate(items) if item.nodeid in order]
    for place, item in zip(places, sorted(here, key=lambda each: order[each.nodeid]), strict=True):
        items[place] = item


_measured: list[str] = []


@pytest.fixture(scope="session")
def measured() -> list[str]:
    """Lines that are shown at the end of the run: what was measured."""
    return _measured


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was measured."""
    if _measured:
        terminalreporter.section("measured")
        for line in _measured:
            terminalreporter.write_line(line)


def _turn(item: pytest.Item) -> int:
    fixtures = getattr(item, "fixturenames", ())
    if "killer" in fixtures:
        return 4  # it judges the fire
    if "applied" in fixtures:
        return 1  # all examples at once: as busy as the scenarios
    return {"calm": 0, "": 2, "killed": 3}[group_of(item)]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster, with the simulator, the disk server and the chart installed."""
    target = choose()
    kube = Kube(target.kubeconfig, target.context)
    try:
        found = Cluster(target, kube)
        found.remove_sandboxes()
        if installed():
            # What the tests compare with may have been built anew.
            disks.deploy(kube, target.images["operator"])
        else:
            install(target, kube)
        kube.wait("the operator to be at work", found.operator_at_work, seconds=120)
        found.worker_logs.start()
        yield found
        found.worker_logs.stop()
    finally:
        kube.close()
        take_down(target)


@pytest.fixture(scope="session")
def calm_scenarios(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Scenarios]:
    """The selected scenarios, started."""
    chosen = [item for item in request.session.items if group_of(item) == "calm"]
    scenarios = Scenarios(cluster, chosen)
    yield scenarios
    scenarios.stop()


@pytest.fixture(scope="session")
def killer(cluster: Cluster) -> Iterator[Killer]:
    """What kills the operator, at work."""
    seed = int(os.environ.get("GALLERY_OPERATOR_E2E_SEED") or random.SystemRandom().randrange(1_000_000))
    found = Killer(cluster, seed)
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def killed_scenarios(request: pytest.FixtureRequest, cluster: Cluster, killer: Killer) -> Iterator[Scenarios]:
    """The selected scenarios during which the operator is killed, started."""
    chosen = [item for item in request.session.items if group_of(item) == "killed"]
    scenarios = Scenarios(cluster, chosen, about=killer.story)
    yield scenarios
    scenarios.stop()
