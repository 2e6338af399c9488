"""Where a disk comes from: a URL, object storage, a registry, a blob or a claim."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gallery_operator.api.checksum import Checksum
from gallery_operator.api.meta import (
    ApiModel,
    BlobContainer,
    CaBundleRef,
    LocalRef,
    Rule,
    arm_id,
    at_most_one,
    exactly_one,
    text,
)
from gallery_operator.api.oci_source import OciDisk
from gallery_operator.api.s3_source import S3Disk
from gallery_operator.api.security import KeyRef

Mirror = Annotated[
    str,
    text(
        # No user info, and no query, in which a signature could be.
        r"^https?://[^/?#@\s]+/[^?#\s]*$",
        "a mirror must be an absolute http or https URL without user info, query and spaces",
        max_length=1024,
    ),
]


def _plain_url(field: str, description: str) -> object:
    # No user info, and no query, in which a signature could be.
    return text(
        r"^https?://[^/?#@\s]+/[^?#\s]*$",
        f"{field} must be an absolute http or https URL without user info, query and spaces",
        max_length=1024,
        description=description,
    )


class ChecksumsSignature(ApiModel):
    """What proves a file of checksums."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            ("secretKeyRef", "configMapKeyRef"), "set exactly one of secretKeyRef and configMapKeyRef: the public key"
        ),
    )

    url: (
        Annotated[
            str,
            _plain_url(
                "signature.url",
                "Detached OpenPGP signature of the file (`.asc`, `.sign`, `.gpg`); left out for a file that is signed in "
                "clear, as Fedora's `CHECKSUM`.",
            ),
        ]
        | None
    ) = None
    secret_key_ref: Annotated[
        KeyRef | None,
        Field(description="Where the publisher's OpenPGP public key is, armoured or binary; one or more of them."),
    ] = None
    config_map_key_ref: Annotated[KeyRef | None, Field(description="As secretKeyRef, in a ConfigMap.")] = None


class ChecksumsList(ApiModel):
    """A file that lists the checksums of a publisher's images."""

    url: Annotated[
        str,
        _plain_url(
            "checksums.url",
            "`SHA256SUMS`, `SHA512SUMS` or `CHECKSUM`, in GNU's or BSD's format. An http URL needs `signature`.",
        ),
    ]
    file: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=1024,
                description="Name of the disk's file in it; default: the last part of the disk's `url`.",
            ),
        ]
        | None
    ) = None
    signature: Annotated[
        ChecksumsSignature | None, Field(description="What proves the file; default: its server's certificate.")
    ] = None


