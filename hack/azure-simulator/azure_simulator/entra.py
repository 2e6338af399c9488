"""The token endpoint of Microsoft Entra ID, as far as azure-identity asks for it.

Tokens are JSON Web Tokens signed with a secret of the simulator. Azurite and the simulator read audience,
issuer and expiry; nobody outside checks the signature.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = ["Entra", "TokenRefusedError", "read_claims"]

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME = 3600
_STORAGE = "https://storage.azure.com"


class TokenRefusedError(Exception):
    """The token endpoint says no.

    Attributes:
        status: HTTP status.
        body: Entra's JSON.
    """

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(str(body.get("error_description", "")))
        self.status = status
        self.body = dict(body)


def _encode(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def read_claims(token: str) -> dict[str, Any] | None:
    """Return the claims of a JSON Web Token without checking its signature, or None if it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    return claims if isinstance(claims, dict) else None


@dataclass(frozen=True, slots=True)
class Entra:
    """Makes and refuses tokens.

    Attributes:
        secret: what tokens are signed with.
        bad_secrets: client secrets that are answered as wrong.
    """

    secret: bytes
    bad_secrets: Collection[str] = ("wrong-secret",)

    def issue(self, tenant: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer a client-credentials request.

        Args:
            tenant: tenant id from the path.
            form: the request's form fields.

        Raises:
            TokenRefusedError: Entra would not give a token.
        """
        client = form.get("client_id", "")
        if form.get("grant_type") != "client_credentials":
            raise _refuse(
                400,
                "unsupported_grant_type",
                70003,
                f"The app requested an unsupported grant type '{form.get('grant_type', '')}'.",
            )
        scope = form.get("scope", "")
        if not scope.endswith("/.default") or not client:
            raise _refuse(
                400,
                "invalid_scope",
                1002012,
                f"The provided value for scope {scope} is not valid. Client credential flows must have a scope "
                "value with /.default suffixed to the resource identifier (application ID URI).",
            )
        self._authenticate(client, form)
        return {
            "token_type": "Bearer",
            "expires_in": _LIFETIME,
            "ext_expires_in": _LIFETIME,
            "access_token": self._token(tenant, client, scope.removesuffix("/.default")),
        }

    def _authenticate(self, client: str, form: Mapping[str, str]) -> None:
        if "client_assertion" in form:
            claims = read_claims(form["client_assertion"])
            if form.get("client_assertion_type") != _ASSERTION or claims is None:
                raise _refuse(401, "invalid_client", 50027, "JWT token is invalid or malformed.", client_error=True)
            if float(claims.get("exp", 0)) < time.time():
                raise _refuse(
                    401,
                    "invalid_client",
                    700024,
                    "Client assertion is not within its valid time range.",
                    client_error=True,
                )
            return
        secret = form.get("client_secret")
        if not secret:
            raise _refuse(
                401,
                "invalid_client",
                7000216,
                "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
            )
        if secret in self.bad_secrets:
            raise _refuse(
                401,
                "invalid_client",
                7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the client "
                f"secret value, not the client secret ID, for a secret added to app '{client}'.",
                client_error=True,
            )

    def _token(self, tenant: str, client: str, audience: str) -> str:
        if audience.rstrip("/") == _STORAGE:
            audience = _STORAGE
        now = int(time.time())
        header = {"typ": "JWT", "alg": "HS256", "kid": "azure-simulator"}
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{tenant}/",
            "iat": now - 5,
            "nbf": now - 5,
            "exp": now + _LIFETIME,
            "appid": client,
            "oid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{tenant}/{client}")),
            "tid": tenant,
            "sub": client,
            "ver": "1.0",
        }
        signed = f"{_encode(header)}.{_encode(claims)}"
        mac = hmac.new(self.secret, signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def _refuse(status: int, error: str, number: int, text: str, *, client_error: bool = False) -> TokenRefusedError:
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    body: dict[str, Any] = {
        "error": error,
        "error_description": f"AADSTS{number}: {text} Trace ID: {trace} Correlation ID: {correlation} "
        f"Timestamp: {moment}",
        "error_codes": [number],
        "timestamp": moment,
        "trace_id": trace,
        "correlation_id": correlation,
    }
    if client_error:
        body["error_uri"] = f"https://login.microsoftonline.com/error?code={number}"
    return TokenRefusedError(status, body)
