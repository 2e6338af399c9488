"""No canary survives, and what helps a person does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.redact import redact

CANARY = "CaNaRy0123456789abcdef"
LEAKS = [
    f"https://md-impexp-x.z10.blob.storage.azure.net/y/abcd?sv=2018-03-28&sr=b&si=1&sig={CANARY}",
    f"failed: 'https://a.blob.core.windows.net/vhds/d.vhd?se=2026-01-01&sig={CANARY}' (403)",
    f"sig={CANARY}",
    f"sv=1&SIG={CANARY}&se=2",
    f"https://user:{CANARY}@example.com/disk.vhd",
    f"http://{CANARY}@example.com",
    f"Authorization: Bearer {CANARY}",
    f"authorization: SharedKey account:{CANARY}",
    f'{{"Authorization": "Basic {CANARY}"}}',
    f"Bearer {CANARY}",
    f"grant_type=x&client_secret={CANARY}&scope=y",
    f"client_assertion={CANARY}",
    f'{{"client_secret": "{CANARY}"}}',
    f'{{"access_token": "{CANARY}"}}',
    f"{{'accessSAS': 'https://x/y?sig={CANARY}'}}",
    f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={CANARY}==;EndpointSuffix=x",
    f"SharedAccessSignature=sv=1&sig={CANARY}",
    f'"AccountKey": "{CANARY}"',
    f"token eyJhbGciOiJSUzI1NiJ9.{CANARY}.{CANARY}",
    f"x-amz: https://s3/x?X-Amz-Signature={CANARY}",
    f"wasbs://c@a.blob.core.windows.net/x?sig={CANARY}",
    f"sig%3D{CANARY}",
]


@pytest.mark.parametrize("text", LEAKS)
def test_no_canary_survives(text: str) -> None:
    assert CANARY not in redact(text)


@pytest.mark.parametrize("text", LEAKS)
def test_redacting_again_changes_nothing(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "Disk /subscriptions/0000/resourceGroups/rg/providers/Microsoft.Compute/disks/d exists already",
        "https://images.example.com/debian.qcow2.xz answered 404",
        "osState is 'Specialized', wanted 'Generalized'",
        "the worker ended with exit code 137",
        "AuthorizationFailed: The client 'x' does not have authorization to perform action 'Microsoft.Compute/write'",
    ],
)
def test_what_helps_stays(text: str) -> None:
    assert redact(text) == text


@given(st.text(max_size=300))
def test_any_text_is_taken(text: str) -> None:
    redact(text)
