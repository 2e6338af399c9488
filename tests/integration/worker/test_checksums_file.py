"""A source whose checksum is in a file of its publisher, signed or not, from real servers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from pysequoia import SignatureMode, Tsk, sign
from tests.integration.worker import images
from tests.integration.worker.badserver import BadServer

from gallery_operator.contract import ChecksumsFile, FailureCode, PrepareConfig, SignatureFile, UrlSource
from gallery_operator.worker.backoff import Backoff
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.prepare import prepare
from gallery_operator.worker.proof import MOST_BYTES, SIGNING_KEY, proven
from gallery_operator.worker.tracking import Tracker

QUICK = Backoff(first=0.01, most=0.02, tries=3, patience=1.0)
Make = Callable[..., PrepareConfig]


class Publisher:
    """A server with a disk, a file of checksums, and its signature."""

    def __init__(self, server: BadServer, make: Make, folder: Path) -> None:
        self.server = server
        self.make = make
        self.secrets = folder / "secrets"
        self.key = Tsk.generate(user_id="Publisher <p@example.org>")
        (self.secrets / SIGNING_KEY).parent.mkdir()
        (self.secrets / SIGNING_KEY).write_bytes(str(self.key.extract_certificate()).encode())
        self.publish(images.disk_bytes())

    def publish(self, body: bytes) -> None:
        self.body = body
        self.digest = hashlib.sha512(body).hexdigest()
        self.sums = f"{self.digest}  disk.raw\n{hashlib.sha512(b'').hexdigest()}  other.raw\n".encode()
        self.server.serve("/12/disk.raw", body)
        self.server.serve("/12/SHA512SUMS", self.sums)
        self.sign(self.sums)

    def sign(self, data: bytes) -> None:
        self.server.serve("/12/SHA512SUMS.sign", sign(self.key.signer(), data, mode=SignatureMode.DETACHED))

    def config(self, *, signature: str | None = "/12/SHA512SUMS.sign", **options: object) -> PrepareConfig:
        made = self.make(self.server.url("/12/disk.raw"))
        signed = None if signature is None else SignatureFile(url=self.server.url(signature) if signature else None)
        url = self.server.url(str(options.pop("sums", "/12/SHA512SUMS")))
        checksums = ChecksumsFile(url=url, signature=signed, **options)  # type: ignore[arg-type]
        return made.model_copy(update={"source": made.source.model_copy(update={"checksums": checksums})})

    def proven(self, config: PrepareConfig) -> UrlSource:
        assert isinstance(config.source, UrlSource)
        return proven(config.source, self.secrets, QUICK)

    def refused(self, config: PrepareConfig) -> WorkerError:
        with pytest.raises(WorkerError) as caught:
            self.proven(config)
        return caught.value


@pytest.fixture
def publisher(server: BadServer, url_config: Make, tmp_path: Path) -> Publisher:
    return Publisher(server, url_config, tmp_path)


def test_a_signed_list_proves_a_disk_at_http(publisher: Publisher) -> None:
    report = prepare(publisher.config(), Tracker("prepare"))
    assert report.disk is not None
    assert report.disk.source_checksum == f"sha512:{publisher.digest}"
    assert report.disk.sha256 == hashlib.sha256(images.fixed_vhd(publisher.body)).hexdigest()


def test_another_list_means_another_disk(publisher: Publisher) -> None:
    first = prepare(publisher.config(), Tracker("prepare"))
    again = prepare(publisher.config(), Tracker("prepare"))
    asked = [each.path for each in publisher.server.seen].count("/12/disk.raw")
    assert (first.disk, asked) == (again.disk, 1), "the same list, the same disk: nothing is fetched again"
    publisher.publish(images.disk_bytes(seed=2))
    report = prepare(publisher.config(), Tracker("prepare"))
    assert report.disk is not None
    assert report.disk.sha256 == hashlib.sha256(images.fixed_vhd(publisher.body)).hexdigest()
    assert report.disk.source_checksum == f"sha512:{publisher.digest}"


def test_the_disk_is_not_the_one_that_is_listed(publisher: Publisher) -> None:
    publisher.server.serve("/12/disk.raw", images.disk_bytes(seed=2))
    with pytest.raises(WorkerError) as caught:
        prepare(publisher.config(), Tracker("prepare"))
    assert caught.value.code == FailureCode.CHECKSUM_MISMATCH


def test_a_list_signed_in_clear(publisher: Publisher) -> None:
    text = f"# disk.raw: 1 byte\nSHA512 (disk.raw) = {publisher.digest}\n".encode()
    message = sign(publisher.key.signer(), text, mode=SignatureMode.CLEAR)
    publisher.server.serve("/12/CHECKSUM", message)
    config = publisher.config(sums="/12/CHECKSUM", signature="")
    assert publisher.proven(config).checksum == f"sha512:{publisher.digest}"
    publisher.server.serve("/12/CHECKSUM", message.replace(b"1 byte", b"2 byte"))
    assert publisher.refused(config).code == FailureCode.SIGNATURE_INVALID


def test_a_changed_list(publisher: Publisher) -> None:
    publisher.server.serve("/12/SHA512SUMS", publisher.sums.replace(b"other", b"third"))
    error = publisher.refused(publisher.config())
    assert error.code == FailureCode.SIGNATURE_INVALID
    assert "was changed" in error.message
    assert not error.retry


def test_another_key(publisher: Publisher) -> None:
    publisher.key = Tsk.generate(user_id="Somebody")
    publisher.sign(publisher.sums)
    assert "not among the given keys" in publisher.refused(publisher.config()).message
    (publisher.secrets / SIGNING_KEY).write_bytes(b"no key")
    assert "Give the publisher's public key" in publisher.refused(publisher.config()).message


def test_http_without_a_signature(publisher: Publisher) -> None:
    config = publisher.config(signature=None)
    error = publisher.refused(config)
    assert error.code == FailureCode.BAD_CONFIGURATION
    assert "proves nothing" in error.message
    assert not publisher.server.seen
    allowed = config.source.model_copy(update={"allowed_hosts": ("127.0.0.1",)})
    assert publisher.proven(config.model_copy(update={"source": allowed})).checksum == f"sha512:{publisher.digest}"


def test_addresses_are_as_forbidden_as_for_the_disk(publisher: Publisher) -> None:
    config = publisher.config()
    source = config.source.model_copy(update={"allowed_cidrs": ()})
    error = publisher.refused(config.model_copy(update={"source": source}))
    assert error.code == FailureCode.SOURCE_ADDRESS_FORBIDDEN


def test_headers_go_to_the_origin_of_the_disk_only(publisher: Publisher) -> None:
    (publisher.secrets / "headers").mkdir()
    (publisher.secrets / "headers" / "Authorization").write_text("Bearer s3cret")
    other = BadServer()
    try:
        other.serve("/SHA512SUMS.sign", sign(publisher.key.signer(), publisher.sums, mode=SignatureMode.DETACHED))
        config = publisher.config()
        signed = ChecksumsFile(
            url=publisher.server.url("/12/SHA512SUMS"), signature=SignatureFile(url=other.url("/SHA512SUMS.sign"))
        )
        source = config.source.model_copy(update={"has_headers": True, "checksums": signed})
        publisher.proven(config.model_copy(update={"source": source}))
        assert publisher.server.seen[-1].headers["authorization"] == "Bearer s3cret"
        assert "authorization" not in other.seen[-1].headers
    finally:
        other.close()


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ({"file": "missing.raw"}, FailureCode.CHECKSUM_NOT_FOUND, "does not list 'missing.raw'"),
        ({"sums": "/12/nothing"}, FailureCode.SOURCE_NOT_FOUND, "Correct source.url.checksums.url"),
        ({"signature": "/12/nothing"}, FailureCode.SOURCE_NOT_FOUND, "Correct source.url.checksums.signature.url"),
        ({"sums": "/12/disk.raw"}, FailureCode.CHECKSUM_NOT_FOUND, "it is no file of checksums"),
    ],
)
def test_what_is_wrong_is_said(publisher: Publisher, options: dict[str, str], code: FailureCode, says: str) -> None:
    publisher.server.serve("/12/disk.raw", bytes(MOST_BYTES + 1))
    error = publisher.refused(publisher.config(**options))
    assert error.code == code
    assert says in error.message


def test_a_server_that_hesitates(publisher: Publisher) -> None:
    script = publisher.server.serve("/12/SHA512SUMS", publisher.sums, faults=[503, 502])
    assert publisher.proven(publisher.config()).checksum
    assert not script.faults
    publisher.server.serve("/12/SHA512SUMS", publisher.sums, faults=[503] * 3)
    assert publisher.refused(publisher.config()).code == FailureCode.SOURCE_UNREACHABLE
