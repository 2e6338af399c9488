"""A download over several connections at once, from a web server that misbehaves."""

from __future__ import annotations

import hashlib
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.worker.badserver import BadServer, Script, Seen

from gallery_operator.worker.address import AddressRule
from gallery_operator.worker.backoff import Backoff
from gallery_operator.worker.checksum import Checksum
from gallery_operator.worker.download import Download, DownloadPolicy
from gallery_operator.worker.errors import Stopped, WorkerError
from gallery_operator.worker.http import HttpClient, tls_context
from gallery_operator.worker.segments import Parallel, ParallelBody, Version
from gallery_operator.worker.tracking import Tracker

MIB = 1024 * 1024
KIB = 1024
BODY = random.Random(8).randbytes(6 * MIB + 77)
SHA = "sha256:" + hashlib.sha256(BODY).hexdigest()
BOUNDS = Parallel(connections=4, segment_bytes=256 * KIB, segments=6, least_bytes=MIB)
POLICY = DownloadPolicy(backoff=Backoff(tries=6), checkpoint_bytes=MIB, parallel=BOUNDS)


def client(headers: dict[str, str] | None = None) -> HttpClient:
    rule = AddressRule.of(["127.0.0.0/8"], [])
    return HttpClient(rule=rule, tls=tls_context(None), headers=headers or {}, timeout=10.0)


def fetch(url: str, folder: Path, checksum: str | None = SHA, **options: Any) -> Path:
    path = folder / "download"
    values: dict[str, Any] = {"client": client(), "policy": POLICY, "tracker": Tracker("prepare"), **options}
    Download(
        url=url, path=path, fingerprint="f", limit=64 * MIB, checksum=Checksum(checksum), sleep=lambda _: None, **values
    ).run()
    return path


def ranges(server: BadServer) -> list[str]:
    return [each.headers["range"] for each in server.seen if "range" in each.headers]


def test_ranges_come_together_in_order(server: BadServer, tmp_path: Path) -> None:
    server.serve("/disk", BODY, accept_ranges=True)
    assert fetch(server.url("/disk"), tmp_path, None).read_bytes() == BODY
    asked = ranges(server)
    assert len(asked) == len(set(asked)) == len(BODY) // BOUNDS.segment_bytes
    assert all(each.headers["if-range"] == '"1"' for each in server.seen if "range" in each.headers)


def test_who_does_not_offer_ranges_is_asked_once(server: BadServer, tmp_path: Path) -> None:
    server.serve("/disk", BODY)
    assert fetch(server.url("/disk"), tmp_path).read_bytes() == BODY
    assert len(server.seen) == 1


def test_a_version_is_needed_that_the_ranges_can_be_tied_to(server: BadServer, tmp_path: Path) -> None:
    server.serve("/disk", BODY, accept_ranges=True, etag='W/"weak"')
    assert fetch(server.url("/disk"), tmp_path).read_bytes() == BODY
    assert len(server.seen) == 1


def test_little_is_not_worth_it(server: BadServer, tmp_path: Path) -> None:
    small = BODY[: MIB - 1]
    server.serve("/disk", small, accept_ranges=True)
    assert fetch(server.url("/disk"), tmp_path, None).read_bytes() == small
    assert len(server.seen) == 1


@pytest.mark.parametrize("seed", range(6))
def test_whatever_breaks_the_bytes_are_right(seed: int, server: BadServer, tmp_path: Path) -> None:
    chance = random.Random(seed)
    kinds: list[Any] = [("drop", 100 * KIB), ("truncate", 1), None, None, 503, ("drop", 0), ("pause", 0.05)]
    server.serve("/disk", BODY, accept_ranges=True, faults=chance.choices(kinds, k=12))
    bounds = replace(BOUNDS, segment_bytes=chance.randrange(64 * KIB, MIB), segments=chance.randint(1, 6))
    policy = replace(POLICY, backoff=Backoff(tries=20), parallel=bounds)
    assert fetch(server.url("/disk"), tmp_path, None, policy=policy).read_bytes() == BODY


def test_ranges_that_are_promised_and_not_kept(server: BadServer, tmp_path: Path) -> None:
    server.serve("/disk", BODY, accept_ranges=True, ranges=False)
    assert fetch(server.url("/disk"), tmp_path).read_bytes() == BODY
    # The first, at most one a connection, and the one that brings it all.
    assert len(server.seen) <= 2 + BOUNDS.connections


