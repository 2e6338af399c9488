"""What is said of a comparison, and the digests in tags."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.api import VhdImport
from gallery_operator.api.vhdimport_status import VerificationStatus
from gallery_operator.contract import VerificationFacts
from gallery_operator.planning.verification import digest_tags, events, fields

SHA = "ab" * 32


def imported() -> VhdImport:
    meta = {"name": "os", "namespace": "n", "uid": "u"}
    spec = {"source": {"url": {"url": "https://example.com/a"}}, "definitionRef": {"name": "d"}}
    return VhdImport.from_wire({"metadata": meta, "spec": spec, "status": {"disk": {"sha256": SHA}}})


def test_status() -> None:
    facts = VerificationFacts(
        read_back="Full", listed=True, read_back_bytes=4096, repaired_bytes=512, cleared_bytes=1024, repaired_pieces=1
    )
    told = fields(facts, imported(), datetime(2026, 1, 1, tzinfo=UTC))
    assert told == {
        "readBack": "Full",
        "readBackBytes": 4096,
        "pagesListed": True,
        "repairedBytes": 1536,
        "notReadBack": None,
        "sha256": SHA,
        "time": "2026-01-01T00:00:00Z",
    }
    assert VerificationStatus.model_validate(told).repaired_bytes == 1536


@pytest.mark.parametrize(
    ("facts", "texts"),
    [
        (
            VerificationFacts(read_back="Sample", listed=True, read_back_bytes=1 << 28),
            [
                "Verified: What is in Azure is what was checked: the list of written pages compared, 256 MiB read "
                "back of 1 GiB.",
            ],
        ),
        (
            VerificationFacts(refused="403 AuthorizationPermissionMismatch"),
            [
                "Verified: What is in Azure is what was checked: the list of written pages not available, nothing read "
                "back, Azure does not let it be read (403 AuthorizationPermissionMismatch).",
            ],
        ),
        (
            VerificationFacts(read_back="Full", listed=True, read_back_bytes=1 << 30, repaired_bytes=1 << 22),
            [
                "Repaired: Azure's storage had lost or damaged 4 MiB that it had acknowledged; they are mended.",
                "Verified: What is in Azure is what was checked: the list of written pages compared, 1 GiB read "
                "back of 1 GiB.",
            ],
        ),
    ],
)
def test_events(facts: VerificationFacts, texts: list[str]) -> None:
    assert [f"{reason}: {message}" for _, reason, message in events(facts, 1 << 30)] == texts


def test_digests_by_disk() -> None:
    assert digest_tags([(3, "c"), (None, "a"), (0, "b")], {"team": "x"}) == {
        "gallery-operator.dev-sha256-os": "a",
        "gallery-operator.dev-sha256-data-0": "b",
        "gallery-operator.dev-sha256-data-3": "c",
    }
    assert digest_tags([], {}) == {}


@given(luns=st.sets(st.integers(0, 63)), others=st.integers(0, 60))
def test_there_are_never_more_tags_than_azure_takes(luns: set[int], others: int) -> None:
    found = digest_tags([(None, SHA), *((lun, SHA) for lun in luns)], {f"t{n}": "" for n in range(others)})
    assert len(found) == min(len(luns) + 1, max(0, 50 - others))
    assert not found or "gallery-operator.dev-sha256-os" in found
    assert all(len(name) <= 512 and not set(name) & set("<>%&\\?/") for name in found)
