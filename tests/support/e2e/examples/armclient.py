"""Sends requests to ARM one after the other; run in a pod, with what to send as JSON on its input.

Each change is awaited. What the answers were is printed as a JSON list.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

_PATIENCE_SECONDS = 120.0


def main() -> None:
    """Read ``{"endpoint", "tenant", "authority", "steps": [[method, path, body], …]}`` and do it."""
    order = json.load(sys.stdin)
    context = ssl.create_default_context(cadata=order["authority"])
    endpoint = order["endpoint"]
    form = {"grant_type": "client_credentials", "client_id": "tests", "client_secret": "any"}
    form["scope"] = f"{endpoint}/.default"
    token_url = f"{endpoint}/{order['tenant']}/oauth2/v2.0/token"
    with urllib.request.urlopen(token_url, urllib.parse.urlencode(form).encode(), context=context) as answer:
        token = json.load(answer)["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def send(method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{endpoint}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, context=context, timeout=60) as answer:
            return json.loads(answer.read() or b"{}")

    answers = []
    for method, path, body in order["steps"]:
        try:
            found = send(method, path, body)
            started = time.monotonic()
            while method == "PUT" and (found.get("properties") or {}).get("provisioningState") != "Succeeded":
                if time.monotonic() - started > _PATIENCE_SECONDS:
                    sys.exit(f"{path} did not become Succeeded: {found}")
                time.sleep(0.5)
                found = send("GET", path)
        except urllib.error.HTTPError as error:
            sys.exit(f"{method} {path} was answered {error.code}: {error.read().decode(errors='replace')}")
        answers.append(found)
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
