"""Disks in registries: artifacts, and container disks as KubeVirt has them.

Everything is known by its digest: the manifest by that of the reference, the layers by the manifest. The forms are
those of the OCI image and distribution specifications, 1.1 (https://github.com/opencontainers).
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from gallery_operator.contract import FailureCode, OciSource, printable
from gallery_operator.worker.answers import Advice
from gallery_operator.worker.backoff import Backoff
from gallery_operator.worker.document import fetch_document
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import HttpClient
from gallery_operator.worker.place import Origin, Place, base_client
from gallery_operator.worker.registry_auth import RegistryAuthorizer

_REFERENCE = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(?::[0-9]{1,5})?)/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?@(?P<digest>sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})"
)
_MANIFEST_BYTES = 4 * 1024 * 1024
"""What a registry must accept at least, and none gives more (distribution specification, pushing manifests)."""
_DEPTH = 3
_MOST_LAYERS = 128
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
_ACCEPT = ", ".join((*_MANIFESTS, *_INDEXES))
_ARCHIVE = re.compile(
    r"application/vnd\.(oci\.image\.layer(\.nondistributable)?\.v1\.tar|docker\.image\.rootfs\.(foreign\.)?diff\.tar)"
    r"([+.](gzip|zstd))?"
)
_EMPTY = "application/vnd.oci.empty.v1+json"
_TITLE = "org.opencontainers.image.title"
_UNPACK = "io.deis.oras.content.unpack"
_ARCHITECTURES = {"x64": "amd64", "Arm64": "arm64"}

_ADVICE = Advice(
    not_found="Correct spec.source.oci.reference, or push it again.",
    forbidden="Check that the Secret of pullSecretRef has an entry for this registry with the right to pull; some "
    "registries say so of what does not exist, too.",
    mismatch="The registry does not hold what its manifest says: push the artifact again.",
)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class Platform(_Model):
    """For what a manifest in an index is."""

    architecture: str = ""
    os: str = ""


class Descriptor(_Model):
    """What a manifest says about something else: its type, digest and size in bytes."""

    media_type: str = ""
    digest: str = Field(pattern=r"^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$")
    size: int = Field(ge=0)
    annotations: dict[str, str] | None = None
    platform: Platform | None = None

    @property
    def title(self) -> str | None:
        """Name of the file that an artifact's layer is, if it says so."""
        return (self.annotations or {}).get(_TITLE)

    @property
    def is_archive(self) -> bool:
        """Whether it is a tar archive of files; ORAS gives single files the same media type, and a title."""
        if self.title is not None:
            return (self.annotations or {}).get(_UNPACK) == "true"
        return _ARCHIVE.fullmatch(self.media_type) is not None


