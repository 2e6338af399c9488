"""Disks from a real registry: artifacts and container disks, with every way to show who asks."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from tests.integration.worker.badserver import BadServer
from tests.integration.worker.images import MIB, convert, disk_bytes, write_disk
from tests.integration.worker.process import Worker
from tests.integration.worker.registries import (
    FILE,
    HTPASSWD,
    INDEX,
    LAYER,
    MANIFEST,
    PASSWORD,
    TITLE,
    Json,
    Registry,
    TokenServer,
    archive,
    digest_of,
    docker_config,
)

from gallery_operator.contract import ExitCode, FailureCode, OciSource, PrepareConfig, PrerequisitesConfig
from gallery_operator.worker.backoff import Backoff
from gallery_operator.worker.download import DownloadPolicy
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.mirrors import fetch
from gallery_operator.worker.origin_oci import Artifact, find
from gallery_operator.worker.preparation import Preparation
from gallery_operator.worker.tracking import Tracker

DISK = disk_bytes()
QUICK = DownloadPolicy(backoff=Backoff(first=0.001, most=0.002, tries=4), checkpoint_bytes=MIB)
REPOSITORY = "images/debian"

Config = Callable[..., PrepareConfig]


@pytest.fixture(scope="module")
def qcow2(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("qcow2")
    write_disk(folder / "raw", DISK)
    return convert(folder / "raw", "qcow2", folder / "disk.qcow2").read_bytes()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry") / "blobs"
    folder.mkdir()
    made = Registry(folder)
    yield made
    made.close()


@pytest.fixture
def another(registry: Registry) -> Iterator[Callable[..., Registry]]:
    """Registries with the same blobs and other manners."""
    made: list[Registry] = []

    def start(**options: Any) -> Registry:
        made.append(Registry(registry.storage, **options))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[TokenServer]:
    made = TokenServer(tmp_path)
    yield made
    made.close()


@pytest.fixture
def config(folders: dict[str, str]) -> Config:
    def make(reference: str, login: Json | None = None, **options: Any) -> PrepareConfig:
        if login is not None:
            folder = Path(folders["secrets_dir"]) / "pull-secret"
            folder.mkdir(exist_ok=True)
            (folder / "config.json").write_text(json.dumps(login))
        values: dict[str, Any] = {"plain_http": True, "allowed_hosts": ("127.0.0.1",), "has_credentials": bool(login)}
        source = OciSource(reference=reference, **{**values, **options})
        checks = PrerequisitesConfig(policy="Warn")
        return PrepareConfig(source=source, max_virtual_size=64 * MIB, prerequisites=checks, port=0, **folders)

    return make


def prepared(config: PrepareConfig) -> bytes:
    """The raw disk that comes of a source."""
    found = Preparation(config, Tracker("prepare")).run()
    try:
        return found.disk.pread(found.manifest.data_size, 0)
    finally:
        found.disk.close()


def refused(config: PrepareConfig) -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        prepared(config)
    return caught.value


def at(registry: Registry, reference: str) -> str:
    """The same repository and digest in a registry with other manners."""
    return f"{registry.host}/{reference.partition('/')[2]}"


def image(registry: Registry, *layers: bytes) -> str:
    return registry.push_image(REPOSITORY, [registry.push_blob(REPOSITORY, each, LAYER) for each in layers])


# Artifacts.


@pytest.mark.parametrize("media_type", [FILE, LAYER, "application/vnd.example.disk.v1+zstd"])
def test_an_artifact_is_the_file_itself_whatever_its_type_says(
    media_type: str, registry: Registry, config: Config, qcow2: bytes
) -> None:
    body = zstandard.compress(qcow2)
    layer = registry.push_blob(REPOSITORY, body, media_type, **{TITLE: "debian.qcow2.zst"})
    assert prepared(config(registry.push_image(REPOSITORY, [layer]))) == DISK


def test_one_of_several_files_is_named(registry: Registry, config: Config, qcow2: bytes) -> None:
    layers = [
        registry.push_blob(REPOSITORY, content, FILE, **{TITLE: name})
        for name, content in (("notes.txt", b"read me"), ("debian.qcow2", qcow2))
    ]
    reference = registry.push_image(REPOSITORY, layers)
    assert prepared(config(reference, path="debian.qcow2")) == DISK
    error = refused(config(reference))
    assert error.code == FailureCode.BAD_CONFIGURATION
    assert "notes.txt, debian.qcow2" in error.message
    assert refused(config(reference, path="other")).code == FailureCode.SOURCE_NOT_FOUND


def test_a_tag_before_the_digest_is_not_looked_at(registry: Registry, config: Config) -> None:
    reference = registry.push_image(REPOSITORY, [registry.push_blob(REPOSITORY, DISK, FILE)])
    assert prepared(config(reference.replace("@", ":no-such-tag@"))) == DISK


# Container disks.


@pytest.mark.parametrize(
    "pack", [lambda data: data, gzip.compress, zstandard.compress], ids=["tar", "tar+gzip", "tar+zstd"]
)
def test_the_disk_of_a_container_disk(
    pack: Callable[[bytes], bytes], registry: Registry, config: Config, qcow2: bytes
) -> None:
    layer = pack(archive({"etc/motd": b"hello", "./disk/debian.qcow2": qcow2, "var/log": b""}))
    made = config(image(registry, layer))
    assert prepared(made) == DISK
    left = {each.name for each in Path(made.scratch_dir).iterdir()}
    assert left == {"disk", "manifest.json", "stage.json", "pieces"}


def test_a_compressed_disk_in_a_compressed_layer(registry: Registry, config: Config, qcow2: bytes) -> None:
    layer = gzip.compress(archive({"disk/debian.qcow2.gz": gzip.compress(qcow2)}))
    assert prepared(config(image(registry, layer))) == DISK


def test_the_image_for_the_architecture_is_taken_out_of_an_index(registry: Registry, config: Config) -> None:
    manifests = []
    for architecture, content in (("unknown", b"attestation"), ("amd64", DISK), ("arm64", DISK[::-1])):
        layer = registry.push_blob(REPOSITORY, archive({"disk/d.img": content}), LAYER)
        digest = registry.push_image(REPOSITORY, [layer]).partition("@")[2]
        platform = {"os": "linux" if architecture != "unknown" else "unknown", "architecture": architecture}
        manifests.append({"mediaType": MANIFEST, "digest": digest, "size": 1, "platform": platform})
    reference = registry.push(REPOSITORY, INDEX, {"manifests": manifests})
    assert prepared(config(reference)) == DISK
    assert refused(config(reference, architecture="Arm64")).code == FailureCode.NOT_A_DISK  # the other one, reversed
    only_arm = registry.push(REPOSITORY, INDEX, {"manifests": manifests[2:]})
    error = refused(config(only_arm))
    assert error.code == FailureCode.SOURCE_NOT_FOUND
    assert "linux/amd64 (it has: arm64)" in error.message


def test_an_upper_layer_lies_over_a_lower_one(registry: Registry, config: Config) -> None:
    lower, upper = archive({"disk/d.img": DISK[::-1]}), archive({"disk/d.img": DISK})
    assert prepared(config(image(registry, lower, upper, archive({"etc/motd": b"hello"})))) == DISK


@pytest.mark.parametrize("mark", ["disk/.wh.d.img", "disk/.wh..wh..opq", ".wh.disk", ".wh..wh..opq"])
def test_what_an_upper_layer_removes_is_not_found(mark: str, registry: Registry, config: Config) -> None:
    lower = archive({"disk/d.img": DISK})
    error = refused(config(image(registry, lower, archive({mark: b""}))))
    assert error.code == FailureCode.SOURCE_NOT_FOUND
    below_it = archive({mark: b"", "disk/e.img": DISK})
    assert prepared(config(image(registry, lower, below_it))) == DISK


def test_one_of_several_disks_is_named_by_its_path(registry: Registry, config: Config) -> None:
    reference = image(registry, archive({"disk/a.img": b"a" * 512, "disk/b.img": DISK, "c.img": DISK}))
    assert "(disk/a.img, disk/b.img)" in refused(config(reference)).message
    assert prepared(config(reference, path="/disk/b.img")) == DISK
    assert prepared(config(reference, path="c.img")) == DISK
    assert refused(config(reference, path="disk/no")).code == FailureCode.SOURCE_NOT_FOUND


def test_links_are_not_followed(registry: Registry, config: Config) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        link = tarfile.TarInfo("disk/d.img")
        link.type, link.linkname = kind, "etc/passwd"
        error = refused(config(image(registry, archive({"etc/passwd": b"root", "disk/d.img": link}))))
        assert error.code == FailureCode.BAD_CONFIGURATION
        assert "a link to etc/passwd" in error.message


def test_a_layer_that_grows_without_end_is_stopped(registry: Registry, config: Config) -> None:
    bomb = gzip.compress(archive({"junk": bytes(130 * MIB)}))
    assert refused(config(image(registry, bomb))).code == FailureCode.TOO_LARGE
    disk = gzip.compress(archive({"disk/d.img": bytes(130 * MIB)}))
    assert refused(config(image(registry, disk))).code == FailureCode.TOO_LARGE


def test_what_is_no_archive_is_told(registry: Registry, config: Config) -> None:
    assert refused(config(image(registry, b"not an archive" * 100))).code == FailureCode.CORRUPT_IMAGE


# Digests.


def test_a_manifest_that_is_not_the_one_asked_for(server: BadServer, config: Config) -> None:
    digest = digest_of(b"another")
    server.serve(f"/v2/{REPOSITORY}/manifests/{digest}", json.dumps({"layers": []}).encode())
    error = refused(config(f"127.0.0.1:{server.port}/{REPOSITORY}@{digest}"))
    assert (error.code, error.retry) == (FailureCode.CHECKSUM_MISMATCH, False)


def served(server: BadServer, blob: bytes, **options: Any) -> str:
    """An artifact of one file on a server of which all else can be scripted."""
    layer = {"mediaType": FILE, "digest": digest_of(blob), "size": len(blob)}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer]}).encode()
    server.serve(f"/v2/{REPOSITORY}/manifests/{digest_of(manifest)}", manifest)
    server.serve(f"/v2/{REPOSITORY}/blobs/{layer['digest']}", **{"body": blob, **options})
    return f"127.0.0.1:{server.port}/{REPOSITORY}@{digest_of(manifest)}"


def test_a_layer_that_is_not_the_one_of_the_manifest(server: BadServer, config: Config) -> None:
    other = DISK[:-1] + bytes([DISK[-1] ^ 1])
    error = refused(config(served(server, DISK, body=other)))
    assert error.code == FailureCode.CHECKSUM_MISMATCH
    assert "push the artifact again" in error.message


def test_a_registry_that_stumbles_is_asked_again(server: BadServer, config: Config, tmp_path: Path) -> None:
    reference = served(server, DISK)
    server.scripts[next(path for path in server.scripts if "manifests" in path)].faults = [503, ("drop", 20)]
    source = config(reference).source
    assert isinstance(source, OciSource)
    artifact = find(source, tmp_path, Backoff(first=0.001, most=0.002, tries=4))
    assert artifact.places[0].checksum == digest_of(DISK)
    server.scripts[next(path for path in server.scripts if "manifests" in path)].always = 503
    with pytest.raises(WorkerError) as caught:
        find(source, tmp_path, Backoff(first=0.001, most=0.002, tries=2))
    assert (caught.value.code, caught.value.retry) == (FailureCode.SOURCE_UNREACHABLE, True)


# Who asks.


def test_basic_authentication(registry: Registry, another: Callable[..., Registry], config: Config) -> None:
    reference = registry.push_image(REPOSITORY, [registry.push_blob(REPOSITORY, DISK, FILE)])
    users = registry.storage.parent / "htpasswd"
    users.write_text(HTPASSWD)
    closed = another(auth={"htpasswd": {"realm": "tests", "path": str(users)}})
    reference = at(closed, reference)
    assert prepared(config(reference, docker_config(closed.host))) == DISK
    for login in (None, docker_config("other.example.org"), docker_config(closed.host, password="wrong")):
        error = refused(config(reference, login))
        assert (error.code, error.retry) == (FailureCode.SOURCE_FORBIDDEN, False)
        assert "pullSecretRef" in error.message


def test_tokens(registry: Registry, another: Callable[..., Registry], tokens: TokenServer, config: Config) -> None:
    reference = registry.push_image(REPOSITORY, [registry.push_blob(REPOSITORY, DISK, FILE)])
    closed = another(auth=tokens.auth)
    reference = at(closed, reference)
    assert prepared(config(reference, docker_config(closed.host))) == DISK
    ((query, proof),) = tokens.seen  # one for manifest and layer
    assert query == {"service": "registry", "scope": f"repository:{REPOSITORY}:pull"}
    assert proof is not None
    for login in (None, docker_config(closed.host, password="wrong")):
        error = refused(config(reference, login))
        assert error.code == FailureCode.SOURCE_FORBIDDEN
        assert PASSWORD not in error.message


def test_tokens_for_everyone(
    registry: Registry, another: Callable[..., Registry], config: Config, tmp_path: Path
) -> None:
    tokens = TokenServer(tmp_path, anonymous=True)
    reference = registry.push_image(REPOSITORY, [registry.push_blob(REPOSITORY, DISK, FILE)])
    try:
        assert prepared(config(at(another(auth=tokens.auth), reference))) == DISK
    finally:
        tokens.close()
    assert [proof for _, proof in tokens.seen] == [None]


def test_a_token_server_that_is_down_for_a_moment(
    registry: Registry, another: Callable[..., Registry], tokens: TokenServer, config: Config, tmp_path: Path
) -> None:
    reference = registry.push_image(REPOSITORY, [registry.push_blob(REPOSITORY, DISK, FILE)])
    closed = another(auth=tokens.auth)
    tokens.faults = [503]
    made = config(at(closed, reference), docker_config(closed.host))
    assert isinstance(made.source, OciSource)
    artifact = find(made.source, Path(made.secrets_dir), Backoff(first=0.001, most=0.002, tries=3))
    assert download(artifact, tmp_path) == DISK


def download(artifact: Artifact, folder: Path) -> bytes:
    path = folder / "download"
    tracker = Tracker("prepare")
    fetch(artifact.places[0], path, fingerprint="f", limit=64 * MIB, tracker=tracker, policy=QUICK)
    return path.read_bytes()


def test_a_token_that_ends_in_the_middle_of_a_layer(
    server: BadServer, tokens: TokenServer, config: Config, tmp_path: Path
) -> None:
    """What has come stays, and the rest is asked for with another token."""

    def ended(handler: Any) -> None:
        challenge = f'Bearer realm="{tokens.realm}",service="registry",scope="repository:{REPOSITORY}:pull"'
        handler._plain(401, {"WWW-Authenticate": challenge})

    reference = served(server, DISK, faults=[("drop", 4 * MIB), ended])
    made = config(reference, docker_config(f"127.0.0.1:{server.port}"))
    assert isinstance(made.source, OciSource)
    assert download(find(made.source, Path(made.secrets_dir)), tmp_path) == DISK
    assert len(tokens.seen) == 1
    last = server.seen[-1]
    assert last.headers["authorization"].startswith("Bearer ")
    assert last.headers["range"] == f"bytes={4 * MIB}-"
    assert last.sent == len(DISK) - 4 * MIB


def test_the_token_stays_with_the_registry_when_it_sends_elsewhere_for_the_layer(
    registry: Registry, another: Callable[..., Registry], tokens: TokenServer, config: Config, server: BadServer
) -> None:
    layer = registry.push_blob(REPOSITORY, DISK, FILE)
    closed = another(auth=tokens.auth, redirect=server.url("/cdn"))
    reference = at(closed, registry.push_image(REPOSITORY, [layer]))
    hexadecimal = layer["digest"].removeprefix("sha256:")
    path = f"docker/registry/v2/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data"
    server.serve(f"/cdn/{path}", DISK)
    assert prepared(config(reference, docker_config(closed.host))) == DISK
    (seen,) = server.seen
    assert "authorization" not in seen.headers


# Where it may be.


def test_a_registry_over_tls_with_a_ca_of_its_own(
    registry: Registry,
    another: Callable[..., Registry],
    config: Config,
    folders: dict[str, str],
    certificate: tuple[Path, Path],
) -> None:
    reference = registry.push_image(REPOSITORY, [registry.push_blob(REPOSITORY, DISK, FILE)])
    reference = at(another(tls=certificate), reference)
    options = {"plain_http": False, "allowed_cidrs": ("127.0.0.0/8", "::1/128"), "allowed_hosts": ()}
    error = refused(config(reference, **options))
    assert error.code == FailureCode.TLS_FAILED
    assert "caBundleRef" in error.message
    ca = Path(folders["secrets_dir"]) / "ca"
    ca.mkdir()
    (ca / "ca.crt").write_bytes(certificate[0].read_bytes())
    assert prepared(config(reference, has_ca_bundle=True, **options)) == DISK


def test_http_is_for_hosts_that_are_allowed_by_name(registry: Registry, config: Config) -> None:
    reference = registry.push_image(REPOSITORY, [registry.push_blob(REPOSITORY, DISK, FILE)])
    error = refused(config(reference, allowed_hosts=(), allowed_cidrs=("127.0.0.0/8",)))
    assert error.code == FailureCode.SOURCE_ADDRESS_FORBIDDEN
    assert "worker.allowedSourceHosts" in error.message


def test_a_registry_may_not_be_inside(config: Config) -> None:
    reference = f"127.0.0.1:5000/{REPOSITORY}@sha256:{'0' * 64}"
    error = refused(config(reference, plain_http=False, allowed_hosts=()))
    assert error.code == FailureCode.SOURCE_ADDRESS_FORBIDDEN


@pytest.mark.parametrize("realm", ["http://127.0.0.2:1/token", "https://169.254.169.254/token", "file:///etc/passwd"])
def test_a_registry_may_not_send_a_client_anywhere_for_a_token(realm: str, server: BadServer, config: Config) -> None:
    reference = served(server, DISK)
    script = server.scripts[next(path for path in server.scripts if "manifests" in path)]
    script.always = lambda handler: handler._plain(401, {"WWW-Authenticate": f'Bearer realm="{realm}"'})
    error = refused(config(reference, docker_config(f"127.0.0.1:{server.port}")))
    assert error.code in (FailureCode.SOURCE_ADDRESS_FORBIDDEN, FailureCode.BAD_CONFIGURATION)
    assert PASSWORD not in error.message


def test_a_token_is_not_asked_for_over_http_where_only_the_network_is_allowed(
    server: BadServer, config: Config
) -> None:
    reference = served(server, DISK)
    script = server.scripts[next(path for path in server.scripts if "manifests" in path)]
    challenge = 'Bearer realm="http://127.0.0.2:1/token"'
    script.always = lambda handler: handler._plain(401, {"WWW-Authenticate": challenge})
    error = refused(config(reference, allowed_cidrs=("127.0.0.0/8",)))
    assert error.code == FailureCode.SOURCE_ADDRESS_FORBIDDEN
    assert "127.0.0.2 for a token, over http" in error.message


def test_what_is_not_there_is_told(registry: Registry, config: Config) -> None:
    error = refused(config(f"{registry.host}/{REPOSITORY}@sha256:{'0' * 64}"))
    assert error.code == FailureCode.SOURCE_NOT_FOUND
    assert "spec.source.oci.reference" in error.message


# Luck.


@pytest.mark.parametrize(
    ("moment", "most_again"), [("Downloading", 33 * MIB), ("member.part", MIB), ("disk.part", MIB)]
)
def test_a_killed_pods_successor_goes_on(
    moment: str, most_again: int, server: BadServer, config: Config, tmp_path: Path, qcow2: bytes
) -> None:
    """A worker ends while the layer comes, while the disk is taken out of it, and while that is unpacked."""
    layer = archive({"junk": disk_bytes(40 * MIB, seed=7), "disk/d.qcow2.gz": gzip.compress(qcow2)})
    descriptor = {"mediaType": LAYER, "digest": digest_of(layer), "size": len(layer)}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [descriptor]}).encode()
    server.serve(f"/v2/{REPOSITORY}/manifests/{digest_of(manifest)}", manifest)
    blob = server.serve(f"/v2/{REPOSITORY}/blobs/{descriptor['digest']}", layer)
    made = config(f"127.0.0.1:{server.port}/{REPOSITORY}@{digest_of(manifest)}")
    in_the_way = tmp_path / "scratch" / moment
    if moment == "Downloading":
        blob.pace = 0.01
    else:
        in_the_way.mkdir()
    first = Worker("prepare", made, tmp_path)
    if moment == "Downloading":
        first.wait_for(lambda now: now.phase == "Downloading" and now.bytes_done > 8 * MIB)
        first.process.terminate()
    assert first.process.wait(timeout=60) != ExitCode.DONE
    if moment != "Downloading":
        in_the_way.rmdir()
    blob.pace = 0.0
    sent = sum(each.sent for each in server.seen)
    second = Worker("prepare", made, tmp_path)
    assert second.process.wait(timeout=60) == ExitCode.DONE, second.log.read_text()
    assert (tmp_path / "scratch" / "disk").read_bytes() == qcow2
    assert sum(each.sent for each in server.seen) - sent < most_again
