"""Web servers that break the rules of HTTP, or keep only those they must."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.worker import images
from tests.integration.worker.badserver import BadServer

from gallery_operator.contract import FailureCode, PrepareConfig, Report
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.prepare import prepare
from gallery_operator.worker.tracking import Tracker

Make = Callable[..., PrepareConfig]
BODY = images.disk_bytes()
SHA = "sha256:" + hashlib.sha256(BODY).hexdigest()


def run(config: PrepareConfig) -> Report:
    return prepare(config, Tracker("prepare"))


def is_right(report: Report) -> bool:
    assert report.disk is not None
    return report.disk.sha256 == hashlib.sha256(images.fixed_vhd(BODY)).hexdigest()


def answering(body: bytes, **headers: str) -> Callable[[Any], None]:
    """A whole answer with these headers, whatever was asked for."""

    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("ETag", '"1"')
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Connection", "close")
        handler.close_connection = True
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.mark.parametrize("status", [403, 405, 501])
def test_head_refused(status: int, server: BadServer, url_config: Make) -> None:
    """Signed URLs of object stores are for GET only: HEAD is answered 403."""
    server.head_status = status
    server.serve("/disk", BODY)
    assert is_right(run(url_config(server.url("/disk"), SHA)))


@pytest.mark.parametrize("kind", ["text/html", "application/x-gzip", "nonsense", ""])
def test_wrong_type(kind: str, server: BadServer, url_config: Make) -> None:
    """What a server calls the file is of no account; its bytes are."""
    server.serve("/disk", BODY, always=answering(BODY, Content_Type=kind))
    assert is_right(run(url_config(server.url("/disk"), SHA)))


def test_a_page_that_calls_itself_a_disk(server: BadServer, url_config: Make, tmp_path: Path) -> None:
    page = b"<!DOCTYPE html><title>Sign in</title>" + b" " * 70_000
    checksum = "sha256:" + hashlib.sha256(page).hexdigest()
    server.serve("/disk", page, always=answering(page, Content_Type="application/octet-stream"))
    with pytest.raises(WorkerError) as caught:
        run(url_config(server.url("/disk"), checksum))
    assert (caught.value.code, caught.value.retry) == (FailureCode.NOT_A_DISK, False)
    assert not (tmp_path / "scratch" / "manifest.json").exists()


def test_an_encoding_that_nobody_asked_for(server: BadServer, url_config: Make) -> None:
    """Bytes that came encoded are not the file that the checksum speaks of; without one they are a gzip file."""
    packed = gzip.compress(BODY)
    server.serve("/disk", BODY, always=answering(packed, Content_Encoding="gzip"))
    with pytest.raises(WorkerError) as caught:
        run(url_config(server.url("/disk"), SHA))
    assert caught.value.code == FailureCode.CHECKSUM_MISMATCH
    assert is_right(run(url_config(server.url("/disk"), allowed_hosts=("127.0.0.1",))))


@pytest.mark.parametrize("length", ["5000000", "0", "512"])
def test_a_length_that_is_too_small(length: str, server: BadServer, url_config: Make, tmp_path: Path) -> None:
    """HTTP ends the body there; the checksum says that it is not all."""
    server.serve("/disk", BODY, always=answering(BODY, Content_Length=length))
    with pytest.raises(WorkerError) as caught:
        run(url_config(server.url("/disk"), SHA))
    assert caught.value.code in (FailureCode.CHECKSUM_MISMATCH, FailureCode.NOT_A_DISK, FailureCode.SOURCE_TRUNCATED)
    assert not (tmp_path / "scratch" / "manifest.json").exists()


@pytest.mark.parametrize("length", ["-1", "many", "9437184, 9437184", "1e7"])
def test_a_length_that_is_no_number(length: str, server: BadServer, url_config: Make) -> None:
    """The end of the connection is the end of the body then; the checksum says whether all came."""
    server.serve("/disk", BODY, always=answering(BODY, Content_Length=length))
    assert is_right(run(url_config(server.url("/disk"), SHA)))
