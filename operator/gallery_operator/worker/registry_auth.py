"""How a registry is shown who asks: Docker's token protocol, and basic authentication.

The protocol: https://distribution.github.io/distribution/spec/auth/token/.
"""

import base64
import binascii
import fnmatch
import json
import logging
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlencode
from urllib.request import parse_http_list, parse_keqv_list

from gallery_operator.contract import FailureCode
from gallery_operator.worker.document import read_body
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import ConnectionLost, HttpClient, Response, check_url

log = logging.getLogger(__name__)

_TOKEN_BYTES = 1024 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]+")
_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


class RegistryAuthorizer:
    """Asks without a proof first, and then with the one that the registry asks for.

    Args:
        client: Asks for tokens, under the same address rule; it has no proof of its own.
        host: The registry, with its port if it is not the default one.
        repository: What is read there.
        config: The mounted Docker configuration; None: anonymous. It is read again for each token, so that it may
            be renewed while a download goes on.
    """

    def __init__(self, client: HttpClient, host: str, repository: str, config: Path | None) -> None:
        self._client = client
        self._host = host
        self._repository = repository
        self._config = config
        self._lock = threading.Lock()
        self._authorization: str | None = None
        self._sent = threading.local()

    def sign(self, target: SplitResult, headers: Mapping[str, str]) -> tuple[SplitResult, Mapping[str, str]]:
        """Return the URL as it is, and the header that the registry has asked for."""
        self._sent.authorization = self._authorization
        return target, {"Authorization": self._authorization} if self._authorization is not None else {}

    def renew(self, response: Response) -> bool:
        """Get what the answer's challenge asks for.

        Raises:
            WorkerError: The place where tokens are to be had may not be asked; the Docker configuration is none.
            ConnectionLost: It does not answer.
        """
        with self._lock:
            if self._authorization != self._sent.authorization:
                return True  # Another connection's request has brought a newer one meanwhile.
            made = self._answer(response.header("WWW-Authenticate") or "")
            if made in (None, self._authorization):
                return False
            self._authorization = made
            return True

    def _answer(self, challenge: str) -> str | None:
        bearer = re.search(r"(?i)\bbearer\s+(.*)", challenge)
        if bearer is not None:
            token = self._token(_parameters(bearer[1]))
            return f"Bearer {token}" if token is not None else None
        if re.match(r"(?i)basic\b", challenge):
            return basic_authorization(self._config, self._host, self._repository)
        return None

    def _token(self, challenge: Mapping[str, str]) -> str | None:
        realm = challenge.get("realm", "")
        parts = check_url(realm)
        if parts.scheme != "https" and not self._client.rule.names(parts.hostname or ""):
            message = (
                f"The registry sends its clients to {parts.hostname} for a token, over http. That is done only where "
                "the administrator allows the host by name (chart value worker.allowedSourceHosts)."
            )
            raise WorkerError(FailureCode.SOURCE_ADDRESS_FORBIDDEN, message)
        scope = challenge.get("scope") or f"repository:{self._repository}:pull"
        query = {"service": challenge["service"]} if "service" in challenge else {}
        url = f"{realm}{'&' if parts.query else '?'}{urlencode({**query, 'scope': scope})}"
        proof = basic_authorization(self._config, self._host, self._repository)
        with self._client.get(url, {"Authorization": proof} if proof is not None else {}) as response:
            if response.status >= 500 or response.status == 429:
                raise ConnectionLost(f"{parts.hostname}, which gives the registry's tokens, says {response.status}")
            if response.status != 200:
                log.warning("no token from %s: it says %d", parts.hostname, response.status)
                return None
            return _token_of(read_body(response, _TOKEN_BYTES), parts.hostname or "")


def basic_authorization(config: Path | None, host: str, repository: str) -> str | None:
    """Return the header's value for the entry of a Docker configuration that fits a repository best.

    Args:
        config: A file of the form of ``~/.docker/config.json``; None: there is none.
        host: The registry, with its port if it is not the default one.
        repository: What is read there.

    Returns:
        ``Basic …``; None when there is no entry for it.

    Raises:
        WorkerError: ``BadConfiguration``: it is no Docker configuration, or has the user in a form that is not known.
    """
    if config is None:
        return None
    try:
        entries = json.loads(config.read_bytes())["auths"]
        matching = {key: entry for key, entry in entries.items() if _fits(key, host, repository)}
        if not matching:
            return None
        # As the kubelet does: the entry that says most.
        return _basic(matching[max(matching, key=len)])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        message = "The Secret of pullSecretRef is not of the form of kubernetes.io/dockerconfigjson."
        raise WorkerError(FailureCode.BAD_CONFIGURATION, message) from None


def _basic(entry: Mapping[str, Any]) -> str | None:
    if entry.get("identitytoken"):
        message = (
            "The Secret of pullSecretRef holds an identity token, which is not supported: give user and password, or "
            "a token that serves as password."
        )
        raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
    if entry.get("username"):
        pair = f"{entry['username']}:{entry.get('password', '')}".encode()
    else:
        try:
            pair = base64.b64decode(entry["auth"], validate=True)
        except binascii.Error:
            raise ValueError("no base64") from None
    return f"Basic {base64.b64encode(pair).decode()}"


def _fits(key: str, host: str, repository: str) -> bool:
    name, _, path = re.sub(r"^https?://", "", key).partition("/")
    if {name, host} <= _DOCKER_HUB:
        return True  # Docker itself writes https://index.docker.io/v1/ there.
    labels, wanted = name.split("."), host.split(".")
    if len(labels) != len(wanted) or not all(map(fnmatch.fnmatchcase, wanted, labels)):
        return False
    path = re.sub(r"^v[12](/|$)", "", path).rstrip("/")
    return not path or repository == path or repository.startswith(f"{path}/")


def _parameters(text: str) -> dict[str, str]:
    pairs = [each for each in parse_http_list(text) if "=" in each]
    return {name.lower(): value for name, value in parse_keqv_list(pairs).items()}


def _token_of(body: bytes, host: str) -> str:
    try:
        answer = json.loads(body)
        token = answer.get("token") or answer["access_token"]
        if _TOKEN.fullmatch(token) is not None:
            return str(token)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise WorkerError(FailureCode.SOURCE_FORBIDDEN, f"{host} answered without a token when it was asked for one.")
