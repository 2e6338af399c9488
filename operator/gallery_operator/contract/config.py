"""Configuration of the worker, given as JSON in one environment variable; it never carries a secret."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

ReadBack = Literal["None", "Sample", "Full"]
"""How much of what was sent is read back: nothing, a part that is spread over the disk, or all."""

CONFIG_VARIABLE = "WORKER_CONFIG"
"""Name of the environment variable that holds ``PrepareConfig`` or ``UploadConfig`` as JSON."""


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GuestProfile(_Config):
    """What the image is declared to be; the disk is checked against it.

    Attributes:
        os_state: ``Generalized`` or ``Specialized`` (ARM ``osState``).
        hyper_v_generation: ``V1`` (BIOS) or ``V2`` (UEFI).
        architecture: ``x64`` or ``Arm64``.
        disk_role: ``os`` for a bootable disk; a ``data`` disk gets only the container checks.
        features: ARM image features by name, for example ``SecurityType`` or ``DiskControllerTypes``.
    """

    os_state: Literal["Generalized", "Specialized"] = "Generalized"
    hyper_v_generation: Literal["V1", "V2"] = "V2"
    architecture: Literal["x64", "Arm64"] = "x64"
    disk_role: Literal["os", "data"] = "os"
    features: dict[str, str] = {}


class PrerequisitesConfig(_Config):
    """How findings are judged.

    Attributes:
        policy: ``Enforce`` refuses a disk with an error finding; ``Warn`` only tells.
        level: ``Default``: what Azure needs; ``Strict``: what marketplace certification asks.
        on_unknown: What a check that could not be decided means for the verdict.
        ignore: Ids of checks that the user has decided not to heed.
    """

    policy: Literal["Enforce", "Warn"] = "Enforce"
    level: Literal["Default", "Strict"] = "Default"
    on_unknown: Literal["Block", "Allow"] = "Block"
    ignore: tuple[str, ...] = ()


class SignatureFile(_Config):
    """The signature of a file of checksums; the public key is mounted.

    Attributes:
        url: Of the detached signature; None: the file itself is signed in clear.
    """

    url: str | None = None


class ChecksumsFile(_Config):
    """A file that lists the checksum of the source, such as ``SHA256SUMS``.

    Attributes:
        url: Where it is.
        file: Name of the source in it; None: the last part of the source's URL.
        signature: What proves it; None: only its server does.
    """

    url: str
    file: str | None = None
    signature: SignatureFile | None = None


class UrlSource(_Config):
    """A disk at a URL.

    Attributes:
        url: ``https`` (or ``http``) URL without user info.
        mirrors: Other URLs of the same file, for when the first does not give it; only with a checksum.
        checksum: ``sha256:<hex>`` or ``sha512:<hex>`` of the bytes as served (before decompression).
        checksums: A file that lists the checksum; instead of ``checksum``.
        has_headers: Extra request headers are mounted, one file a header.
        has_ca_bundle: A private CA bundle is mounted.
        allowed_cidrs: Non-public networks that the administrator allows, in CIDR notation.
        allowed_hosts: Host names (exact, or ``*.suffix``) whose addresses may be non-public.
    """

    kind: Literal["url"] = "url"
    url: str
    mirrors: tuple[str, ...] = ()
    checksum: str | None = None
    checksums: ChecksumsFile | None = None
    has_headers: bool = False
    has_ca_bundle: bool = False
    allowed_cidrs: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()


class S3Source(_Config):
    """An object in S3-compatible storage.

    Attributes:
        endpoint: ``https`` (or ``http``) URL of the service, without a path.
        region: Region that requests are signed for.
        bucket: The bucket.
        key: Key of the object.
        version_id: Which version of the object; None: the current one.
        path_style: Whether the bucket is in the URL's path instead of its host name.
        checksum: As for a URL; of the object's bytes.
        has_credentials: Access keys are mounted, one file a key, named as AWS's environment variables.
        has_ca_bundle: A private CA bundle is mounted.
        allowed_cidrs: As for a URL.
        allowed_hosts: As for a URL.
    """

    kind: Literal["s3"] = "s3"
    endpoint: str
    region: str
    bucket: str
    key: str
    version_id: str | None = None
    path_style: bool = False
    checksum: str | None = None
    has_credentials: bool = False
    has_ca_bundle: bool = False
    allowed_cidrs: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()


class OciSource(_Config):
    """An artifact or a container disk in a registry.

    Attributes:
        reference: ``host[:port]/repository[:tag]@sha256:<hex>``; a tag is not looked at.
        path: Name of the artifact's file, or path of the disk in the container disk; None: there is only one.
        architecture: Of the image that is taken out of an index: ``x64`` or ``Arm64``.
        plain_http: The registry is spoken to over http.
        has_credentials: A Docker configuration with the registry's user and password is mounted.
        has_ca_bundle: A private CA bundle is mounted.
        allowed_cidrs: As for a URL.
        allowed_hosts: As for a URL.
    """

    kind: Literal["oci"] = "oci"
    reference: str
    path: str | None = None
    architecture: Literal["x64", "Arm64"] = "x64"
    plain_http: bool = False
    has_credentials: bool = False
    has_ca_bundle: bool = False
    allowed_cidrs: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()

    @property
    def checksum(self) -> str:
        """The digest in the reference, which stands for all that the image holds."""
        return self.reference.rpartition("@")[2]


class PvcSource(_Config):
    """A disk on a claim that is mounted read-only.

    Attributes:
        path: File below the mount point, or None for a block-mode claim.
        checksum: As for a URL; of the file's bytes.
    """

    kind: Literal["pvc"] = "pvc"
    path: str | None = None
    checksum: str | None = None


class BlobSource(_Config):
    """A disk in an Azure blob; its URL with a SAS is mounted.

    Attributes:
        name: What tells it from other blobs; without a SAS.
        checksum: As for a URL; of the blob's bytes.
    """

    kind: Literal["blob"] = "blob"
    name: str
    checksum: str | None = None


class CopySource(_Config):
    """The blob whose bytes are the disk's, at the same offsets, so that the service may copy them by itself.

    Attributes:
        etag: Of the version that ``prepare`` has fetched and checked.
        url_file: Its URL with a SAS; re-read when it is refused.
    """

    etag: str
    url_file: str = "/etc/worker/blob/url"


class PrepareConfig(_Config):
    """Job ``prepare``: fetch, verify, decompress, convert, check.

    Attributes:
        source: Where the disk comes from.
        format: The disk's format when the user says it; None: recognised from its first bytes.
        min_virtual_size: Lower bound of the disk in bytes, as its destination has one.
        max_virtual_size: Upper bound of the disk and of anything decompressed, in bytes.
        guest: What the image is declared to be.
        prerequisites: How findings are judged.
        guest_state: Where the VM guest state comes from that belongs to the disk.
        scratch_dir: Writable folder for the download and the raw disk.
        source_dir: Mount point of a file-system claim.
        source_device: Device of a block-mode claim.
        secrets_dir: Mount point of headers or credentials, of the CA bundle and of the SAS of a blob.
        guest_state_dir: Mount point of the claim with the VM guest state.
        guest_state_secrets_dir: Mount point of headers and CA bundle for the VM guest state.
        port: Port of the progress server.
    """

    source: Annotated[UrlSource | S3Source | OciSource | BlobSource | PvcSource, Field(discriminator="kind")]
    format: Literal["raw", "vhd", "vhdx", "qcow2", "vmdk"] | None = None
    min_virtual_size: int = Field(default=0, ge=0)
    max_virtual_size: int = Field(gt=0)
    guest: GuestProfile = GuestProfile()
    prerequisites: PrerequisitesConfig = PrerequisitesConfig()
    guest_state: Annotated[UrlSource | PvcSource, Field(discriminator="kind")] | None = None
    scratch_dir: str = "/scratch"
    source_dir: str = "/source"
    source_device: str = "/dev/source"
    secrets_dir: str = "/etc/worker"
    guest_state_dir: str = "/guest-state"
    guest_state_secrets_dir: str = "/etc/worker/guest-state"
    port: int = 8080


class UploadConfig(_Config):
    """Job ``upload``: send a prepared disk as a fixed VHD into a page blob or a managed disk's SAS.

    Attributes:
        target: ``pageBlob`` creates the blob; a ``managedDisk`` target exists at its full size already.
        virtual_size: Size of the disk in bytes without the footer, a multiple of 1 MiB.
        sha256: SHA-256 (hex) of the VHD as ``prepare`` reported it; checked before the first byte is sent.
        concurrency: Most Put Page requests in flight; how many there are is measured.
        bandwidth_limit: Most bytes a second to send; None: no limit.
        blob_metadata: Metadata written to a page blob when it is complete.
        api_version: Storage API version to speak (``x-ms-version``); None: the SDK's own.
        source: The claim that holds a disk read in place; needed when the scratch volume of ``prepare`` is
            not handed on, because ``upload`` then measures the disk again before it sends anything.
        guest_state_sha256: SHA-256 (hex) of the VM guest state on the scratch volume; None: the disk has none.
        read_back: How much of what was sent is read back and compared.
        copy_source: Where the service may copy the disk's bytes from; None: they are sent.
    """

    target: Literal["pageBlob", "managedDisk"]
    virtual_size: int = Field(gt=0)
    sha256: str
    concurrency: int = Field(default=16, ge=1, le=64)
    bandwidth_limit: int | None = Field(default=None, gt=0)
    blob_metadata: dict[str, str] = {}
    api_version: str | None = None
    read_back: ReadBack = "Sample"
    source: PvcSource | None = None
    scratch_dir: str = "/scratch"
    source_dir: str = "/source"
    source_device: str = "/dev/source"
    guest_state_sha256: str | None = None
    copy_source: CopySource | None = None
    target_url_file: str = "/etc/worker/target/url"
    guest_state_url_file: str = "/etc/worker/target/guest-state-url"
    ca_bundle: str | None = None
    port: int = 8080