class Document(_Model):
    """A manifest (with layers) or an index (with manifests)."""

    layers: tuple[Descriptor, ...] | None = Field(default=None, max_length=_MOST_LAYERS)
    manifests: tuple[Descriptor, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """What a reference says.

    Attributes:
        host: Of the registry, with its port if it is not the default one.
        repository: What is asked for there.
        digest: Of the manifest.
    """

    host: str
    repository: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read a reference.

        Raises:
            WorkerError: ``BadConfiguration``: it is none, or has no digest.
        """
        match = _REFERENCE.fullmatch(text)
        if match is None:
            message = "source.oci.reference must be host/repository@sha256:<hex>."
            raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
        host, repository = match["host"].lower(), match["repository"]
        if host in ("docker.io", "index.docker.io"):
            host = "registry-1.docker.io"
            repository = repository if "/" in repository else f"library/{repository}"
        return cls(host, repository, match["digest"])

    def url(self, scheme: str, kind: Literal["manifests", "blobs"], digest: str) -> str:
        """Return where something of the repository is."""
        return f"{scheme}://{self.host}/v2/{self.repository}/{kind}/{digest}"


@dataclass(frozen=True, slots=True)
class Artifact:
    """Where a disk is in a registry.

    Attributes:
        places: Of the file itself; of the layers that may hold it, the topmost first, when it is in an archive.
        archived: Whether it is in an archive.
    """

    places: tuple[Place, ...]
    archived: bool


def find(source: OciSource, secrets: Path, backoff: Backoff | None = None) -> Artifact:
    """Ask a registry where a disk is.

    Args:
        source: The source.
        secrets: Where its pull Secret and its CA bundle are mounted.
        backoff: Between tries.

    Raises:
        WorkerError: The registry does not give the manifest, or it names no such file.
    """
    reference = Reference.parse(source.reference)
    plain = base_client(source, secrets)
    name = reference.host.partition(":")[0]
    if source.plain_http and not plain.rule.names(name):
        message = (
            f"The registry {name} is spoken to over http (insecure) only where the administrator allows the host by "
            "name (chart value worker.allowedSourceHosts)."
        )
        raise WorkerError(FailureCode.SOURCE_ADDRESS_FORBIDDEN, message)
    config = secrets / "pull-secret" / "config.json" if source.has_credentials else None
    authorizer = RegistryAuthorizer(plain, reference.host, reference.repository, config)
    client = base_client(source, secrets, authorizer)
    scheme = "http" if source.plain_http else "https"
    layers = _manifest(client, reference, scheme, source.architecture, backoff)
    chosen = choose_layers(layers, source.path)
    places = tuple(
        Place((Origin(reference.url(scheme, "blobs", each.digest), client),), each.digest, _ADVICE) for each in chosen
    )
    return Artifact(places, chosen[0].is_archive)


def _manifest(
    client: HttpClient, reference: Reference, scheme: str, architecture: str, backoff: Backoff | None
) -> tuple[Descriptor, ...]:
    """Fetch the manifest, through indexes if need be, and return its layers."""
    digest = reference.digest
    for _ in range(_DEPTH):
        url = reference.url(scheme, "manifests", digest)
        body = fetch_document(client, url, {"Accept": _ACCEPT}, limit=_MANIFEST_BYTES, advice=_ADVICE, backoff=backoff)
        document = read_document(body, digest)
        if document.manifests is None:
            return document.layers or ()
        digest = choose_manifest(document.manifests, architecture).digest
    raise WorkerError(FailureCode.UNSUPPORTED_FORMAT, "The reference leads through more than one index to another.")


def read_document(body: bytes, digest: str) -> Document:
    """Read a manifest or an index.

    Raises:
        WorkerError: ``ChecksumMismatch``: it is not the one with the digest; ``UnsupportedFormat``: it is neither.
    """
    name, _, wanted = digest.partition(":")
    found = hashlib.new(name, body).hexdigest()
    if found != wanted:
        message = f"The registry's manifest is not the one asked for: {name} is {found}, but {wanted} was asked for."
        raise WorkerError(FailureCode.CHECKSUM_MISMATCH, message)
    try:
        document = Document.model_validate_json(body)
    except ValidationError:
        document = Document()
    if document.layers is None and document.manifests is None:
        message = "What the reference names is no OCI or Docker manifest with layers, and no index of such."
        raise WorkerError(FailureCode.UNSUPPORTED_FORMAT, message)
    return document


def choose_manifest(manifests: Sequence[Descriptor], architecture: str) -> Descriptor:
    """Return the manifest of an index that is for an architecture; one alone may leave it unsaid.

    Raises:
        WorkerError: ``SourceNotFound``: it has none.
    """
    wanted = _ARCHITECTURES[architecture]
    for each in manifests:
        if each.platform is not None and (each.platform.os or "linux", each.platform.architecture) == ("linux", wanted):
            return each
    if len(manifests) == 1 and manifests[0].platform is None:
        return manifests[0]
    there = ", ".join(sorted({each.platform.architecture for each in manifests if each.platform is not None}))
    have = printable(there[:200]) or "none that says for what it is"
    message = f"The index has no image for linux/{wanted} (it has: {have})."
    raise WorkerError(FailureCode.SOURCE_NOT_FOUND, message)


def choose_layers(layers: Sequence[Descriptor], path: str | None) -> tuple[Descriptor, ...]:
    """Return the layer that is the disk, or the archives that may hold it, the topmost first.

    Args:
        layers: All layers, the lowest first.
        path: Name of the file, or path in the archives; None: there is only one.

    Raises:
        WorkerError: ``SourceNotFound``: there is none; ``BadConfiguration``: there are several.
    """
    files = [each for each in layers if not each.is_archive and each.media_type != _EMPTY]
    archives = [each for each in layers if each.is_archive]
    named = [each for each in files if path is None or each.title == path]
    if len(named) == 1:
        return (named[0],)
    titles = printable(", ".join(each.title or "one without a name" for each in files)[:200])
    if len(named) > 1:
        message = f"The artifact has several files ({titles}): name one in spec.source.oci.path."
        raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
    if archives:
        return tuple(reversed(archives))
    have = f"it has: {titles}" if titles else "it has no files"
    message = f"The artifact has no file {path or 'that could be a disk'} ({have}). Correct spec.source.oci."
    raise WorkerError(FailureCode.SOURCE_NOT_FOUND, message)
