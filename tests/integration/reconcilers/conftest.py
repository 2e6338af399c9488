"""The operator in this process, between a real API server and the Azure simulator."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.integration.reconcilers.stage import Stage
from tests.support.apiserver import ApiServer
from tests.support.azure import AzureStand, azure, azure_stand

__all__ = ["azure", "azure_stand"]


@pytest.fixture
async def idle_stage(apiserver: ApiServer, azure: AzureStand, namespace: str) -> AsyncIterator[Stage]:
    """A stage whose operator the test starts itself."""
    stage = Stage(apiserver, azure, namespace)
    try:
        yield stage
    finally:
        await stage.stop()
        gc.collect()  # what was left open is reported by the test that left it


@pytest.fixture
async def stage(idle_stage: Stage) -> Stage:
    """A stage with a running operator."""
    await idle_stage.start()
    return idle_stage


@pytest.fixture(autouse=True)
def _no_secret_in_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No log record of any test holds a signature or a secret, not even before the formatter redacts it."""
    yield
    from tests.integration.reconcilers.stage import CANARIES

    for record in caplog.get_records("call"):
        text = record.getMessage()
        assert not any(each in text for each in CANARIES), f"a secret in a log record of {record.name}"
