"""What kopf gets to reach the cluster with."""

from __future__ import annotations

import pytest
from kubernetes.aio import client

from gallery_operator.kube import KubeGateway


@pytest.mark.parametrize("written", ["bearer s3cret", "Bearer s3cret", "s3cret", "bearer s3cret\n"])
async def test_token_without_its_scheme(written: str) -> None:
    """The in-cluster loader of the client library writes another scheme than its kubeconfig loader."""
    settings = client.Configuration()
    settings.api_key["BearerToken"] = written
    gateway = KubeGateway()
    gateway._client = client.ApiClient(settings)
    try:
        assert (await gateway.connection()).token == "s3cret"
    finally:
        await gateway._client.close()
