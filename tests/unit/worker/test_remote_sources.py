"""What a registry's and a bucket's words mean, without either."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gallery_operator.contract import FailureCode, S3Source
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.layer import ContainerDisk
from gallery_operator.worker.origin_oci import (
    Descriptor,
    Platform,
    Reference,
    choose_layers,
    choose_manifest,
    read_document,
)
from gallery_operator.worker.origin_s3 import object_url
from gallery_operator.worker.registry_auth import basic_authorization
from gallery_operator.worker.tracking import Tracker

DIGEST = "sha256:" + "a" * 64
TAR = "application/vnd.oci.image.layer.v1.tar"
TITLE = "org.opencontainers.image.title"
LIMIT = 1024 * 1024


@pytest.mark.parametrize(
    ("text", "host", "repository"),
    [
        ("registry.example.org/debian", "registry.example.org", "debian"),
        ("Registry.Example.org:5000/a/b-c/d__e", "registry.example.org:5000", "a/b-c/d__e"),
        ("registry.example.org/debian:12.7", "registry.example.org", "debian"),
        ("docker.io/debian", "registry-1.docker.io", "library/debian"),
        ("docker.io/kubevirt/fedora", "registry-1.docker.io", "kubevirt/fedora"),
    ],
)
def test_references(text: str, host: str, repository: str) -> None:
    found = Reference.parse(f"{text}@{DIGEST}")
    assert (found.host, found.repository, found.digest) == (host, repository, DIGEST)
    assert found.url("https", "manifests", DIGEST) == f"https://{host}/v2/{repository}/manifests/{DIGEST}"


@pytest.mark.parametrize(
    "text",
    [
        "registry.example.org/debian",
        "registry.example.org/debian:12",
        f"debian@{DIGEST}",
        f"user@registry.example.org/debian@{DIGEST}",
        f"registry.example.org/../debian@{DIGEST}",
        f"registry.example.org/Debian@{DIGEST}",
        f"registry.example.org/debian@{DIGEST}\n",
        "registry.example.org/debian@sha256:abc",
        f"registry.example.org/debian?x=@{DIGEST}",
    ],
)
def test_what_is_no_reference_with_a_digest(text: str) -> None:
    with pytest.raises(WorkerError) as caught:
        Reference.parse(text)
    assert caught.value.code == FailureCode.BAD_CONFIGURATION


def descriptor(media_type: str = TAR, title: str | None = None, **more: Any) -> Descriptor:
    annotations = {TITLE: title} if title is not None else {}
    return Descriptor(mediaType=media_type, digest=DIGEST, size=1, annotations={**annotations, **more})


@pytest.mark.parametrize(
    ("made", "archive"),
    [
        (descriptor(), True),
        (descriptor(TAR + "+gzip"), True),
        (descriptor(TAR + "+zstd"), True),
        (descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip"), True),
        (descriptor(TAR, "disk.img"), False),  # what ORAS writes for a file
        (descriptor(TAR + "+gzip", "disk", **{"io.deis.oras.content.unpack": "true"}), True),
        (descriptor("application/octet-stream"), False),
        (descriptor(TAR + "+gzip+encrypted"), False),
    ],
)
def test_archives_and_files(made: Descriptor, archive: bool) -> None:
    assert made.is_archive is archive


def test_layers_come_topmost_first_and_files_before_archives() -> None:
    low, high = descriptor(), descriptor(TAR + "+gzip")
    assert choose_layers([low, high], None) == (high, low)
    disk = descriptor("application/octet-stream", "disk.img")
    assert choose_layers([low, disk], None) == (disk,)
    assert choose_layers([low, disk], "disk/other.img") == (low,)
    with pytest.raises(WorkerError, match="has no files"):
        choose_layers([descriptor("application/vnd.oci.empty.v1+json")], None)


def test_manifests_are_chosen_by_platform() -> None:
    def of(architecture: str, os: str = "linux") -> Descriptor:
        return descriptor().model_copy(update={"platform": Platform(architecture=architecture, os=os)})

    arm, windows, amd = of("arm64"), of("amd64", "windows"), of("amd64", "")
    assert choose_manifest([arm, windows, amd], "x64") is amd
    assert choose_manifest([arm, windows, amd], "Arm64") is arm
    alone = descriptor()
    assert choose_manifest([alone], "x64") is alone
    with pytest.raises(WorkerError, match="no image for linux/amd64"):
        choose_manifest([alone, alone], "x64")


_WORDS = st.sampled_from(["layers", "manifests", "digest", "size", "mediaType", DIGEST])


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.integers() | _WORDS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    )
)
def test_any_document_is_read_or_refused(content: Any) -> None:
    body = json.dumps(content).encode()
    try:
        read_document(body, "sha256:" + hashlib.sha256(body).hexdigest())
    except WorkerError as error:
        assert error.code == FailureCode.UNSUPPORTED_FORMAT


def login(tmp_path: Path, **auths: Any) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"auths": auths}))
    return path


@pytest.mark.parametrize(
    ("key", "host", "fits"),
    [
        ("registry.example.org", "registry.example.org", True),
        ("https://registry.example.org/v1/", "registry.example.org", True),
        ("registry.example.org/images", "registry.example.org", True),
        ("registry.example.org/images/debian", "registry.example.org", True),
        ("registry.example.org/imag", "registry.example.org", False),
        ("registry.example.org:5000", "registry.example.org", False),
        ("registry.example.org:5000", "registry.example.org:5000", True),
        ("*.example.org", "registry.example.org", True),
        ("*.example.org", "a.b.example.org", False),
        ("*.org", "registry.example.org", False),
        ("https://index.docker.io/v1/", "registry-1.docker.io", True),
        ("https://index.docker.io/v1/", "registry.example.org", False),
        ("example.org", "registry.example.org", False),
    ],
)
def test_which_login_is_for_which_registry(key: str, host: str, fits: bool, tmp_path: Path) -> None:
    config = login(tmp_path, **{key: {"username": "u", "password": "p"}})
    found = basic_authorization(config, host, "images/debian")
    assert (found is not None) is fits
    if found is not None:
        assert base64.b64decode(found.removeprefix("Basic ")) == b"u:p"


def test_the_login_that_says_most_is_taken(tmp_path: Path) -> None:
    config = login(
        tmp_path,
        **{"a.example.org": {"username": "u", "password": "1"}, "a.example.org/x": {"username": "u", "password": "2"}},
    )
    found = basic_authorization(config, "a.example.org", "x/y")
    assert found is not None
    assert base64.b64decode(found.removeprefix("Basic ")) == b"u:2"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"auths": []}', '{"auths": {"r.example.org": "canary"}}', '{"auths": {"r.example.org": {}}}',
     '{"auths": {"r.example.org": {"auth": "canary!"}}}', '{"auths": {"r.example.org": {"identitytoken": "canary"}}}'],
)  # fmt: skip
def test_what_is_no_login_is_told_without_showing_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(WorkerError) as caught:
        basic_authorization(path, "r.example.org", "x")
    assert caught.value.code == FailureCode.BAD_CONFIGURATION
    assert "pullSecretRef" in caught.value.message
    assert "canary" not in caught.value.message


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "https://images.s3.eu-north-1.amazonaws.com/a/disk.raw"),
        ({"path_style": True}, "https://s3.eu-north-1.amazonaws.com/images/a/disk.raw"),
        ({"key": "a b/ä+?#%.raw"}, "https://images.s3.eu-north-1.amazonaws.com/a%20b/%C3%A4%2B%3F%23%25.raw"),
        ({"key": "/../x"}, "https://images.s3.eu-north-1.amazonaws.com//../x"),
        ({"version_id": "3/L+4="}, "https://images.s3.eu-north-1.amazonaws.com/a/disk.raw?versionId=3%2FL%2B4%3D"),
    ],
)
def test_where_an_object_is(options: dict[str, Any], url: str) -> None:
    values = {"endpoint": "https://s3.eu-north-1.amazonaws.com", "region": "eu-north-1", "bucket": "images"}
    assert object_url(S3Source(**{**values, "key": "a/disk.raw", **options})) == url


# Layers.


def test_a_header_that_wants_much_memory_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 512 * LIMIT
    layer = tmp_path / "layer"
    layer.write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(8 * LIMIT))
    with pytest.raises(WorkerError, match="A header of the layer has"):
        taken(layer, tmp_path)


@pytest.mark.parametrize("size", [LIMIT + 1, 1 << 62])
def test_a_file_that_says_it_is_too_large_is_refused_at_once(size: int, tmp_path: Path) -> None:
    member = tarfile.TarInfo("disk/d.img")
    member.size = size
    layer = tmp_path / "layer"
    layer.write_bytes(member.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(WorkerError) as caught:
        taken(layer, tmp_path)
    assert caught.value.code == FailureCode.TOO_LARGE


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    member = tarfile.TarInfo("disk/d.img")
    member.size = 1000
    layer = tmp_path / "layer"
    layer.write_bytes(member.tobuf() + b"x" * 999)
    with pytest.raises(WorkerError, match="ends in the middle"):
        taken(layer, tmp_path)


@pytest.mark.parametrize("name", ["../disk/d.img", "disk/../../d.img", "disk/d/d.img", "disks/d.img", "d.img"])
def test_other_names_are_passed_over(name: str, tmp_path: Path) -> None:
    member = tarfile.TarInfo(name)
    layer = tmp_path / "layer"
    layer.write_bytes(member.tobuf())
    assert not taken(layer, tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["layer"]


def test_names_from_an_archive_can_be_told(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    names = [b"disk/\xff\x1b[1m.img", b"disk/b.img"]
    members = [tarfile.TarInfo("disk/" + "?" * len(name[5:])).tobuf() for name in names]
    raw = b"".join(each.replace(b"?" * len(name[5:]), name[5:]) for each, name in zip(members, names, strict=True))
    layer.write_bytes(_with_sums(raw))
    with pytest.raises(WorkerError, match="several files") as caught:
        taken(layer, tmp_path)
    caught.value.message.encode()
    assert caught.value.message.isprintable()


def _with_sums(headers: bytes) -> bytes:
    """Mend the sums of headers that were edited."""
    found = b""
    for at in range(0, len(headers), 512):
        head = headers[at : at + 148] + b" " * 8 + headers[at + 156 : at + 512]
        found += head[:148] + f"{sum(head):06o}\0 ".encode() + head[156:]
    return found


def taken(layer: Path, folder: Path) -> bool:
    return ContainerDisk(None, folder / "disk", limit=LIMIT, tracker=Tracker("prepare")).take_from(layer)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_damage_never_escapes_as_another_error(tmp_path: Path, data: st.DataObject) -> None:
    out = io.BytesIO()
    form = data.draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
    with tarfile.open(fileobj=out, mode="w", format=form) as made:
        for name in ("a" * 150, "disk/d.img", "etc/ä"):
            member = tarfile.TarInfo(name)
            member.size = 700
            made.addfile(member, io.BytesIO(b"x" * 700))
    body = bytearray(out.getvalue())
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    layer = tmp_path / "layer"
    layer.write_bytes(body)
    try:
        taken(layer, tmp_path)
    except WorkerError as error:
        assert error.code in (FailureCode.CORRUPT_IMAGE, FailureCode.TOO_LARGE, FailureCode.BAD_CONFIGURATION,
                              FailureCode.UNSUPPORTED_FORMAT, FailureCode.NOT_A_DISK)  # fmt: skip
