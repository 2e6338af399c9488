from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.integration.azure.wire import Wire, running_wire
from tests.support.azure import azure, azure_stand

__all__ = ["azure", "azure_stand"]

from gallery_operator.azure.gateway import AzureGateway


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    async with running_wire(tmp_path) as server:
        yield server


@pytest.fixture
async def gateway(wire: Wire) -> AsyncIterator[AzureGateway]:
    async with AzureGateway(wire.settings(rate_factor=100.0)) as opened:
        yield opened
