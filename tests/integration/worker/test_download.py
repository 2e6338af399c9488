"""Against a web server that misbehaves."""

from __future__ import annotations

import hashlib
import random
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult

import pytest
from tests.integration.worker import images
from tests.integration.worker.badserver import BadServer

from gallery_operator.contract import FailureCode, PrepareConfig
from gallery_operator.worker.address import AddressRule
from gallery_operator.worker.backoff import Backoff
from gallery_operator.worker.checksum import Checksum
from gallery_operator.worker.download import Download, DownloadPolicy
from gallery_operator.worker.errors import Stopped, WorkerError
from gallery_operator.worker.http import HttpClient, Response, tls_context
from gallery_operator.worker.prepare import prepare
from gallery_operator.worker.tracking import Tracker

MIB = 1024 * 1024
LOOPBACK = AddressRule.of(["127.0.0.0/8"], [])
QUICK = DownloadPolicy(backoff=Backoff(tries=4), checkpoint_bytes=MIB)
BODY = random.Random(5).randbytes(6 * MIB + 77)
SHA = "sha256:" + hashlib.sha256(BODY).hexdigest()


class Fetch:
    """One download into a folder; waits are noted, not waited."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.slept: list[float] = []

    def __call__(self, url: str, checksum: str | None = SHA, **options: Any) -> Path:
        client = HttpClient(
            rule=options.pop("rule", LOOPBACK),
            tls=options.pop("tls", None) or tls_context(None),
            headers=options.pop("headers", {}),
            timeout=options.pop("timeout", 10.0),
            authorizer=options.pop("authorizer", None),
            **({"resolver": options.pop("resolver")} if "resolver" in options else {}),
        )
        path = self.folder / "download"
        values: dict[str, Any] = {"limit": 64 * MIB, "policy": QUICK, "fingerprint": "f"}
        values.update(options)
        Download(
            client=client,
            url=url,
            path=path,
            checksum=Checksum(checksum),
            tracker=Tracker("prepare"),
            sleep=self.slept.append,
            **values,
        ).run()
        return path

    def refused(self, url: str, *arguments: Any, **options: Any) -> WorkerError:
        with pytest.raises(WorkerError) as caught:
            self(url, *arguments, **options)
        return caught.value


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    return Fetch(tmp_path)


def test_dropped_connections_are_gone_on_with(server: BadServer, fetch: Fetch) -> None:
    server.serve("/disk", BODY, faults=[("drop", 2 * MIB), ("drop", MIB), 503, ("drop", 100_000)])
    assert fetch(server.url("/disk"), None).read_bytes() == BODY
    assert sum(each.sent for each in server.seen) < len(BODY) + MIB
    ranged = [each.headers for each in server.seen if "range" in each.headers]
    assert ranged
    assert all(each["if-range"] == '"1"' for each in ranged)


def test_a_drip_that_drops_all_the_time_still_ends(server: BadServer, fetch: Fetch) -> None:
    script = server.serve("/disk", BODY)
    script.always = ("drop", 400_000)
    assert fetch(server.url("/disk")).read_bytes() == BODY


def test_last_modified_serves_as_well(server: BadServer, fetch: Fetch) -> None:
    date = "Mon, 01 Jun 2026 10:00:00 GMT"
    server.serve("/disk", BODY, etag='W/"weak"', last_modified=date, faults=[("drop", 3 * MIB)])
    assert fetch(server.url("/disk"), None).read_bytes() == BODY
    assert server.seen[1].headers["if-range"] == date


def test_without_ranges_it_begins_again(server: BadServer, fetch: Fetch) -> None:
    server.serve("/disk", BODY, ranges=False, faults=[("drop", 3 * MIB)])
    assert fetch(server.url("/disk")).read_bytes() == BODY


def test_without_any_version_and_checksum_it_begins_again(server: BadServer, fetch: Fetch) -> None:
    server.serve("/disk", BODY, etag=None, faults=[("drop", 3 * MIB)])
    assert fetch(server.url("/disk"), None).read_bytes() == BODY
    assert "range" not in server.seen[1].headers


def test_a_source_that_changes_once_is_fetched_from_the_start(server: BadServer, fetch: Fetch) -> None:
    other = BODY[::-1]

    def change(handler: Any) -> None:
        server.serve("/disk", other, etag='"2"')
        handler.connection.shutdown(socket.SHUT_RDWR)

    server.serve("/disk", BODY, faults=[("drop", 3 * MIB), change])
    assert fetch(server.url("/disk"), None).read_bytes() == other


def test_a_source_that_changes_all_the_time_is_given_up(server: BadServer, fetch: Fetch) -> None:
    versions = iter(range(100))

    def serve_next(handler: Any) -> None:
        script = server.scripts["/disk"]
        script.etag = f'"{next(versions)}"'
        script.faults = [("drop", MIB), serve_next]
        handler.connection.shutdown(socket.SHUT_RDWR)

    server.serve("/disk", BODY, faults=[("drop", MIB), serve_next])
    error = fetch.refused(server.url("/disk"), None)
    assert (error.code, error.retry) == (FailureCode.SOURCE_CHANGED, True)


def test_a_server_that_answers_with_another_range(server: BadServer, fetch: Fetch) -> None:
    def elsewhere(handler: Any) -> None:
        start = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-")) + 512
        handler.send_response(206)
        handler.send_header("ETag", '"1"')
        handler.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        handler.send_header("Content-Length", str(len(BODY) - start))
        handler.end_headers()
        handler.wfile.write(BODY[start:])

    server.serve("/disk", BODY, faults=[("drop", 3 * MIB), elsewhere])
    assert fetch(server.url("/disk"), None).read_bytes() == BODY
    assert "range" not in server.seen[2].headers


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, FailureCode.SOURCE_NOT_FOUND),
        (410, FailureCode.SOURCE_NOT_FOUND),
        (401, FailureCode.SOURCE_FORBIDDEN),
        (403, FailureCode.SOURCE_FORBIDDEN),
        (400, FailureCode.SOURCE_UNREACHABLE),
    ],
)
def test_answers_that_no_repetition_changes(status: int, code: FailureCode, server: BadServer, fetch: Fetch) -> None:
    server.serve("/disk", BODY, always=status)
    error = fetch.refused(server.url("/disk"))
    assert (error.code, error.retry) == (code, False)
    assert len(server.seen) == 1
    assert fetch.slept == []


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_answers_that_are_tried_again_but_not_for_ever(status: int, server: BadServer, fetch: Fetch) -> None:
    server.serve("/disk", BODY, faults=[status, status])
    assert fetch(server.url("/disk")).read_bytes() == BODY
    server.serve("/other", BODY, always=status)
    error = fetch.refused(server.url("/other"), fingerprint="g")
    assert (error.code, error.retry) == (FailureCode.SOURCE_UNREACHABLE, True)
    assert sum(1 for each in server.seen if each.path == "/other") == QUICK.backoff.tries


def test_retry_after_is_heeded_and_a_long_one_ends_the_attempt(server: BadServer, fetch: Fetch) -> None:
    def busy(seconds: int) -> Callable[[Any], None]:
        return lambda handler: handler._plain(429, {"Retry-After": str(seconds)})

    server.serve("/disk", BODY, faults=[busy(17)])
    fetch(server.url("/disk"))
    assert fetch.slept == [17.0]
    server.serve("/other", BODY, always=busy(3600))
    assert fetch.refused(server.url("/other"), fingerprint="g").retry
    assert fetch.slept == [17.0]


def test_a_body_that_is_always_too_short(server: BadServer, fetch: Fetch) -> None:
    server.serve("/disk", BODY, ranges=False, always=("truncate", 3 * MIB))
    error = fetch.refused(server.url("/disk"))
    assert (error.code, error.retry) == (FailureCode.SOURCE_TRUNCATED, True)


def test_wrong_checksum_leaves_nothing_behind(server: BadServer, fetch: Fetch) -> None:
    server.serve("/disk", BODY)
    error = fetch.refused(server.url("/disk"), "sha512:" + "0" * 128)
    assert (error.code, error.retry) == (FailureCode.CHECKSUM_MISMATCH, False)
    assert list(fetch.folder.iterdir()) == []


def test_an_endless_body_stops_at_the_limit(server: BadServer, fetch: Fetch) -> None:
    server.serve("/disk", BODY, endless=True)
    error = fetch.refused(server.url("/disk"), limit=20 * MIB)
    assert error.code == FailureCode.TOO_LARGE
    assert (fetch.folder / "download").stat().st_size <= 20 * MIB


def test_an_announced_length_above_the_limit_is_refused_at_once(server: BadServer, fetch: Fetch) -> None:
    server.serve("/disk", BODY)
    assert fetch.refused(server.url("/disk"), limit=MIB).code == FailureCode.TOO_LARGE
    assert (fetch.folder / "download").stat().st_size == 0


def test_a_crawl_is_cut_off_and_gone_on_with(server: BadServer, fetch: Fetch) -> None:
    script = server.serve("/disk", BODY, chunk=64, pace=0.02)

    def quicker(handler: Any) -> None:
        script.chunk, script.pace = MIB, 0.0
        handler._plain(503)

    script.faults = [None, quicker]
    policy = DownloadPolicy(backoff=Backoff(tries=4), slow_seconds=0.1, slow_bytes=100_000)
    assert fetch(server.url("/disk"), policy=policy).read_bytes() == BODY


def test_silence_is_a_dropped_connection(server: BadServer, fetch: Fetch) -> None:
    server.serve("/disk", BODY, faults=[("pause", 1.0)])
    assert fetch(server.url("/disk"), timeout=0.2).read_bytes() == BODY


def test_the_next_process_goes_on_after_the_last_checkpoint(server: BadServer, fetch: Fetch) -> None:
    class Stopping(Tracker):
        def advance(self, done: int = 0, *, sent: int = 0, skipped: int = 0) -> None:
            super().advance(done, sent=sent, skipped=skipped)
            if self.snapshot().bytes_done >= 4 * MIB:
                raise Stopped

    server.serve("/disk", BODY)
    client = HttpClient(rule=LOOPBACK, tls=tls_context(None), headers={})
    with pytest.raises(Stopped):
        Download(
            client=client,
            url=server.url("/disk"),
            path=fetch.folder / "download",
            fingerprint="f",
            checksum=Checksum(SHA),
            limit=64 * MIB,
            tracker=Stopping("prepare"),
        ).run()
    assert fetch(server.url("/disk")).read_bytes() == BODY
    start = int(server.seen[-1].headers["range"].removeprefix("bytes=").rstrip("-"))
    assert 4 * MIB <= start < len(BODY)


def test_a_file_that_rotted_between_attempts_is_fetched_anew(server: BadServer, fetch: Fetch) -> None:
    script = server.serve("/disk", BODY, always=("drop", 3 * MIB), ranges=False)
    fetch.refused(server.url("/disk"))
    with (fetch.folder / "download").open("r+b") as file:
        file.write(b"rot")
    script.always, script.ranges = None, True
    assert fetch(server.url("/disk")).read_bytes() == BODY


def test_another_configuration_does_not_use_the_file(server: BadServer, fetch: Fetch) -> None:
    server.serve("/disk", BODY)
    fetch(server.url("/disk"))
    server.serve("/disk", BODY[::-1])
    assert fetch(server.url("/disk"), None, fingerprint="g").read_bytes() == BODY[::-1]


# Where requests may go.


def test_redirects_are_followed_and_secrets_stay_at_home(server: BadServer, fetch: Fetch) -> None:
    stranger = BadServer()
    try:
        server.serve("/a", location="/b", status=307)
        server.serve("/b", location=stranger.url("/c"))
        stranger.serve("/c", location=server.url("/disk"), status=303)
        server.serve("/disk", BODY)
        assert fetch(server.url("/a"), headers={"X-Token": "s3cret"}).read_bytes() == BODY
        assert [each.headers.get("x-token") for each in server.seen] == ["s3cret", "s3cret", None]
        assert "x-token" not in stranger.seen[0].headers
    finally:
        stranger.close()


class Tickets:
    """Signs with a ticket in the query and a header; renews as often as it is told."""

    def __init__(self, *tickets: str) -> None:
        self._tickets = list(tickets)

    def sign(self, target: SplitResult, headers: Mapping[str, str]) -> tuple[SplitResult, Mapping[str, str]]:
        query = f"{target.query}&ticket={self._tickets[0]}".lstrip("&")
        return target._replace(query=query), {"X-Signed": headers.get("Range", "all")}

    def renew(self, response: Response) -> bool:
        if len(self._tickets) == 1:
            return False
        self._tickets.pop(0)
        return True


def test_requests_to_the_origin_are_signed_and_those_to_strangers_are_not(server: BadServer, fetch: Fetch) -> None:
    stranger = BadServer()
    try:
        server.serve("/a", location=stranger.url("/disk"), status=307)
        stranger.serve("/disk", BODY)
        assert fetch(server.url("/a?x=1"), authorizer=Tickets("t")).read_bytes() == BODY
        assert server.seen[0].path == "/a?x=1&ticket=t"
        assert server.seen[0].headers["x-signed"] == "all"
        assert "x-signed" not in stranger.seen[0].headers
        assert stranger.seen[0].path == "/disk"
    finally:
        stranger.close()


def test_a_refused_signature_is_renewed_once_and_never_shown(server: BadServer, fetch: Fetch) -> None:
    server.serve("/disk", BODY, faults=[403])
    assert fetch(server.url("/disk"), authorizer=Tickets("old", "new")).read_bytes() == BODY
    assert [each.path for each in server.seen] == ["/disk?ticket=old", "/disk?ticket=new"]
    server.serve("/other", always=401)
    refused = fetch.refused(server.url("/other"), authorizer=Tickets("s3cret"), fingerprint="g")
    assert refused.code == FailureCode.SOURCE_FORBIDDEN
    assert "s3cret" not in refused.message


def test_a_circle_of_redirects_ends(server: BadServer, fetch: Fetch) -> None:
    server.serve("/a", location="/a")
    assert fetch.refused(server.url("/a")).code == FailureCode.SOURCE_ADDRESS_FORBIDDEN
    assert len(server.seen) == 6


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/metadata",
        "http://168.63.129.16/",
        "http://[::1]/",
        "http://10.1.2.3/",
        "http://2130706433.example/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http://user:pw@127.0.0.1/",
        "//metadata.example/",
    ],
)
def test_redirects_to_forbidden_places(location: str, server: BadServer, fetch: Fetch) -> None:
    names = {"2130706433.example": ["127.0.0.1", "10.0.0.1"], "metadata.example": ["fd00:ec2::254"]}
    server.serve("/a", location=location)
    error = fetch.refused(server.url("/a"), resolver=lambda host, port: names.get(host, [host]))
    assert (error.code, error.retry) == (FailureCode.SOURCE_ADDRESS_FORBIDDEN, False)


def test_the_address_that_was_checked_is_the_one_connected_to(server: BadServer, fetch: Fetch) -> None:
    answers = [["127.0.0.1"], ["10.9.9.9"]]
    server.serve("/disk", BODY)
    url = server.url("/disk", "rebind.example")
    # The name would lead elsewhere (and nowhere, by the system's resolver) at a second look-up.
    assert fetch(url, resolver=lambda host, port: answers.pop(0)).read_bytes() == BODY
    assert server.seen[0].headers["host"] == f"rebind.example:{server.port}"


def test_loopback_needs_permission(server: BadServer, fetch: Fetch) -> None:
    server.serve("/disk", BODY)
    assert fetch.refused(server.url("/disk"), rule=AddressRule()).code == FailureCode.SOURCE_ADDRESS_FORBIDDEN
    assert server.seen == []


# TLS.


def test_tls_needs_a_trusted_certificate(certificate: tuple[Path, Path], fetch: Fetch) -> None:
    server = BadServer(certificate)
    try:
        server.serve("/disk", BODY)
        url = server.url("/disk", "localhost")
        error = fetch.refused(url, resolver=lambda host, port: ["127.0.0.1"])
        assert (error.code, error.retry) == (FailureCode.TLS_FAILED, False)
        trusted = tls_context(certificate[0])
        assert fetch(url, None, tls=trusted, resolver=lambda host, port: ["127.0.0.1"]).read_bytes() == BODY
        # The name is verified although the connection goes to an address.
        other = server.url("/disk", "elsewhere.example")
        error = fetch.refused(other, tls=trusted, resolver=lambda host, port: ["127.0.0.1"], fingerprint="g")
        assert error.code == FailureCode.TLS_FAILED
        server.serve("/down", location="http://127.0.0.1/disk")
        error = fetch.refused(
            server.url("/down", "localhost"), tls=trusted, resolver=lambda host, port: ["127.0.0.1"], fingerprint="g"
        )
        assert error.code == FailureCode.SOURCE_ADDRESS_FORBIDDEN
        assert "https to http" in error.message
    finally:
        server.close()


def test_nobody_listens(fetch: Fetch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = fetch.refused(f"http://127.0.0.1:{port}/disk")
    assert (error.code, error.retry) == (FailureCode.SOURCE_UNREACHABLE, True)


# As the Job sees it.


def test_headers_come_from_files_and_are_never_told(
    server: BadServer,
    url_config: Callable[..., PrepareConfig],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "secrets" / "headers"
    folder.mkdir()
    # As the kubelet lays it out: data in a hidden folder, links to it.
    (folder / "..data").mkdir()
    (folder / "..data" / "Authorization").write_text("Bearer s3cret-token\n")
    (folder / "Authorization").symlink_to("..data/Authorization")
    body = images.disk_bytes()
    server.serve("/disk", body)
    config = url_config(server.url("/disk"), "sha256:" + hashlib.sha256(body).hexdigest(), has_headers=True)
    caplog.set_level("DEBUG")
    report = prepare(config, Tracker("prepare"))
    assert server.seen[0].headers["authorization"] == "Bearer s3cret-token"
    assert "s3cret" not in report.model_dump_json() + caplog.text + capsys.readouterr().out


@pytest.mark.parametrize(("name", "value"), [("Range", "bytes=0-1"), ("X-A", "a\r\nHost: b"), ("bad name", "x")])
def test_headers_that_may_not_be_set(
    name: str, value: str, server: BadServer, url_config: Callable[..., PrepareConfig], tmp_path: Path
) -> None:
    (tmp_path / "secrets" / "headers").mkdir()
    (tmp_path / "secrets" / "headers" / name).write_text(value)
    with pytest.raises(WorkerError) as caught:
        prepare(url_config(server.url("/disk"), SHA, has_headers=True), Tracker("prepare"))
    assert caught.value.code == FailureCode.BAD_CONFIGURATION
    assert value not in caught.value.message


def test_http_needs_a_checksum(server: BadServer, url_config: Callable[..., PrepareConfig]) -> None:
    with pytest.raises(WorkerError) as caught:
        prepare(url_config(server.url("/disk")), Tracker("prepare"))
    assert caught.value.code == FailureCode.BAD_CONFIGURATION


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<!DOCTYPE html><html>Please log in" + b" " * (2 * MIB), FailureCode.NOT_A_DISK),
        (b"PK\x03\x04" + bytes(2 * MIB), FailureCode.UNSUPPORTED_FORMAT),
        (b"QFI\xfb\0\0\0\x03" + b"\0\0\0\0\0\0\x10\0\0\0\0\x08" + bytes(2 * MIB), FailureCode.UNSAFE_IMAGE),
    ],
)
def test_what_cannot_be_a_disk_is_refused_before_all_of_it_is_fetched(
    body: bytes, code: FailureCode, server: BadServer, url_config: Callable[..., PrepareConfig]
) -> None:
    server.serve("/disk", body + bytes(40 * MIB), chunk=MIB, pace=0.01)
    with pytest.raises(WorkerError) as caught:
        prepare(url_config(server.url("/disk"), SHA), Tracker("prepare"))
    assert caught.value.code == code
    assert server.seen[0].sent < 20 * MIB
