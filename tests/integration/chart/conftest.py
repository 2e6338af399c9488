"""Namespaces of a release, and Azure behind the operator."""

from __future__ import annotations

import pytest
from tests.support.apiserver import ApiServer
from tests.support.azure import azure, azure_stand
from tests.support.chart import NAMESPACE

__all__ = ["azure", "azure_stand"]


@pytest.fixture(scope="session")
def release_namespaces(apiserver: ApiServer) -> None:
    """The namespaces that the sets of values name exist."""
    for name in (NAMESPACE, "team-a", "team-b", "team-c"):
        answer = apiserver.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        assert answer.status in {201, 409}, answer.message