class UrlDisk(ApiModel):
    """A disk at a URL.

    Attributes:
        url: http or https; a redirect is followed. It may name a public address, or one that the operator's
            administrator has allowed.
        mirrors: Other URLs of the same file.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.mirrors) || size(self.mirrors) == 0 || has(self.checksum) || has(self.checksums)",
            "mirrors need checksum or checksums: it alone says that they have the same file",
            ".mirrors",
        ),
        Rule(
            "!has(self.checksum) || !has(self.checksums)",
            "checksum and checksums exclude each other: give the digest, or the file that lists it",
            ".checksums",
        ),
        Rule(
            r"self.url.matches(r'^https?://[^/?#\s]+\S*$')",
            "url must be an absolute http or https URL without spaces",
            ".url",
        ),
        Rule(
            "!self.url.matches('^[a-zA-Z]+://[^/?#]*@')",
            "url must not contain user info: give credentials as request headers in a Secret (headersSecretRef)",
            ".url",
        ),
        Rule(
            "!self.url.matches('[?&]([sS][iI][gG]|X-Amz-Signature|X-Goog-Signature)=')",
            "url must not contain a signature (a SAS is a secret): use a URL without one, or headers in a Secret (headersSecretRef)",
            ".url",
        ),
    )

    url: Annotated[str, Field(min_length=1, max_length=2048)]
    mirrors: Annotated[
        tuple[Mirror, ...],
        Field(
            max_length=4,
            description="Other URLs of the same file, tried in this order when `url` does not give it. They need "
            "`checksum` or `checksums`. The headers of `headersSecretRef` go to the host of `url` only.",
        ),
    ] = ()
    checksum: Checksum | None = None
    checksums: Annotated[
        ChecksumsList | None,
        Field(
            description="A file of the publisher that lists the checksum, instead of `checksum`. It is read when the "
            "disk is fetched; `status.disk.sourceChecksum` says what it listed."
        ),
    ] = None
    headers_secret_ref: (
        Annotated[
            LocalRef,
            Field(
                description="Secret of this namespace; each key is the name of a request header, each value its value."
            ),
        ]
        | None
    ) = None
    ca_bundle_ref: CaBundleRef | None = None


class PvcDisk(ApiModel):
    """A disk on a PersistentVolumeClaim of this namespace.

    Attributes:
        claim_name: Name of the claim; it is mounted read-only.
    """

    claim_name: Annotated[str, Field(min_length=1, max_length=253)]
    path: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=1024,
                description="File on the claim, relative to its root; left out for a block-mode claim, which is the disk itself.",
            ),
        ]
        | None
    ) = None
    checksum: Checksum | None = None

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.path) || !(self.path.startsWith('/') || self.path.split('/').exists(part, part == '..'))",
            "path must be relative to the claim's root and must not contain '..'",
            ".path",
        ),
    )


_Moment = text(
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{1,7}Z$",
    "a version or snapshot of a blob is written as Azure gives it: 2026-11-30T08:50:35.1234567Z",
    max_length=28,
)


class BlobDisk(ApiModel):
    """A disk in a blob of an Azure storage account; the operator's identity must be allowed to read it.

    Attributes:
        container: Its container.
        blob_name: Its name; a block blob or a page blob.
        version_id: Version of the blob; default: the current one.
        snapshot: Snapshot of the blob.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        at_most_one(("versionId", "snapshot"), "a blob has versions or snapshots: set versionId or snapshot, not both"),
    )

    storage_account_id: Annotated[str, arm_id("Microsoft.Storage/storageAccounts", "a storage account")]
    container: BlobContainer
    blob_name: Annotated[str, Field(min_length=1, max_length=1024)]
    version_id: Annotated[str, _Moment] | None = None
    snapshot: Annotated[str, _Moment] | None = None
    checksum: Checksum | None = None


class GuestStateSource(ApiModel):
    """Where the VM guest state of a Trusted Launch or confidential VM comes from (a ``.vmgs`` file)."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(("url", "pvc"), "set exactly one of vmGuestState.url and vmGuestState.pvc"),
        Rule(
            "!has(self.pvc) || has(self.pvc.path)",
            "the VM guest state is a file: name it in vmGuestState.pvc.path",
            ".pvc",
        ),
    )

    url: UrlDisk | None = None
    pvc: PvcDisk | None = None


class DiskSource(ApiModel):
    """Where the disk comes from."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            ("url", "s3", "oci", "blob", "pvc"),
            "set exactly one of source.url, source.s3, source.oci, source.blob and source.pvc",
        ),
    )

    url: UrlDisk | None = None
    s3: S3Disk | None = None
    oci: OciDisk | None = None
    pvc: PvcDisk | None = None
    blob: BlobDisk | None = None
    format: (
        Annotated[
            Literal["raw", "vhd", "vhdx", "qcow2", "vmdk"],
            Field(description="Format of the disk; default: recognised from its first bytes."),
        ]
        | None
    ) = None


class ImportSource(DiskSource):
    """Where the disk of an import comes from, and what belongs to it."""

    rules: ClassVar[tuple[Rule, ...]] = DiskSource.rules

    vm_guest_state: (
        Annotated[
            GuestStateSource,
            Field(
                description="VM guest state that belongs to the OS disk of a Trusted Launch or confidential VM; it is "
                "uploaded with the disk, as it is. A confidential disk needs it."
            ),
        ]
        | None
    ) = None
