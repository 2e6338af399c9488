"""Every manifest of docs/examples is applied as it is written, and has done in Azure what it says."""

from __future__ import annotations

import pytest
from tests.support.e2e.cluster import Cluster
from tests.support.e2e.examples.checks import CHECKS
from tests.support.e2e.examples.manifests import FILES
from tests.support.e2e.examples.run import Applied
from tests.support.e2e.examples.world import RETAINED, remove_retained


@pytest.fixture(scope="session")
def applied(cluster: Cluster) -> Applied:
    """All examples, applied at once."""
    return Applied(cluster)


@pytest.mark.parametrize("file", FILES)
def test_example_does_what_it_says(applied: Applied, file: str) -> None:
    assert file not in applied.refused, applied.refused[file]
    assert file in CHECKS, f"nothing is asserted about {file}: add a function to tests/support/e2e/examples"
    CHECKS[file](applied)


def test_what_is_deleted_takes_along_what_it_made(applied: Applied) -> None:
    """Of all examples, only what is to be retained is left, and what was never ours."""
    applied.delete()
    left = set(applied.left_in_azure())
    remove_retained(applied.cluster)
    applied.leave()
    assert left == set(RETAINED)
