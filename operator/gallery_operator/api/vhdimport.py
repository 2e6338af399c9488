"""``VhdImport``: one disk brought into Azure."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from gallery_operator.api.meta import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    READY_COLUMN,
    ApiModel,
    Column,
    DeletionPolicy,
    LocalRef,
    Region,
    Resource,
    ResourceGroupName,
    Rule,
    Spec,
    SubscriptionId,
    Tags,
    arm_id,
    at_most_one,
    exactly_one,
    immutable,
    text,
)
from gallery_operator.api.vhdimport_status import VhdImportStatus

Checksum = Annotated[
    str,
    text(
        r"^(sha256:[0-9a-fA-F]{64}|sha512:[0-9a-fA-F]{128})$",
        "checksum must be `sha256:` and 64 hexadecimal digits, or `sha512:` and 128",
        max_length=135,
        description="`sha256:<hex>` or `sha512:<hex>` of the file as served, before decompression.",
    ),
]
Quantity = Annotated[
    str,
    text(
        r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$",
        "a size is a number and a unit, for example `64Gi`",
        max_length=32,
    ),
]


class UrlDisk(ApiModel):
    """A disk at a URL.

    Attributes:
        url: http or https; a redirect is followed. It may name a public address, or one that the operator's
            administrator has allowed.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
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


class DiskSource(ApiModel):
    """Where the disk comes from."""

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one(("url", "pvc"), "set exactly one of source.url and source.pvc"),)

    url: UrlDisk | None = None
    pvc: PvcDisk | None = None
    format: (
        Annotated[
            Literal["raw", "vhd", "vhdx", "qcow2", "vmdk"],
            Field(description="Format of the disk; default: recognised from its first bytes."),
        ]
        | None
    ) = None


class Profile(ApiModel):
    """What the image is, where no definition says so.

    Attributes:
        os_state: Generalized images are provisioned at first boot; specialized ones start as they are.
        hyper_v_generation: V1 boots by BIOS, V2 by UEFI.
        architecture: Of the processors that the image runs on.
    """

    os_state: Literal["Generalized", "Specialized"] = "Generalized"
    hyper_v_generation: Literal["V1", "V2"] = "V2"
    architecture: Literal["x64", "Arm64"] = "x64"


class Prerequisites(ApiModel):
    """How the checks of the guest are judged."""

    policy: Annotated[
        Literal["Enforce", "Warn"],
        Field(description="Enforce: a disk with an error finding is not uploaded. Warn: it is, and status tells."),
    ] = "Enforce"
    level: Annotated[
        Literal["Default", "Strict"],
        Field(description="Default: what Azure needs. Strict: what marketplace certification asks, too."),
    ] = "Default"
    on_unknown: Annotated[
        Literal["Block", "Allow"],
        Field(description="What to do when a check that could be an error could not be decided."),
    ] = "Block"
    ignore: Annotated[
        tuple[
            Annotated[
                str,
                text(
                    r"^[A-Z]{3}[0-9]{3}$",
                    "the id of a check is three capital letters and three digits, for example NET003",
                    max_length=6,
                ),
            ],
            ...,
        ],
        Field(max_length=64, description="Ids of checks not to heed, for example `NET003`."),
    ] = ()


class PageBlob(ApiModel):
    """A page blob in a storage account."""

    storage_account_id: Annotated[str, arm_id("Microsoft.Storage/storageAccounts", "a storage account")]
    container: Annotated[
        str,
        text(
            r"^(\$root|[a-z0-9]+(-[a-z0-9]+)*)$",
            "a container's name has lower case letters, digits and single dashes, and starts and ends with a letter "
            "or digit (Azure's rule)",
            min_length=3,
            max_length=63,
            description="Blob container; it must exist.",
        ),
    ]
    blob_name: (
        Annotated[str, Field(min_length=1, max_length=1024, description="Default: `<name of the object>.vhd`.")] | None
    ) = None


