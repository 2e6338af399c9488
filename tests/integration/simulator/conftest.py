"""The simulator and real Azure SDK clients against it."""

from __future__ import annotations

import sys
import uuid
from collections.abc import AsyncIterator

import pytest
from azure.identity.aio import ClientSecretCredential
from azure.mgmt.compute.aio import ComputeManagementClient
from tests.support.azure import BAD_SECRET, SIMULATOR, SUBSCRIPTION, TENANT, AzureStand, azure, azure_stand

sys.path.insert(0, str(SIMULATOR))

__all__ = ["azure", "azure_stand"]

CLIENT = "11111111-1111-1111-1111-111111111111"


def credential(stand: AzureStand, secret: str = "right-secret") -> ClientSecretCredential:
    return ClientSecretCredential(
        TENANT,
        CLIENT,
        secret,
        authority=stand.base_url,
        disable_instance_discovery=True,
        retry_total=0,
        connection_verify=str(stand.ca_file),
    )


@pytest.fixture
async def compute(azure: AzureStand) -> AsyncIterator[ComputeManagementClient]:
    """The real management client, as the operator makes it."""
    async with (
        credential(azure) as identity,
        ComputeManagementClient(
            identity,
            SUBSCRIPTION,
            base_url=azure.base_url,
            credential_scopes=[f"{azure.base_url}/.default"],
            retry_total=0,
            connection_verify=str(azure.ca_file),
            polling_interval=0.05,
        ) as client,
    ):
        yield client


@pytest.fixture
def unique() -> str:
    return uuid.uuid4().hex[:8]


BAD = BAD_SECRET
