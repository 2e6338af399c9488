"""What every call to Azure has in common: a deadline, classification, one debug line, one count."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
from azure.core import exceptions as core

from gallery_operator.azure.errors import AzureError, classify
from gallery_operator.metrics import AZURE_REQUESTS

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

DEADLINE = 120.0
"""Longest one call may take, in seconds, getting a token included."""

# What the SDK, the transport and the file system raise; anything else is a mistake of ours and must be seen as one.
_EXPECTED = (core.AzureError, aiohttp.ClientError, OSError, TimeoutError, AzureError)


async def call(operation: str, function: Callable[[], Awaitable[_Result]]) -> _Result:
    """Run one request.

    Args:
        operation: Name for errors, metrics and the log; from a small fixed set.
        function: Sends the request.

    Returns:
        What the function returns.

    Raises:
        AzureError: It failed. The original exception is dropped on purpose: it may quote URLs with signatures.
    """
    started = time.monotonic()
    try:
        async with asyncio.timeout(DEADLINE):
            result = await function()
    except _EXPECTED as exc:
        error = classify(exc, operation)
    else:
        AZURE_REQUESTS.labels(operation, "ok").inc()
        _log.debug("%s: ok after %.3f s", operation, time.monotonic() - started)
        return result
    # A status is a number Azure answers with, a kind one of eleven words: both are bounded, Azure's codes are not.
    AZURE_REQUESTS.labels(operation, str(error.status) if error.status is not None else str(error.kind)).inc()
    _log.debug("%s; request id %s, after %.3f s", error, error.request_id, time.monotonic() - started)
    raise error
