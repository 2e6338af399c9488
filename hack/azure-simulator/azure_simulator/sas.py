"""Signatures of Azure Storage, made without an SDK.

String-to-sign formats: Microsoft's "Authorize with Shared Key", "Create an account SAS" and "Create a service SAS"
(version 2018-03-28 for the service SAS, which is what managed disks answer).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

__all__ = ["account_sas", "policy_sas", "shared_key"]

_ACCOUNT_VERSION = "2021-12-02"
_SERVICE_VERSION = "2018-03-28"


def _sign(key: str, text: str) -> str:
    digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def account_sas(account: str, key: str, *, now: datetime, lifetime: timedelta = timedelta(hours=2)) -> str:
    """Return an account SAS (query string) for everything in the blob service.

    Args:
        account: storage account name.
        key: account key, base64.
        now: wall time, with zone.
        lifetime: how long the signature is valid.
    """
    start = (now.astimezone(UTC) - timedelta(minutes=15)).strftime("%Y-%m-%dT%H:%M:%SZ")
    expiry = (now.astimezone(UTC) + lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = "\n".join((account, "rwdlacup", "b", "sco", start, expiry, "", "https,http", _ACCOUNT_VERSION, "", ""))
    return urlencode(
        {
            "sv": _ACCOUNT_VERSION,
            "ss": "b",
            "srt": "sco",
            "sp": "rwdlacup",
            "st": start,
            "se": expiry,
            "spr": "https,http",
            "sig": _sign(key, text),
        },
        quote_via=quote,
    )


def policy_sas(account: str, key: str, container: str, blob: str, policy: str) -> str:
    """Return a service SAS (query string) for one blob whose rights are in a stored access policy.

    Managed disks answer this form: removing the policy from the container revokes the signature at once.
    """
    resource = f"/blob/{account}/{container}/{blob}"
    text = "\n".join(("", "", "", resource, policy, "", "", _SERVICE_VERSION, "", "", "", "", ""))
    return urlencode({"sv": _SERVICE_VERSION, "sr": "b", "si": policy, "sig": _sign(key, text)}, quote_via=quote)


def shared_key(
    method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], *, account: str, key: str
) -> str:
    """Return the `Authorization` header of a request.

    Args:
        method: HTTP method.
        path: path of the URL as sent, account included (path style).
        query: query parameters, names in lower case.
        headers: headers that are sent.
        account: storage account name.
        key: account key, base64.
    """
    sent = {name.lower(): value for name, value in headers.items()}
    length = sent.get("content-length", "")
    lines = [method, "", "", "" if length == "0" else length, "", sent.get("content-type", ""), "", "", "", "", "", ""]
    lines += [f"{name}:{value}" for name, value in sorted(sent.items()) if name.startswith("x-ms-")]
    resource = f"/{account}{path}" + "".join(f"\n{name}:{value}" for name, value in sorted(query.items()))
    return f"SharedKey {account}:{_sign(key, chr(10).join([*lines, resource]))}"
