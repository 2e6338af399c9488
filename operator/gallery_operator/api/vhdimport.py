"""``VhdImport``: one disk brought into Azure."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from gallery_operator.api.destination import Destination
from gallery_operator.api.disk_source import ImportSource
from gallery_operator.api.meta import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    READY_COLUMN,
    ApiModel,
    Column,
    DeletionPolicy,
    LocalRef,
    Resource,
    Rule,
    Spec,
    at_most_one,
    immutable,
    text,
)
from gallery_operator.api.vhdimport_status import VhdImportStatus

Quantity = Annotated[
    str,
    text(
        r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$",
        "a size is a number and a unit, for example `64Gi`",
        max_length=32,
    ),
]


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


class Scratch(ApiModel):
    """The temporary claim for the image while it is downloaded and decompressed.

    Attributes:
        storage_class_name: Default: the one that the operator is configured with, else the cluster's.
    """

    storage_class_name: Annotated[str, Field(max_length=253)] | None = None
    size: Annotated[
        Quantity, Field(description="Requested capacity; it bounds what is downloaded and decompressed.")
    ] = "64Gi"


class JobOptions(ApiModel):
    """Scheduling of the Job pods, in the words of a pod's spec.

    Attributes:
        resources: Requests and limits of the container.
        node_selector: Labels that a node must have.
        tolerations: Taints that the pods tolerate.
        affinity: Affinity of the pods.
        bandwidth_limit: Most bytes a second that the upload sends or reads back; absent: no limit.
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
    bandwidth_limit: (
        Annotated[
            str,
            text(
                r"^[1-9][0-9]{0,5}(k|M|G|Ki|Mi|Gi)$",
                "a bandwidth limit is a whole number and a unit, for example 50Mi (per second)",
                max_length=8,
                description="Most bytes that the upload sends or reads back a second, for example `50Mi`. Default: as many as "
                "Azure takes.",
            ),
        ]
        | None
    ) = None


class Verification(ApiModel):
    """How what was uploaded is compared with the disk."""

    read_back: Annotated[
        Literal["None", "Sample", "Full"],
        Field(
            description="What is read back from Azure and compared. None: nothing, only Azure's list of written pages is "
            "compared, as it always is. Sample: some 64 ranges of at most 4 MiB, spread over the disk; all of it as soon "
            "as one of them is damaged. Full: all of it, or the import fails."
        ),
    ] = "Sample"


_AS_IMAGE = "!has(self.destination) || !has(self.destination.managedImage)"
_AS_DISK = "!has(self.destination) || !has(self.destination.managedDisk)"


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
        Rule(
            f"{_AS_IMAGE} || self.diskRole == 'os'",
            "a managed image is made from its OS disk: set diskRole to os, and name this import's disk in dataDisks of the "
            "import that makes the image",
            ".diskRole",
        ),
        Rule(
            f"{_AS_IMAGE} || !has(self.profile) || self.profile.osState == 'Generalized'",
            "a managed image is generalized: generalize the disk, or bring it to a managedDisk and make a version of it",
            ".profile",
        ),
        Rule(
            f"{_AS_DISK} || self.diskRole == 'data' || !(self.destination.managedDisk.sku in ['PremiumV2_LRS', "
            "'UltraSSD_LRS'])",
            "PremiumV2_LRS and UltraSSD_LRS are for data disks: choose another sku for an OS disk (Azure's rule)",
            ".destination",
        ),
        Rule(
            f"{_AS_DISK} || self.diskRole == 'os' || !has(self.destination.managedDisk.securityProfile)",
            "securityProfile is for OS disks: leave it out",
            ".destination",
        ),
        Rule(
            f"{_AS_DISK} || !has(self.destination.managedDisk.securityProfile) || !has(self.profile) || "
            "self.profile.hyperVGeneration == 'V2'",
            "Trusted Launch and confidential VMs are of generation V2: set profile.hyperVGeneration to V2",
            ".profile",
        ),
        Rule(
            f"{_AS_DISK} || !has(self.destination.managedDisk.securityProfile) || has(self.source.vmGuestState) || "
            "!self.destination.managedDisk.securityProfile.securityType.startsWith('ConfidentialVM')",
            "a confidential disk is uploaded together with its VM guest state: name the file in source.vmGuestState",
            ".source",
        ),
        Rule(
            "!has(self.source.vmGuestState) || (self.diskRole == 'os' && (!has(self.destination) || "
            "has(self.destination.managedDisk)))",
            "only the managed OS disk has a VM guest state: leave vmGuestState out, or choose the destination managedDisk "
            "and diskRole os",
            ".source",
        ),
        immutable("source", "make a new VhdImport for another disk"),
        immutable("definitionRef", "make a new VhdImport"),
        immutable("profile", "make a new VhdImport"),
        immutable("diskRole", "make a new VhdImport"),
        immutable("destination", "make a new VhdImport"),
    )

    source: ImportSource
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
    verification: Verification = Verification()
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
        Column("Step", ".status.progress.step"),
        Column("Progress", ".status.progress.percentText"),
        Column("Rate", ".status.progress.rate"),
        Column("Left", ".status.progress.remaining"),
        Column("Size", ".status.disk.size"),
        Column("Checks", ".status.prerequisites.summary"),
        READY_COLUMN,
        Column("Attempts", ".status.attempts", type="integer", priority=1),
        MESSAGE_COLUMN,
        AGE_COLUMN,
    )

    spec: VhdImportSpec
    status: VhdImportStatus = VhdImportStatus()
