"""Container images written without a container tool."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from hack.localcluster.archive import TAG, Layout, prune, write_static


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF not really")
    return path


def test_the_same_files_give_the_same_image(tmp_path: Path, program: Path) -> None:
    one = write_static(tmp_path / "one", {"/program": program}, entrypoint=["/program"], user="1:1")
    program.touch()
    two = write_static(tmp_path / "two", {"/program": program}, entrypoint=["/program"], user="1:1")
    assert one.descriptor == two.descriptor
    other = write_static(tmp_path / "three", {"/program": program}, entrypoint=["/program"], user="2:2")
    assert other.descriptor["digest"] != one.descriptor["digest"]


def test_every_blob_is_what_its_name_says_and_the_layer_holds_the_file(tmp_path: Path, program: Path) -> None:
    layout = write_static(tmp_path / "image", {"/bin/program": program}, entrypoint=["/bin/program"], user="1:1")
    for blob in layout.blobs():
        assert blob.digest == f"sha256:{hashlib.sha256(blob.path.read_bytes()).hexdigest()}"
    _, config, layer = layout.blobs()
    described = json.loads(config.path.read_text())
    assert described["rootfs"]["diff_ids"] == [layer.digest]
    assert described["config"] == {"Entrypoint": ["/bin/program"], "User": "1:1"}
    with tarfile.open(layer.path) as tar:
        (member,) = tar.getmembers()
        assert (member.name, member.mode, member.uid, member.mtime) == ("bin/program", 0o755, 0, 0)


def members(layout: Layout, **options: frozenset[str]) -> dict[str, bytes]:
    stream = io.BytesIO()
    layout.write_tar(stream, "localhost/x:dev", **options)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as tar:
        found = {}
        for member in tar.getmembers():
            content = tar.extractfile(member)
            assert content is not None
            found[member.name] = content.read()
        return found


def test_the_archive_names_the_image_and_leaves_out_what_the_receiver_has(tmp_path: Path, program: Path) -> None:
    layout = write_static(tmp_path / "image", {"/program": program}, entrypoint=["/program"], user="1:1")
    complete = members(layout)
    names = {f"blobs/{blob.digest.replace(':', '/')}" for blob in layout.blobs()}
    assert set(complete) == {"oci-layout", "index.json", *names}
    (descriptor,) = json.loads(complete["index.json"])["manifests"]
    assert descriptor["annotations"] == {"io.containerd.image.name": "localhost/x:dev"}
    assert descriptor["digest"] == layout.descriptor["digest"]

    layer = layout.blobs()[-1].digest
    partial = members(layout, without=frozenset({layer}))
    assert set(complete) - set(partial) == {f"blobs/{layer.replace(':', '/')}"}


def test_prune_keeps_tagged_images_and_what_they_share(tmp_path: Path, program: Path) -> None:
    folder = tmp_path / "layout"
    descriptors = []
    for user in ("1:1", "2:2", "3:3"):
        layout = write_static(folder, {"/program": program}, entrypoint=["/program"], user=user)
        descriptors.append(layout.descriptor)
    descriptors[0]["annotations"] = {TAG: "kept"}
    descriptors[2]["annotations"] = {TAG: "other"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": descriptors}))
    before = len(list((folder / "blobs/sha256").iterdir()))
    prune(folder)
    assert before - len(list((folder / "blobs/sha256").iterdir())) == 2  # manifest and configuration of one
    for tag in ("kept", "other"):
        assert all(blob.path.exists() for blob in Layout(folder, tag).blobs())
    assert not Layout(folder, "gone").exists()
    with pytest.raises(LookupError, match="gone"):
        _ = Layout(folder, "gone").descriptor
