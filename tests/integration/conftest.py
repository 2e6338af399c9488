"""Fixtures that all integration tests share."""

from tests.support.apiserver import apiserver, namespace

__all__ = ["apiserver", "namespace"]
