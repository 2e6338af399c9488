"""The simulator and real Azure SDK clients against it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
from azure.identity.aio import ClientSecretCredential
from azure.mgmt.compute.aio import ComputeManagementClient

from tests.support.azure import BAD_SECRET, SUBSCRIPTION, TENANT, AzureStand, azure, azure_stand

__all__ = ["azure", "azure_stand"]

CLIENT = "11111111-1111-1111-1111-111111111111"


@pytest.fixture(autouse=True)
def _trust(azure_stand: AzureStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let azure-identity and the SDKs trust the stand's CA, the way the operator does it."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(azure_stand.ca_file))


def credential(stand: AzureStand, secret: str = "right-secret") -> ClientSecretCredential:
    return ClientSecretCredential(
        TENANT, CLIENT, secret, authority=stand.base_url, disable_instance_discovery=True, retry_total=0
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
            polling_interval=0.05,
        ) as client,
    ):
        yield client


@pytest.fixture
def unique() -> str:
    return uuid.uuid4().hex[:8]


BAD = BAD_SECRET