class ManagedDisk(ApiModel):
    """A managed disk, filled by direct upload.

    Attributes:
        location: Region of the disk; a version is made in the region of its disks.
        sku: Storage of the disk.
    """

    subscription_id: SubscriptionId | None = None
    resource_group: ResourceGroupName
    location: Region
    disk_name: (
        Annotated[
            str,
            text(
                r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$",
                "a disk's name has letters, digits, '-', '_' and '.' only, starts with a letter or digit and ends with "
                "a letter, digit or '_' (Azure's rule)",
                max_length=80,
                description="Default: the object's name.",
            ),
        ]
        | None
    ) = None
    sku: Literal["Standard_LRS", "StandardSSD_LRS", "Premium_LRS", "StandardSSD_ZRS", "Premium_ZRS"] = "Standard_LRS"
    tags: Tags = {}


class Destination(ApiModel):
    """Where the disk ends."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            ("pageBlob", "managedDisk"),
            "set exactly one of destination.pageBlob and destination.managedDisk; for the staging disk leave destination out",
        ),
    )

    page_blob: PageBlob | None = None
    managed_disk: ManagedDisk | None = None


class Scratch(ApiModel):
    """The temporary claim for download and conversion.

    Attributes:
        storage_class_name: Default: the one that the operator is configured with, else the cluster's.
    """

    storage_class_name: Annotated[str, Field(max_length=253)] | None = None
    size: Annotated[Quantity, Field(description="Requested capacity; it bounds what a disk may grow to.")] = "64Gi"


class JobOptions(ApiModel):
    """Scheduling of the Job pods, in the words of a pod's spec.

    Attributes:
        resources: Requests and limits of the container.
        node_selector: Labels that a node must have.
        tolerations: Taints that the pods tolerate.
        affinity: Affinity of the pods.
    """

    resources: Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})] = {}
    node_selector: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]],
        Field(max_length=64),
    ] = {}
    tolerations: Annotated[
        tuple[dict[str, Any], ...],
        Field(
            max_length=64,
            json_schema_extra={"items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        ),
    ] = ()
    affinity: Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})] = {}
    retries: Annotated[int, Field(ge=0, le=20, description="How often a failed pod is started anew.")] = 3


class VhdImportSpec(Spec):
    """Desired state of an import."""

    rules: ClassVar[tuple[Rule, ...]] = (
        at_most_one(("definitionRef", "profile"), "set at most one of definitionRef and profile"),
        Rule(
            "has(self.destination) || has(self.definitionRef)",
            "without a destination the disk goes to a staging disk beside the gallery: name the definition in definitionRef, "
            "or set destination",
        ),
        Rule(
            "self.managementPolicy != 'Observe' || has(self.destination)",
            "with managementPolicy Observe say in destination which disk to observe",
        ),
        immutable("managementPolicy", "make a new VhdImport"),
        immutable("source", "make a new VhdImport for another disk"),
        immutable("definitionRef", "make a new VhdImport"),
        immutable("profile", "make a new VhdImport"),
        immutable("diskRole", "make a new VhdImport"),
        immutable("destination", "make a new VhdImport"),
    )

    source: DiskSource
    definition_ref: (
        Annotated[
            LocalRef,
            Field(description="Definition that the disk is meant for; the disk is checked against it."),
        ]
        | None
    ) = None
    profile: Profile | None = None
    disk_role: Annotated[
        Literal["os", "data"],
        Field(
            description="`os`: a bootable disk, its guest is checked. `data`: a data disk, only its container is checked."
        ),
    ] = "os"
    prerequisites: Prerequisites = Prerequisites()
    destination: Destination | None = None
    scratch: Scratch = Scratch()
    job: JobOptions = JobOptions()
    deletion_policy: DeletionPolicy = "Delete"


class VhdImport(Resource):
    """One disk brought into Azure."""

    kind_name: ClassVar[str] = "VhdImport"
    plural: ClassVar[str] = "vhdimports"
    short_name: ClassVar[str] = "vhdi"
    description: ClassVar[str] = "One disk brought into Azure: fetched, checked, converted and uploaded as a fixed VHD."
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Phase", ".status.phase"),
        Column("Progress", ".status.progress.percentText"),
        Column("Rate", ".status.progress.rate"),
        Column("Size", ".status.disk.size"),
        Column("Checks", ".status.prerequisites.summary"),
        READY_COLUMN,
        MESSAGE_COLUMN,
        AGE_COLUMN,
    )

    spec: VhdImportSpec
    status: VhdImportStatus = VhdImportStatus()
