"""The disk server of the end-to-end tests is a registry and a bucket: what examples fetch comes through the worker."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from tests.integration.worker.images import disk_bytes
from tests.integration.worker.registries import docker_config
from tests.support.e2e import diskserver
from tests.support.e2e.examples import makefiles

from gallery_operator.contract import FailureCode, OciSource, S3Source
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.mirrors import fetch
from gallery_operator.worker.origin_oci import find
from gallery_operator.worker.origin_s3 import SigV4
from gallery_operator.worker.origins import locate
from gallery_operator.worker.place import Place
from gallery_operator.worker.tracking import Tracker

DISK = disk_bytes()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[int]:
    """Port of a server that has one disk, and takes one password."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "debian 12.raw").write_bytes(DISK)
    application = diskserver.server(data)
    application[diskserver.STATE].tokens.append("password")
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(application, access_log=None)
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", 0)
    loop.run_until_complete(site.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield int(runner.addresses[0][1])
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(runner.cleanup())
    loop.close()


def fetched(place: Place, folder: Path) -> bytes:
    path = folder / "download"
    fetch(place, path, fingerprint="f", limit=1 << 30, tracker=Tracker("prepare"))
    return path.read_bytes()


def test_its_registry(served: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(makefiles, "DATA", tmp_path / "data")
    makefiles.artifact("debian 12.raw")(tmp_path / "data" / "debian-12.manifest")
    digest = makefiles.digest(tmp_path / "data" / "debian-12.manifest")
    host = f"127.0.0.1:{served}"
    source = OciSource(
        reference=f"{host}/images/debian-12:12.7@{digest}",
        plain_http=True,
        has_credentials=True,
        allowed_hosts=("127.0.0.1",),
    )
    (tmp_path / "pull-secret").mkdir()
    login = tmp_path / "pull-secret" / "config.json"
    login.write_text(json.dumps(docker_config(host, password="password")))
    assert fetched(find(source, tmp_path).places[0], tmp_path) == DISK
    login.write_text(json.dumps(docker_config(host, password="another")))
    with pytest.raises(WorkerError) as caught:
        find(source, tmp_path)
    assert caught.value.code == FailureCode.SOURCE_FORBIDDEN


def test_its_bucket(served: int, tmp_path: Path) -> None:
    """The signature is computed a second time, by other means."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    for name, value in (("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "password")):
        (folder / name).write_text(value)
    source = S3Source(
        endpoint=f"http://127.0.0.1:{served}",
        region="us-east-1",
        bucket="images",
        key="debian 12.raw",
        path_style=True,
        checksum="sha256:" + hashlib.sha256(DISK).hexdigest(),
        has_credentials=True,
        allowed_hosts=("127.0.0.1",),
    )
    assert fetched(locate(source, tmp_path), tmp_path) == DISK
    (folder / "AWS_SECRET_ACCESS_KEY").write_text("another")
    (tmp_path / "download").unlink()
    (tmp_path / "download.json").unlink()
    with pytest.raises(WorkerError, match="SignatureDoesNotMatch"):
        fetched(locate(source, tmp_path), tmp_path)


@pytest.mark.parametrize("path", ["/images//../x", "/images/a//b/./c", "/images/%C3%A4%20b%2Bc%3D~%281%29"])
def test_paths_are_signed_as_they_are_sent(path: str, tmp_path: Path) -> None:
    """What libraries like to tidy up is part of an object's key."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        (tmp_path / name).write_text("key")
    target, headers = SigV4("eu-north-1", tmp_path).sign(urlsplit(f"https://s3.example.org:9000{path}"), {})
    request: Any = SimpleNamespace(
        method="GET", raw_path=target.path, query_string="", headers={k.lower(): v for k, v in headers.items()}
    )
    request.headers["Authorization"] = headers["Authorization"]
    assert diskserver.is_signed(request, "key")
    assert not diskserver.is_signed(request, "another")
