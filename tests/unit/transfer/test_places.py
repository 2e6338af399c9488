"""The arguments of ``gallery-operator upload``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gallery_operator.contract import PvcSource, UrlSource
from gallery_operator.transfer.places import ManagedDisk, PageBlob, PlaceError, read_destination, read_disk

SAS = "sv=2024-01-01&sp=rcw&sig=c2VjcmV0"
BLOB = "https://a.blob.core.windows.net/vhds/debian.vhd"
DISK = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d"


@pytest.mark.parametrize(
    ("url", "is_read_as"),
    [
        (BLOB, BLOB),
        ("https://a.blob.core.windows.net/vhds/a b/c.vhd", "https://a.blob.core.windows.net/vhds/a%20b/c.vhd"),
        ("https://a.blob.core.windows.net/vhds/a%20b.vhd", "https://a.blob.core.windows.net/vhds/a%20b.vhd"),
        ("http://127.0.0.1:10000/account/vhds/d.vhd", "http://127.0.0.1:10000/account/vhds/d.vhd"),
    ],
)
def test_page_blobs(url: str, is_read_as: str) -> None:
    found = read_destination(url, None, {})
    assert isinstance(found, PageBlob)
    assert (found.url, found.sas) == (is_read_as, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("debian.vhd", "DESTINATION is https://"),
        ("http://a.blob.core.windows.net/vhds/debian.vhd", "begins with https://"),
        ("https://user:pw@a.blob.core.windows.net/vhds/debian.vhd", "no user name"),
        ("https://a.blob.core.windows.net/vhds", "names no blob"),
        ("https://a.blob.core.windows.net/vhds/", "names no blob"),
        ("https://a.blob.core.windows.net/vhds/../x", "names no blob"),
        ("https://a.blob.core.windows.net:x/vhds/x", "not a URL"),
        (f"{BLOB}?snapshot=1", "no SAS in the URL"),
        ("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/d", "not the ARM id of a managed disk"),
        ("/tmp/debian.vhd", "resource"),
    ],
)
def test_what_is_no_destination(text: str, says: str) -> None:
    with pytest.raises(PlaceError, match=says) as caught:
        read_destination(text, None, {})
    assert "pw" not in str(caught.value)


def test_where_the_sas_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "sas"
    for text in (SAS, f"?{SAS}\n", f"{BLOB}?{SAS}"):
        file.write_text(text)
        found = read_destination(BLOB, file, {"AZURE_STORAGE_SAS_TOKEN": "sig=other"})
        assert isinstance(found, PageBlob)
        assert found.sas is not None
        assert found.sas.get_secret_value() == SAS
        assert not found.exposed
    by_environment = read_destination(BLOB, None, {"AZURE_STORAGE_SAS_TOKEN": SAS})
    in_url = read_destination(f"{BLOB}?{SAS}", None, {})
    for found in (by_environment, in_url):
        assert isinstance(found, PageBlob)
        assert found.sas is not None
        assert found.name == BLOB
        assert "c2Vj" not in repr(found)
    assert isinstance(in_url, PageBlob)
    assert in_url.exposed
    file.write_text("nothing")
    with pytest.raises(PlaceError, match="there is no SAS"):
        read_destination(BLOB, file, {})
    with pytest.raises(PlaceError, match="give one of them"):
        read_destination(f"{BLOB}?{SAS}", file, {})
    with pytest.raises(PlaceError, match="is for page blobs"):
        read_destination(DISK, file, {})


def test_managed_disks() -> None:
    found = read_destination(DISK, None, {"AZURE_STORAGE_SAS_TOKEN": SAS})
    assert isinstance(found, ManagedDisk)
    assert found.name == DISK


def test_disks(tmp_path: Path) -> None:
    real = tmp_path / "folder" / "debian.raw"
    real.parent.mkdir()
    real.write_bytes(b"x")
    link = tmp_path / "latest.raw"
    link.symlink_to(real)
    found = read_disk(str(link), "sha256:1")
    assert (found.name, found.folder) == (str(real), real.parent)
    assert found.source == PvcSource(path="debian.raw", checksum="sha256:1")
    assert isinstance(read_disk("https://example.org/d.raw", None).source, UrlSource)
    for text, says in (("ftp://x/y", "https://"), ("/not/there", "there is no file"), (str(tmp_path), "a folder")):
        with pytest.raises(PlaceError, match=says):
            read_disk(text, None)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PlaceError, match="no regular file"):
        read_disk(str(tmp_path / "pipe"), None)
