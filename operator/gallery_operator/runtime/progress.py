"""Reads what a running worker says about its progress."""

import logging
from types import TracebackType
from typing import Self

import aiohttp

from gallery_operator.contract import Progress
from gallery_operator.planning.jobs import PORT

_log = logging.getLogger(__name__)
_LONGEST_ANSWER = 16_384


class ProgressReader:
    """HTTP client of the workers' progress servers."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the connection pool; proxies of the environment do not apply to pods."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3.0), trust_env=False)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connection pool."""
        if self._session is not None:
            await self._session.close()

    async def read(self, pod_ip: str | None) -> Progress | None:
        """Return what the worker at an address says, or None when it says nothing (it may just be starting or ending).

        Args:
            pod_ip: Address of the pod, IPv4 or IPv6.
        """
        if pod_ip is None or self._session is None:
            return None
        host = f"[{pod_ip}]" if ":" in pod_ip else pod_ip
        try:
            async with self._session.get(f"http://{host}:{PORT}/progress", allow_redirects=False) as answer:
                if answer.status != 200:
                    return None
                return Progress.model_validate_json(await answer.content.read(_LONGEST_ANSWER))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            _log.debug("no progress from %s: %s", pod_ip, error)
            return None
