"""Disks from S3-compatible storage that verifies who asks."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import pytest
from tests.integration.worker.badserver import BadServer
from tests.integration.worker.images import MIB, disk_bytes
from tests.integration.worker.registries import tool

from gallery_operator.contract import FailureCode, PrepareConfig, PrerequisitesConfig, S3Source
from gallery_operator.worker.backoff import Backoff
from gallery_operator.worker.download import DownloadPolicy
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.mirrors import fetch
from gallery_operator.worker.origin_s3 import SigV4
from gallery_operator.worker.origins import locate
from gallery_operator.worker.preparation import Preparation
from gallery_operator.worker.segments import Parallel
from gallery_operator.worker.tracking import Tracker

ID, SECRET = "AKIDEXAMPLE", "canary/secret+key"
BUCKET, KEY = "images", "debian 12/disk+ä=~(1).raw"
DISK = disk_bytes()
BODY = random.Random(3).randbytes(5 * MIB + 3)
PARALLEL = Parallel(segment_bytes=MIB, least_bytes=2 * MIB)
QUICK = DownloadPolicy(backoff=Backoff(first=0.001, most=0.002, tries=4), checkpoint_bytes=MIB, parallel=PARALLEL)

Fetch = Callable[..., bytes]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real server, with the disk and another object in a bucket."""
    command = [tool("s3-server"), f"{ID}:{SECRET}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        folder = tmp_path_factory.mktemp("keys")
        keys(folder)
        for path, body in ((f"/{BUCKET}", b""), (f"/{BUCKET}/{KEY}", DISK), (f"/{BUCKET}/large", BODY)):
            put(url, path, body, folder)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()


def put(endpoint: str, path: str, body: bytes, folder: Path) -> None:
    from awscrt import auth, http

    target = urllib.request.Request(endpoint + urllib.request.quote(path, safe="/~"), data=body, method="PUT")
    request = http.HttpRequest("PUT", target.selector, http.HttpHeaders([("Host", urlsplit(endpoint).netloc)]))
    config = auth.AwsSigningConfig(
        algorithm=auth.AwsSigningAlgorithm.V4,
        signature_type=auth.AwsSignatureType.HTTP_REQUEST_HEADERS,
        credentials_provider=auth.AwsCredentialsProvider.new_static(ID, SECRET),
        region="us-east-1",
        service="s3",
        use_double_uri_encode=False,
        signed_body_value=hashlib.sha256(body).hexdigest(),
        signed_body_header_type=auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
    )
    auth.aws_sign_request(request, config).result(10)
    for name, value in request.headers:
        target.add_header(name, value)
    with urllib.request.urlopen(target, timeout=10) as answer:
        assert answer.status == 200


def keys(folder: Path, **values: str) -> None:
    (folder / "credentials").mkdir(exist_ok=True)
    for name, value in {"AWS_ACCESS_KEY_ID": ID, "AWS_SECRET_ACCESS_KEY": SECRET, **values}.items():
        (folder / "credentials" / name).write_text(value)


def source(endpoint: str, **options: Any) -> S3Source:
    values: dict[str, Any] = {"bucket": BUCKET, "key": KEY, "region": "us-east-1", "path_style": True}
    values |= {"allowed_hosts": ("127.0.0.1",), "has_credentials": True}
    return S3Source(endpoint=endpoint, **{**values, **options})


@pytest.fixture
def fetched(tmp_path: Path) -> Fetch:
    keys(tmp_path)

    def run(endpoint: str, **options: Any) -> bytes:
        path = tmp_path / "download"
        place = locate(source(endpoint, **options), tmp_path)
        fetch(place, path, fingerprint="f", limit=16 * MIB, tracker=Tracker("prepare"), policy=QUICK)
        return path.read_bytes()

    return run


def refused(fetched: Fetch, endpoint: str, **options: Any) -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        fetched(endpoint, **options)
    assert SECRET not in caught.value.message
    return caught.value


def test_an_object_is_prepared_to_a_disk(storage: str, folders: dict[str, str]) -> None:
    keys(Path(folders["secrets_dir"]))
    checks = PrerequisitesConfig(policy="Warn")
    disk = source(storage, checksum="sha256:" + hashlib.sha256(DISK).hexdigest())
    config = PrepareConfig(source=disk, max_virtual_size=64 * MIB, prerequisites=checks, port=0, **folders)
    found = Preparation(config, Tracker("prepare")).run()
    try:
        assert found.disk.pread(found.manifest.data_size, 0) == DISK
    finally:
        found.disk.close()


def test_every_range_is_signed(storage: str, fetched: Fetch, caplog: pytest.LogCaptureFixture) -> None:
    """The object is fetched over several connections, each with requests of its own."""
    caplog.set_level("INFO")
    assert fetched(storage, key="large") == BODY
    assert "fetching over 4 connections" in caplog.text
    assert SECRET not in caplog.text


def test_a_signature_with_another_secret_is_refused(storage: str, fetched: Fetch, tmp_path: Path) -> None:
    """The witness: the server computes the signature itself."""
    keys(tmp_path, AWS_SECRET_ACCESS_KEY="another")
    error = refused(fetched, storage)
    assert (error.code, error.retry) == (FailureCode.SOURCE_FORBIDDEN, False)
    assert "SignatureDoesNotMatch. The secret key does not fit" in error.message
    assert "credentialsSecretRef" in error.message


def test_a_key_that_nobody_knows(storage: str, fetched: Fetch, tmp_path: Path) -> None:
    keys(tmp_path, AWS_ACCESS_KEY_ID="AKIDUNKNOWN")
    error = refused(fetched, storage)
    assert (error.code, error.retry) == (FailureCode.SOURCE_FORBIDDEN, False)
    assert "InvalidAccessKeyId" in error.message


def test_anonymous_requests_are_refused_where_keys_are_wanted(storage: str, fetched: Fetch) -> None:
    error = refused(fetched, storage, has_credentials=False)
    assert error.code == FailureCode.SOURCE_FORBIDDEN


@pytest.mark.parametrize(
    ("change", "code"), [({"key": "none"}, "NoSuchKey"), ({"bucket": "no-such-bucket"}, "NoSuchBucket")]
)
def test_what_is_not_there_is_told(change: dict[str, str], code: str, storage: str, fetched: Fetch) -> None:
    error = refused(fetched, storage, **change)
    assert error.code == FailureCode.SOURCE_NOT_FOUND
    assert code in error.message


def test_a_wrong_checksum(storage: str, fetched: Fetch) -> None:
    error = refused(fetched, storage, checksum="sha256:" + "0" * 64)
    assert error.code == FailureCode.CHECKSUM_MISMATCH
    assert "source.s3.checksum" in error.message


def test_a_dropped_connection_is_gone_on_with_and_signed_anew(server: BadServer, fetched: Fetch) -> None:
    server.serve(f"/{BUCKET}/large", BODY, faults=[("drop", 3 * MIB)])
    assert fetched(server.url(""), key="large") == BODY
    first, second = server.seen[:2]
    assert second.headers["range"] == f"bytes={3 * MIB}-"
    assert "range" not in second.headers["authorization"]  # the proof is not about it
    assert first.headers["authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={ID}/")


def test_session_tokens_that_are_renewed_are_taken_up(server: BadServer, fetched: Fetch, tmp_path: Path) -> None:
    keys(tmp_path, AWS_SESSION_TOKEN="first")

    def renewed(handler: Any) -> None:
        keys(tmp_path, AWS_SESSION_TOKEN="second")
        handler._plain(503)

    server.serve(f"/{BUCKET}/large", BODY, faults=[renewed])
    assert fetched(server.url(""), key="large") == BODY
    assert [each.headers["x-amz-security-token"] for each in server.seen] == ["first", "second"]


def test_keys_do_not_follow_a_redirect_to_a_stranger(server: BadServer, fetched: Fetch) -> None:
    other = BadServer(host="127.0.0.2")
    try:
        other.serve("/large", BODY)
        server.serve(f"/{BUCKET}/large", location=other.url("/large"))
        assert fetched(server.url(""), key="large", allowed_hosts=("127.0.0.1", "127.0.0.2")) == BODY
        (seen,) = other.seen
        assert not {"authorization", "x-amz-security-token", "x-amz-date"} & set(seen.headers)
    finally:
        other.close()


@pytest.mark.parametrize(
    ("status", "code", "failure", "told"),
    [
        (400, "AuthorizationHeaderMalformed", FailureCode.BAD_CONFIGURATION, "Its region is eu-north-1."),
        (301, "PermanentRedirect", FailureCode.BAD_CONFIGURATION, "spec.source.s3.region"),
        (403, "AccessDenied", FailureCode.SOURCE_FORBIDDEN, "s3:GetObject"),
        (403, "RequestTimeTooSkewed", FailureCode.SOURCE_FORBIDDEN, "clock of the node"),
        (400, "ExpiredToken", FailureCode.SOURCE_FORBIDDEN, "has expired"),
        (403, "InvalidObjectState", FailureCode.SOURCE_FORBIDDEN, "archived"),
        (404, "NoSuchVersion", FailureCode.SOURCE_NOT_FOUND, "versionId"),
        (403, "SomethingNew", FailureCode.SOURCE_FORBIDDEN, "credentialsSecretRef"),
    ],
)
def test_what_the_server_says_becomes_advice(
    status: int, code: str, failure: FailureCode, told: str, server: BadServer, fetched: Fetch
) -> None:
    def answer(handler: Any) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Region>eu-north-1</Region></Error>".encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    server.serve(f"/{BUCKET}/large", always=answer)
    error = refused(fetched, server.url(""), key="large")
    assert (error.code, error.retry) == (failure, False)
    assert told in error.message


def test_too_many_requests_are_waited_out(server: BadServer, fetched: Fetch) -> None:
    server.serve(f"/{BUCKET}/large", BODY, faults=[503, 500])
    assert fetched(server.url(""), key="large") == BODY


def test_an_endpoint_inside_is_refused(storage: str, fetched: Fetch) -> None:
    checksum = "sha256:" + hashlib.sha256(BODY).hexdigest()
    error = refused(fetched, storage, allowed_hosts=(), checksum=checksum)
    assert error.code == FailureCode.SOURCE_ADDRESS_FORBIDDEN
    error = refused(fetched, storage, allowed_hosts=(), allowed_cidrs=("127.0.0.0/8",))
    assert "An http URL proves nothing" in error.message


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_secret_without_a_key_is_told_before_anything_is_asked(
    name: str, server: BadServer, fetched: Fetch, tmp_path: Path
) -> None:
    (tmp_path / "credentials" / name).unlink()
    error = refused(fetched, server.url(""))
    assert error.code == FailureCode.BAD_CONFIGURATION
    assert name in error.message
    keys(tmp_path, **{name: "canary\nX-Header: 1"})
    error = refused(fetched, server.url(""))
    assert "canary" not in error.message
    assert not server.seen


def test_a_changed_request_does_not_have_the_signature(storage: str, tmp_path: Path) -> None:
    """What is signed is the path as it is sent: the server notices another one."""
    keys(tmp_path)
    place = locate(source(storage), tmp_path)

    class Elsewhere(SigV4):
        def sign(self, target: SplitResult, headers: Any) -> Any:
            return target, super().sign(target._replace(path=target.path + "x"), headers)[1]

    client = dataclasses.replace(place.origins[0].client, authorizer=Elsewhere("us-east-1", tmp_path / "credentials"))
    with client.get(place.origins[0].url, {}) as response:
        assert response.status == 403
    with place.origins[0].client.get(place.origins[0].url, {}) as response:
        assert response.status == 200