def test_another_range_than_asked_for_is_not_taken(server: BadServer, tmp_path: Path) -> None:
    def elsewhere(handler: Any) -> None:
        start, end = (int(each) for each in handler.headers["Range"].removeprefix("bytes=").split("-"))
        handler.send_response(206)
        handler.send_header("ETag", '"1"')
        handler.send_header("Content-Range", f"bytes {start + 512}-{end + 512}/{len(BODY)}")
        handler.send_header("Content-Length", str(end - start + 1))
        handler.end_headers()
        handler.wfile.write(BODY[start + 512 : end + 513])

    server.serve("/disk", BODY, accept_ranges=True, faults=[None, elsewhere])
    assert fetch(server.url("/disk"), tmp_path, None).read_bytes() == BODY


def test_a_source_that_changes_midway_is_fetched_anew_and_never_mixed(server: BadServer, tmp_path: Path) -> None:
    other = BODY[::-1]

    def change(handler: Any) -> None:
        server.serve("/disk", other, accept_ranges=True, etag='"2"')
        handler.connection.close()

    server.serve("/disk", BODY, accept_ranges=True, faults=[None, None, None, None, change])
    assert fetch(server.url("/disk"), tmp_path, None).read_bytes() == other


def test_ranges_come_from_where_the_redirect_led_without_the_secrets(server: BadServer, tmp_path: Path) -> None:
    elsewhere = BadServer(host="127.0.0.2")
    try:
        elsewhere.serve("/disk", BODY, accept_ranges=True)
        server.serve("/disk", location=elsewhere.url("/disk"))
        found = fetch(server.url("/disk"), tmp_path, None, client=client({"X-Token": "canary"}))
        assert found.read_bytes() == BODY
        assert len(server.seen) == 1
        assert len(elsewhere.seen) > BOUNDS.connections
        assert all("x-token" not in each.headers for each in elsewhere.seen)
    finally:
        elsewhere.close()


def test_a_redirect_that_ends_is_asked_for_anew_with_as_many_connections(
    server: BadServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Registries send their clients to addresses that are signed for minutes."""
    caplog.set_level("INFO")
    disk = server.serve("/disk", location="/signed?token=1")
    inner = Script(BODY, accept_ranges=True)
    asked: list[str] = []

    def signed(handler: Any) -> None:
        if handler.path != disk.location:
            handler._plain(403)
            return
        asked.append(handler.path)
        server._serve(handler, inner, Seen(handler.path, {k.lower(): v for k, v in handler.headers.items()}))
        if len(asked) == 6:
            disk.location = "/signed?token=2"

    server.serve("/signed", always=signed)
    assert fetch(server.url("/disk"), tmp_path).read_bytes() == BODY
    assert "/signed?token=2" in asked
    assert caplog.text.count("fetching over 4 connections") == 2
    assert "has ended (status 403)" in caplog.text


def test_memory_is_bounded_by_the_window(server: BadServer) -> None:
    server.serve("/disk", BODY, accept_ranges=True)
    sender = client()
    first = sender.get(server.url("/disk"), {})
    body = ParallelBody(sender, server.url("/disk"), first, 0, Version('"1"', '"1"', len(BODY)), BOUNDS, 4)
    until = time.monotonic() + 10
    # Nobody reads: as many segments as fit into the window are asked for, and not one more.
    while len(server.seen) < BOUNDS.segments and time.monotonic() < until:
        time.sleep(0.01)
    assert len(server.seen) == BOUNDS.segments
    got = b"".join(iter(lambda: body.read(7777), b""))
    body.close()
    assert got == BODY
    assert len(ranges(server)) == len(BODY) // BOUNDS.segment_bytes


def test_a_killed_pod_goes_on_over_several_connections(server: BadServer, tmp_path: Path) -> None:
    class Ending(Tracker):
        def advance(self, done: int = 0, *, sent: int = 0, skipped: int = 0) -> None:
            super().advance(done, sent=sent, skipped=skipped)
            if self.snapshot().bytes_done > 3 * MIB:
                raise Stopped

    server.serve("/disk", BODY, accept_ranges=True)
    with pytest.raises(Stopped):
        fetch(server.url("/disk"), tmp_path, tracker=Ending("prepare"))
    server.seen.clear()
    assert fetch(server.url("/disk"), tmp_path).read_bytes() == BODY
    starts = [int(each.removeprefix("bytes=").split("-")[0]) for each in ranges(server)]
    assert min(starts) >= 3 * MIB
    assert len(starts) > 4


def test_the_limit_holds(server: BadServer, tmp_path: Path) -> None:
    server.serve("/disk", bytes(65 * MIB), accept_ranges=True)
    with pytest.raises(WorkerError, match="at most"):
        fetch(server.url("/disk"), tmp_path)
