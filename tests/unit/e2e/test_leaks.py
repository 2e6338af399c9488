"""The search for leaked secrets finds them, and does not take what is redacted for one."""

from __future__ import annotations

import pytest
from tests.support.e2e.leaks import in_text

_SECRETS = {"client secret of x": "canary0123456789abcdef"}


@pytest.mark.parametrize(
    "text",
    [
        "PUT https://a.blob.example/vhds/d.vhd?sv=2026&sr=b&sig=AbC%2Fd12%3D HTTP/1.1",
        '{"url": "https://md.example/x?sig=AbCd1234"}',
        "client_secret=canary0123456789abcdef",
        "authorization: Bearer eyJ0eXAiOiJKV1QiLCJh.eyJhdWQiOiJodHRwczovL20ifQ.c2ln",
        "DefaultEndpointsProtocol=https;AccountKey=Zm9vYmFy;",
    ],
)
def test_found(text: str) -> None:
    found = in_text("log of pod a/b", text, _SECRETS)
    assert found
    assert not any("canary0123456789abcdef" in each or "AbC" in each for each in found), (
        "the finding repeats the secret"
    )


@pytest.mark.parametrize(
    "text",
    [
        "PUT https://a.blob.example/vhds/d.vhd?*** HTTP/1.1",
        "sig=***",
        "url must not contain a signature (a SAS is a secret)",
        "Bearer ***",
    ],
)
def test_not_found(text: str) -> None:
    assert in_text("event", text, _SECRETS) == []
