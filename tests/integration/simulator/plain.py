"""Plain HTTP to the simulator: method, path with query and body in, status, headers and body out."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from azure_simulator.replaying.interaction import Answer
from tests.support.azure import TENANT, AzureStand

__all__ = ["Send", "client"]

Send = Callable[[str, str, Any], Answer]


def client(stand: AzureStand) -> Send:
    """Return a function that sends one request with a token of the stand."""
    context = ssl.create_default_context(cafile=str(stand.ca_file))
    form = f"grant_type=client_credentials&client_id=c&client_secret=s&scope={stand.base_url}/.default"
    request = urllib.request.Request(f"{stand.base_url}/{TENANT}/oauth2/v2.0/token", data=form.encode())
    with urllib.request.urlopen(request, context=context) as answer:
        token = json.loads(answer.read())["access_token"]

    def send(method: str, path: str, body: Any) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(stand.base_url + path.replace(" ", "%20"), data=data, method=method)
        request.add_header("Authorization", f"Bearer {token}")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, context=context) as answer:
                status, headers, raw = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, headers, raw = error.code, error.headers, error.read()
        lowered = {name.lower(): value for name, value in headers.items()}
        return Answer(status, lowered, json.loads(raw) if raw else None)

    return send
