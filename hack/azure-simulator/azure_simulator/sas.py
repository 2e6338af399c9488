"""Shared access signatures of Azure Storage, made without an SDK.

String-to-sign formats: Microsoft's "Create an account SAS" and "Create a service SAS" (version 2018-03-28 for
the service SAS, which is what managed disks answer).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

__all__ = ["account_sas", "policy_sas"]

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
