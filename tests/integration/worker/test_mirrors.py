"""A file from the first of several servers that gives it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.worker.badserver import BadServer

from gallery_operator.contract import FailureCode, UrlSource
from gallery_operator.worker.backoff import Backoff
from gallery_operator.worker.download import DownloadPolicy
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.mirrors import fetch
from gallery_operator.worker.origins import locate
from gallery_operator.worker.tracking import Tracker

MIB = 1024 * 1024
BODY = random.Random(9).randbytes(4 * MIB + 5)
SHA = "sha256:" + hashlib.sha256(BODY).hexdigest()
QUICK = DownloadPolicy(backoff=Backoff(first=0.001, most=0.002, tries=4), checkpoint_bytes=MIB)

Fetch = Callable[..., Path]


@pytest.fixture
def second() -> Iterator[BadServer]:
    made = BadServer(host="127.0.0.2")
    yield made
    made.close()


@pytest.fixture
def fetched(tmp_path: Path, server: BadServer, second: BadServer) -> Fetch:
    def run(**options: Any) -> Path:
        values: dict[str, Any] = {"url": server.url("/disk"), "mirrors": (second.url("/disk"),), "checksum": SHA}
        source = UrlSource(**{"allowed_cidrs": ("127.0.0.0/8",), **values, **options})
        path = tmp_path / "download"
        fetch(locate(source, tmp_path), path, fingerprint="f", limit=16 * MIB, tracker=Tracker("prepare"), policy=QUICK)
        return path

    return run


def test_a_mirror_is_left_alone_while_the_first_serves(server: BadServer, second: BadServer, fetched: Fetch) -> None:
    server.serve("/disk", BODY)
    assert fetched().read_bytes() == BODY
    assert not second.seen


@pytest.mark.parametrize("status", [404, 403, 503, 500])
def test_the_next_is_asked_when_one_refuses(status: int, server: BadServer, second: BadServer, fetched: Fetch) -> None:
    server.serve("/disk", always=status)
    second.serve("/disk", BODY)
    assert fetched().read_bytes() == BODY


def test_what_the_first_gave_is_gone_on_with(server: BadServer, second: BadServer, fetched: Fetch) -> None:
    server.serve("/disk", BODY, etag='"here"', faults=[("drop", 3 * MIB)], always=503)
    second.serve("/disk", BODY, etag='"there"')
    assert fetched().read_bytes() == BODY
    assert second.seen[0].headers["range"] == f"bytes={3 * MIB}-"
    assert "if-range" not in second.seen[0].headers
    assert second.seen[0].sent == len(BODY) - 3 * MIB


def test_halves_that_do_not_belong_together_are_not_put_together(
    server: BadServer, second: BadServer, fetched: Fetch
) -> None:
    server.serve("/disk", BODY[::-1], faults=[("drop", 3 * MIB)], always=503)
    second.serve("/disk", BODY)
    assert fetched().read_bytes() == BODY
    assert second.seen[-1].sent == len(BODY)


def test_a_mirror_without_ranges_begins_again(server: BadServer, second: BadServer, fetched: Fetch) -> None:
    server.serve("/disk", BODY, faults=[("drop", 3 * MIB)], always=503)
    second.serve("/disk", BODY, etag='"there"', ranges=False)
    assert fetched().read_bytes() == BODY


def test_a_server_with_another_file_is_passed_over(server: BadServer, second: BadServer, fetched: Fetch) -> None:
    server.serve("/disk", BODY[::-1])
    second.serve("/disk", BODY)
    assert fetched().read_bytes() == BODY


def test_the_next_pod_begins_with_the_first_again_and_keeps_what_is_there(
    server: BadServer, second: BadServer, fetched: Fetch
) -> None:
    server.serve("/disk", always=503)
    second.serve("/disk", BODY, faults=[("drop", 2 * MIB)], always=503)
    with pytest.raises(WorkerError):
        fetched()
    server.serve("/disk", BODY)
    assert fetched().read_bytes() == BODY
    assert server.seen[-1].sent == len(BODY) - 2 * MIB


def test_when_none_has_it_each_is_told_and_another_attempt_may_help(
    server: BadServer, second: BadServer, fetched: Fetch
) -> None:
    server.serve("/disk", always=404)
    second.serve("/disk", always=503)
    with pytest.raises(WorkerError) as caught:
        fetched()
    assert (caught.value.code, caught.value.retry) == (FailureCode.SOURCE_UNREACHABLE, True)
    assert "None of the 2 URLs" in caught.value.message
    assert "127.0.0.1: The server says 404" in caught.value.message
    assert "127.0.0.2: The source could not be fetched" in caught.value.message


def test_secrets_are_not_sent_to_mirrors(server: BadServer, second: BadServer, fetched: Fetch, tmp_path: Path) -> None:
    (tmp_path / "headers").mkdir()
    (tmp_path / "headers" / "X-Token").write_text("canary")
    server.serve("/disk", always=404)
    second.serve("/disk", BODY)
    assert fetched(has_headers=True).read_bytes() == BODY
    assert server.seen[0].headers["x-token"] == "canary"
    assert all("x-token" not in each.headers for each in second.seen)


def test_a_forbidden_mirror_is_refused_before_anything_is_fetched_from_it(server: BadServer, fetched: Fetch) -> None:
    server.serve("/disk", always=404)
    with pytest.raises(WorkerError) as caught:
        fetched(mirrors=("http://127.0.0.3:1/disk",), allowed_cidrs=("127.0.0.1/32",))
    assert caught.value.code == FailureCode.SOURCE_ADDRESS_FORBIDDEN


def test_without_a_checksum_mirrors_are_refused(server: BadServer, fetched: Fetch) -> None:
    with pytest.raises(WorkerError, match="checksum is needed"):
        fetched(checksum=None, allowed_hosts=("127.0.0.1", "127.0.0.2"))
    assert not server.seen
