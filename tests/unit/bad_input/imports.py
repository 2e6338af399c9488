"""Rules for disks that are uploaded (sections 11 and 12 of the facts)."""

from __future__ import annotations

from tests.unit.bad_input.proofs import Azure, Crd, Kept, Told, rule

from gallery_operator.azure.error_kinds import ErrorKind as K

IMPORT = "VhdImport"
NEVER = "test_what_can_never_work_is_refused"
DISK = "unit/planning/test_import_disk.py"

RULES = [
    rule(
        "11-smallest",
        "a managed disk has at least 20 MiB",
        Told(
            "TooSmall",
            "integration/reconcilers/test_destinations.py",
            "test_small_disk_is_refused_before_anything_is_made",
        ),
    ),
    rule(
        "11-largest",
        "32767 GiB; an OS disk 4095 GiB, of generation 1 2 TiB; a page blob 8 TiB",
        Kept(DISK, "test_smallest_and_largest_disk"),
        Kept("integration/worker/test_prepare.py", "test_the_limit_holds_for_every_format"),
    ),
    rule(
        "11-whole-mib",
        "the size without the footer is a whole number of MiB",
        Kept("integration/worker/test_prepare.py", "test_every_format_on_a_claim_is_read_in_place"),
    ),
    rule(
        "11-sku",
        "PremiumV2 and Ultra are for data disks; a redundant disk is in no zone",
        Crd(IMPORT, "OS disk, PremiumV2"),
        Crd(IMPORT, "zone-redundant disk in a zone"),
        Crd(IMPORT, "disk in a named zone"),
        Azure(
            "The requested size for resource is currently not available in location 'x'.",
            K.INVALID,
            "Name a region",
            "SkuNotAvailable",
            409,
        ),
    ),
    rule(
        "11-names",
        "names of disks, images, containers, groups, accounts and subscriptions",
        Crd(IMPORT, "disk, bad name"),
        Crd(IMPORT, "image, bad name"),
        Crd(IMPORT, "disk, bad group"),
        Crd(IMPORT, "disk, bad region"),
        Crd(IMPORT, "disk, bad subscription"),
        Crd(IMPORT, "page blob, bad account"),
        Crd(IMPORT, "page blob, bad container"),
    ),
    rule(
        "11-secure",
        "Trusted Launch and confidential disks are OS disks of generation 2; the latter with guest state",
        Crd(IMPORT, "Trusted Launch, data disk"),
        Crd(IMPORT, "Trusted Launch, generation 1"),
        Crd(IMPORT, "confidential without guest state"),
        Crd(IMPORT, "confidential, no key"),
        Crd(IMPORT, "confidential, needless key"),
        Crd(IMPORT, "guest state of a data disk"),
        Told("SecurityNeedsGeneration2", DISK, NEVER),
        Told("VMGuestStateMissing", DISK, NEVER),
        Told("SecurityTypeMissing", DISK, NEVER),
    ),
    rule(
        "11-image",
        "a managed image is generalized and plain, each of its data disks has a LUN and a source",
        Crd(IMPORT, "image of a data disk"),
        Crd(IMPORT, "image of a specialized disk"),
        Crd(IMPORT, "image, one lun twice"),
        Crd(IMPORT, "image, disk of nothing"),
        Crd(IMPORT, "image, disk of two"),
        Crd(IMPORT, "image, disk with SAS"),
        Told("SpecializedManagedImage", DISK, NEVER),
        Told("SecureManagedImage", DISK, NEVER),
        Told("DataDiskUnusable", "integration/reconcilers/test_destinations.py", "test_unusable_data_disk_is_told"),
    ),
    rule(
        "11-encryption-set",
        "a disk encryption set is named by its ARM id",
        Crd(IMPORT, "disk, no encryption set"),
        Crd(IMPORT, "image, no encryption set"),
        Crd(IMPORT, "confidential, key that is none"),
        Azure("Disk encryption set x is not found.", K.DEPENDENCY, "Create the disk encryption set", "NotFound", 404),
    ),
    rule(
        "11-taken",
        "what exists and is somebody's stays",
        Told("AlreadyExists", "integration/reconcilers/test_imports.py", "test_disk_of_somebody_else_is_left_alone"),
        Told("AlreadyExists", "integration/reconcilers/test_imports.py", "test_blob_of_somebody_else_is_left_alone"),
        Told(
            "AlreadyExists",
            "integration/reconcilers/test_destinations.py",
            "test_image_of_somebody_else_is_left_alone",
        ),
    ),
    rule(
        "11-footer",
        "Azure looks at the footer when the upload ends",
        Told(
            "InvalidVhd",
            "integration/reconcilers/test_imports.py",
            "test_disk_without_a_vhd_footer_is_refused_by_azure",
        ),
    ),
    rule(
        "12-page-blob",
        "VHDs are page blobs, in accounts that have such",
        Kept("unit/planning/test_source_rules.py", "test_blobs"),
        Azure("The blob type is invalid for this operation.", K.INVALID, "not a page blob", "InvalidBlobType", 409),
        Azure("x", K.INVALID, "hierarchical namespace", "PageBlobsNotSupported", 409),
        Azure("The specified container does not exist.", K.DEPENDENCY, "blob container", "ContainerNotFound", 404),
    ),
]
