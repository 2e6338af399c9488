"""Rules for versions: properties and sources (sections 4 and 5 of the facts)."""

from __future__ import annotations

from tests.unit.bad_input.proofs import Azure, Crd, Schema, Told, rule

from gallery_operator.azure.error_kinds import ErrorKind as K

VERSION = "ImageVersion"
STORAGE = ["Standard_LRS", "Standard_ZRS", "Premium_LRS", "PremiumV2_LRS"]
REGION = "ImageVersion.spec.targetRegions.[]"
SOURCES = "unit/planning/test_source_rules.py"
PUBLISHING = "integration/reconcilers/test_publishing.py"
PRECONDITIONS = "unit/planning/test_preconditions.py"

RULES = [
    rule(
        "4-replicas",
        "1 to 100 in a region, 100 in all",
        Crd(VERSION, "101 replicas in all"),
        Crd(VERSION, "101 replicas by default"),
        Crd(VERSION, "too many with those of other types"),
        Schema(f"{REGION}.regionalReplicaCount", "minimum", 1),
        Schema(f"{REGION}.regionalReplicaCount", "maximum", 100),
        Azure(
            "The value 101 of parameter galleryArtifactVersion.properties.publishingProfile.replicaCount is out of "
            "range. The value must be between 1 and 100, inclusive",
            K.INVALID,
            "in the range",
        ),
    ),
    rule(
        "4-shallow",
        "Shallow has one region with one replica, and no edge zone",
        Crd(VERSION, "Shallow with two replicas"),
        Crd(VERSION, "Shallow with two regions"),
        Crd(VERSION, "Shallow with two replicas by default"),
        Crd(VERSION, "Shallow with replicas of another type"),
        Crd(VERSION, "Shallow with an edge zone"),
    ),
    rule(
        "4-storage",
        "four types; StandardSSD_LRS is for edge zones; a strategy excludes a type at the same level",
        Schema("ImageVersion.spec.storageAccountType", "enum", STORAGE),
        Schema(f"{REGION}.storageAccountType", "enum", STORAGE),
        Crd(VERSION, "region, solid state"),
        Crd(VERSION, "edge zone, redundant"),
        Crd(VERSION, "edge zone twice"),
        Crd(VERSION, "type and strategy"),
        Crd(VERSION, "replicas of another type twice"),
    ),
    rule(
        "4-storage-immutable",
        "the storage of a region, the strategy and the mode never change",
        Crd(VERSION, "storage of a region changed"),
        Crd(VERSION, "storage of a region changed, in another spelling"),
        Crd(VERSION, "storage of a region no longer said"),
        *(
            Crd(VERSION, f"{name} changed")
            for name in ("replicationMode", "storageAccountType", "storageAccountStrategy")
        ),
        Told("ImmutableFieldDiffers", PUBLISHING, "test_what_azure_never_changes_is_told_not_tried"),
        Azure(
            "Global storage account type does not match the storage account type in the existing TargetRegion: 'West "
            "US 2'",
            K.INVALID,
            "Set storageAccountType back",
        ),
    ),
    rule(
        "4-uefi",
        "keys of secure boot have a type, a source, a definition that can use them, and never change",
        Crd(VERSION, "keys from nowhere"),
        Crd(VERSION, "keys from two places"),
        Crd(VERSION, "keys of an unknown type"),
        Crd(VERSION, "no template and a template"),
        Crd(VERSION, "UEFI settings changed"),
        Told("NoSecureBoot", PRECONDITIONS, "test_refusals"),
        Told("UefiKeyUnusable", PUBLISHING, "test_keys_of_secure_boot_come_from_secrets_and_config_maps"),
    ),
    rule(
        "5-one-source",
        "an image as a whole, or disks one by one; each disk of one thing",
        Crd(VERSION, "no source"),
        Crd(VERSION, "source: nothing"),
        Crd(VERSION, "source: two wholes"),
        Crd(VERSION, "source: managedImageId and data disks"),
        Crd(VERSION, "two OS disks"),
        Crd(VERSION, "data disk from two places"),
        Azure(
            "The gallery artifact version source can only be specified either directly under storageProfile or within "
            "individual OS or data disks. One and only one source type (user image, snapshot, disk, virtual machine) "
            "can be provided",
            K.INVALID,
            "an image as a whole or an osDisk",
        ),
    ),
    rule(
        "5-ids",
        "an id is that of the kind of resource which the field names",
        Crd(VERSION, "disk by a snapshot"),
        Crd(VERSION, "snapshot by a disk"),
        Crd(VERSION, "source: image by a disk"),
        Crd(VERSION, "source: VM by an image"),
        Crd(VERSION, "source: version by a definition"),
        Crd(VERSION, "source: community, as an ARM id"),
        Crd(VERSION, "blob in no account"),
        Crd(VERSION, "blob, SAS"),
        Azure("The source id: x must be a managed disk or snapshot", K.INVALID, "another source"),
        Azure(
            "The source id: x must either be a managed image, virtual machine or another gallery image version",
            K.INVALID,
            "another source",
        ),
        Azure(
            "Property id x at path 'properties.storageProfile.osDiskImage.source.id' is invalid. Expect fully "
            "qualified resource Id that start with '/subscriptions/{subscriptionId}'",
            K.INVALID,
            "another source",
        ),
    ),
    rule(
        "5-source-there",
        "the source exists, in the region of the version, and is not being made",
        Told("SourceNotFound", SOURCES, "test_os_disk"),
        Told("SourceElsewhere", SOURCES, "test_os_disk"),
        Told("SourceNotReady", SOURCES, "test_os_disk"),
        Told("SourceInUse", SOURCES, "test_os_disk"),
        Told("SourceFailed", SOURCES, "test_other_version"),
        Azure(
            "Source x is not found. Please check source exists, and is in the same region as gallery image version "
            "being created",
            K.DEPENDENCY,
            "same region",
        ),
        Azure("Source was not found: x. Please make sure the source exists", K.DEPENDENCY, "Create the source"),
        Azure(
            "The gallery image x is not available in eastus region. Please contact image owner to replicate to this "
            "region, or change your requested region.",
            K.DEPENDENCY,
            "Replicate the source image",
            "GalleryImageNotFound",
            404,
        ),
        Azure(
            "The gallery image x is not available in eastus region. Please contact image owner to replicate to this "
            "region, or change your requested region.",
            K.DEPENDENCY,
            "Replicate the source image",
        ),
        Azure('There is no latest image version exists for "x"', K.DEPENDENCY, "counts as latest"),
    ),
    rule(
        "5-source-fits",
        "osType, osState, hyperVGeneration, architecture and purchase plan are those of the definition",
        Told("SourceMismatch", SOURCES, "test_os_disk"),
        Told("SourceMismatch", SOURCES, "test_managed_image"),
        Told("SourceMismatch", SOURCES, "test_virtual_machine"),
        Told("SourceMismatch", SOURCES, "test_other_version"),
        Told("SourceMismatch", SOURCES, "test_community_version"),
        Azure(
            "Cannot create Gallery Image Version from: x since the OS State in the parent gallery image (Generalized) "
            "is not Specialized",
            K.INVALID,
            "osState",
        ),
        Azure(
            "The resource with id 'x' has a different Hypervisor generation ['V1'] than the parent gallery image "
            "Hypervisor generation ['V2']",
            K.INVALID,
            "hyperVGeneration",
        ),
        Azure(
            "The resource with id 'x' has a different OS type ['Windows'] than the parent gallery image OS type "
            "generation ['Linux']",
            K.INVALID,
            "osType",
        ),
        Azure(
            "The resource with id x has a different plan ['{}'] than the parent gallery image plan ['null']",
            K.INVALID,
            "Name another source",
        ),
        Azure(
            "The security type 'TrustedLaunchSupported' is not supported for the source id 'x'.",
            K.INVALID,
            "destination.pageBlob",
        ),
    ),
    rule(
        "5-machine",
        "a virtual machine has managed disks, none of them ephemeral or Ultra",
        Told("SourceMismatch", SOURCES, "test_virtual_machine"),
        Azure("Source virtual machine x cannot contain an ephemeral OS disk", K.INVALID, "another source"),
        Azure("Source virtual machine x must be created from Managed Disks", K.INVALID, "another source"),
        Azure(
            "Source virtual machine x cannot contain disk ['d'] stored in an UltraSSD account type",
            K.INVALID,
            "another source",
        ),
    ),
    rule(
        "5-disks-differ",
        "each disk has a LUN from 0 to 63 and a source of its own",
        Crd(VERSION, "a lun twice"),
        Schema("ImageVersion.spec.source.dataDisks.[].lun", "minimum", 0),
        Schema("ImageVersion.spec.source.dataDisks.[].lun", "maximum", 63),
        Crd(VERSION, "source: a disk twice"),
        Crd(VERSION, "source: a snapshot twice"),
        Crd(VERSION, "source: an import twice"),
        Crd(VERSION, "source: OS and data of one blob"),
        Told("SourceTwice", SOURCES, "test_one_thing_for_two_disks"),
        Azure(
            "Duplicated lun numbers have been detected in the input data disks. Lun number must be unique for each "
            "data disk",
            K.INVALID,
            "a lun of its own",
        ),
        Azure(
            "Duplicated source ids are found in the input disks. Source id should be unique for each disk",
            K.INVALID,
            "a source",
        ),
        Azure("OSDiskImage and DataDiskImage cannot point to same blob x", K.INVALID, "a source"),
    ),
    rule(
        "5-source-immutable",
        "source, LUNs and number of data disks never change",
        Crd(VERSION, "source changed"),
        Azure(
            "Changing property 'galleryImageVersion.properties.storageProfile.osDiskImage.source.id' is not allowed.",
            K.INVALID,
            "another name or version",
            "PropertyChangeNotAllowed",
            409,
        ),
        Azure(
            "Adding new Data Disks or changing the LUN of a Data Disk in an existing Image is not allowed",
            K.INVALID,
            "another name or version",
        ),
    ),
    rule(
        "5-source-busy",
        "a source is asked for only so often",
        Azure(
            "Too many requests on source 'x'. Please reduce the number of requests on the source or wait some time "
            "before retrying",
            K.THROTTLED,
            "tries again",
        ),
    ),
    rule(
        "5-size",
        "a disk has at most 2048 GiB in mode Full, 32 TiB in mode Shallow",
        Told("DiskTooLarge", SOURCES, "test_os_disk"),
        Told(
            "DiskTooLarge",
            "integration/reconcilers/test_sizes.py",
            "test_a_disk_too_large_for_its_version_is_told_before_its_upload_ends",
        ),
        Azure(
            "Replication failed in this region due to 'The GalleryImageVersion source resource size 2520 exceeds the "
            "max size 2048 supported",
            K.INVALID,
            "Shallow",
            "ReplicationFailed",
            None,
        ),
    ),
]
