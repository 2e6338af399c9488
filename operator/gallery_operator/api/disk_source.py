"""Where a disk comes from: a URL, a claim or a blob."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gallery_operator.api.meta import ApiModel, BlobContainer, LocalRef, Rule, arm_id, at_most_one, exactly_one, text

Checksum = Annotated[
    str,
    text(
        r"^(sha256:[0-9a-fA-F]{64}|sha512:[0-9a-fA-F]{128})$",
        "checksum must be `sha256:` and 64 hexadecimal digits, or `sha512:` and 128",
        max_length=135,
        description="`sha256:<hex>` or `sha512:<hex>` of the file as served, before decompression.",
    ),
]


Mirror = Annotated[
    str,
    text(
        # No user info, and no query, in which a signature could be.
        r"^https?://[^/?#@\s]+/[^?#\s]*$",
        "a mirror must be an absolute http or https URL without user info, query and spaces",
        max_length=1024,
    ),
]


class UrlDisk(ApiModel):
    """A disk at a URL.

    Attributes:
        url: http or https; a redirect is followed. It may name a public address, or one that the operator's
            administrator has allowed.
        mirrors: Other URLs of the same file.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.mirrors) || size(self.mirrors) == 0 || has(self.checksum)",
            "mirrors need checksum: it alone says that they have the same file",
            ".mirrors",
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
            "`checksum`. The headers of `headersSecretRef` go to the host of `url` only.",
        ),
    ] = ()
    checksum: Checksum | None = None
    headers_secret_ref: (
        Annotated[
            LocalRef,
            Field(
                description="Secret of this namespace; each key is the name of a request header, each value its value."
            ),
        ]
        | None
    ) = None
    ca_bundle_ref: (
        Annotated[
            LocalRef,
            Field(description="ConfigMap of this namespace with PEM certificates under the key `ca.crt`."),
        ]
        | None
    ) = None


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
        exactly_one(("url", "pvc", "blob"), "set exactly one of source.url, source.pvc and source.blob"),
    )

    url: UrlDisk | None = None
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
