"""Rules for versions: replication, encryption, the end (sections 6 and 7 of the facts)."""

from __future__ import annotations

from tests.unit.bad_input.proofs import Azure, Crd, Kept, Told, rule

from gallery_operator.azure.error_kinds import ErrorKind as K

VERSION = "ImageVersion"
SOURCES = "unit/planning/test_source_rules.py"
PUBLISHING = "integration/reconcilers/test_publishing.py"
PRECONDITIONS = "unit/planning/test_preconditions.py"

RULES = [
    rule(
        "6-regions",
        "each region once, and the region of the gallery among them",
        Crd(VERSION, "a region twice"),
        Crd(VERSION, "a region twice in two spellings"),
        Crd(VERSION, "bad region"),
        Crd(VERSION, "no region"),
        Told(
            "HomeRegionMissing",
            "integration/reconcilers/test_versions.py",
            "test_home_region_must_be_among_the_targets",
        ),
        Kept("unit/planning/test_version.py", "test_regions_have_a_normal_form"),
        Azure("Duplicate regions are not allowed in target publishing regions", K.INVALID, "each region once"),
        Azure(
            "Gallery image version publishing profile regions eastus must contain the location of image version "
            "westeurope",
            K.INVALID,
            "gallery's region",
        ),
    ),
    rule(
        "6-zrs",
        "not every region has zone-redundant storage",
        Azure("ZRS storage account type is not supported in this region.", K.INVALID, "another storageAccountType"),
    ),
    rule(
        "6-removal",
        "a region is removed only when allowDeletionOfReplicatedLocations was true before",
        Crd(VERSION, "region removed, not allowed"),
        Kept(
            "integration/reconcilers/test_versions.py",
            "test_regions_are_removed_although_azure_was_told_that_they_must_not",
        ),
        Azure(
            "Removing replicated locations 'eastus' is not allowed because "
            "allowDeletionOfReplicatedLocations is false.",
            K.INVALID,
            "put the region back",
            "OperationNotAllowed",
            409,
        ),
    ),
    rule(
        "6-partial-failure",
        "replication to a region may fail; removing it and adding it again helps, or not",
        Told(
            "ReplicationFailed",
            "integration/reconcilers/test_versions.py",
            "test_repairs_are_bounded_and_do_not_block_other_changes",
        ),
        Azure(
            "Gallery replication jobs failed in one or more regions. The failing regions' details are as follows: "
            "'{region:northeurope, detail:Failed with internal server error.}'.",
            K.RETRY,
            "bounded number of times",
            "NobodyHasSeenIt",
            None,
        ),
    ),
    rule(
        "6-encryption-everywhere",
        "a disk with a disk encryption set in one region has one in all; each LUN once, of the source's",
        Crd(VERSION, "encrypted in one region"),
        Crd(VERSION, "data disks encrypted here"),
        Crd(VERSION, "data disk encrypted twice"),
        Crd(VERSION, "encryption of nothing"),
        Told("UnknownLun", PRECONDITIONS, "test_refusals"),
        Azure(
            "A disk encryption set is required for disk 'LUN 1' in target region 'a' since disk encryption set 'd' is "
            "used for the corresponding disk in region 'b'",
            K.INVALID,
            "in all regions, or in none",
        ),
        Azure(
            "An invalid lun [3] was specified in encryption.dataDiskImages. The lun must be one of the following "
            "values ['0,9']",
            K.INVALID,
            "only LUNs that the source has",
        ),
        Azure(
            "Duplicate luns '1' were specified in target region 'a' encryption.dataDiskImages",
            K.INVALID,
            "each LUN once",
        ),
    ),
    rule(
        "6-encryption-set",
        "the set exists, in the gallery's subscription and in the region",
        Crd(VERSION, "encryption by a disk"),
        Told("EncryptionSetElsewhere", PUBLISHING, "test_encrypted_version_and_what_is_refused_before_azure_is_asked"),
        Told("EncryptionSetNotFound", PUBLISHING, "test_encrypted_version_and_what_is_refused_before_azure_is_asked"),
        Azure(
            "The disk encryption set 'd' must be in the same subscription 's' as the gallery resource",
            K.INVALID,
            "gallery's subscription",
        ),
        Azure("The disk encryption set d was not found", K.DEPENDENCY, "Create the disk encryption set"),
        Azure(
            "The value of parameter galleryArtifactVersion.properties.publishingProfile.targetRegions.encryption."
            "osDiskImage.diskEncryptionSetId is invalid",
            K.INVALID,
            "ARM id of a disk encryption set",
        ),
    ),
    rule(
        "6-encryption-source",
        "not every source can be encrypted, and an encrypted one stays in its subscription",
        Told("SourceElsewhere", SOURCES, "test_os_disk"),
        Azure(
            "Encryption is not supported for source resource 'x'. Please use a different source resource type which "
            "supports encryption or remove encryption properties",
            K.INVALID,
            "Take encryption out",
        ),
        Azure(
            "Encrypted source: 'x' is in a different subscription ID than the current gallery image version "
            "subscription 's'.",
            K.INVALID,
            "Copy the source",
        ),
    ),
    rule(
        "6-encryption-immutable",
        "the encryption of a disk in a region never changes",
        Crd(VERSION, "encryption changed"),
        Crd(VERSION, "encryption added"),
        Azure(
            "Cannot specify new data disk image encryption lun [1] with a disk encryption set in region [a] for update "
            "gallery image version request.",
            K.INVALID,
            "does not let this property change",
        ),
    ),
    rule(
        "6-encryption-confidential",
        "confidential encryption has its own set or none, by type, and needs a confidential definition",
        Crd(VERSION, "confidential EncryptedWithCmk without a set"),
        Crd(VERSION, "confidential EncryptedWithPmk with a set"),
        Crd(VERSION, "confidential DataDiskEncryptedWithCmk with a set"),
        Told("NotConfidential", PRECONDITIONS, "test_refusals"),
    ),
    rule(
        "7-children",
        "children are deleted first, and Azure needs 20 seconds to notice",
        Told("HasDependents", "integration/reconcilers/test_versions.py", "test_deletion_in_any_order_leaves_nothing"),
        *(
            Azure(text, K.DEPENDENTS, "20 seconds", code, 409)
            for code in ("CannotDeleteResource", "Conflict")
            for text in (
                "Can not delete resource before nested resources are deleted.",
                "Cannot delete resource while nested resources exist. Some existing nested resource IDs include: 'x'.",
            )
        ),
    ),
    rule(
        "7-marked-for-deletion",
        "what is being deleted is not updated",
        Azure(
            "Operation 'Update Gallery Image Version' is not on allowed on 1.0.0; since it is marked for deletion. You "
            "can only retry the Delete operation (or wait for an ongoing one to complete)",
            K.CONFLICT,
            "makes it anew",
            "OperationNotAllowed",
            409,
        ),
    ),
    rule(
        "7-blocked-deletion",
        "blockDeletionBeforeEndOfLife needs an end of life, and keeps the version until then",
        Crd(VERSION, "block deletion for ever"),
        Told(
            "DeletionBlocked",
            "integration/reconcilers/test_versions.py",
            "test_deletion_before_the_end_of_life_is_blocked_until_the_spec_allows_it",
        ),
        *(
            Azure(
                "DeleteGalleryImageVersionBlockedBeforeEndOfLife. Deletion of Gallery image version is not allowed "
                "because the image is enabled for blockDeletionBeforeEndOfLife and its endOfLifeDate has not "
                "reached yet",
                K.INVALID,
                "to false",
                code,
                status,
            )
            for code, status in (("DeleteGalleryImageVersionBlockedBeforeEndOfLife", 409), ("Conflict", 409))
        ),
    ),
    rule(
        "7-soft-delete",
        "soft-deleted versions keep their definition and their number; days are positive",
        Crd("Gallery", "soft delete of no days"),
        Crd("Gallery", "soft delete neither on nor off"),
        Told(
            "HasSoftDeletedVersions",
            "integration/reconcilers/test_lifecycle.py",
            "test_definition_with_soft_deleted_versions_says_what_it_waits_for",
        ),
        Told(
            "SoftDeleted",
            "integration/reconcilers/test_lifecycle.py",
            "test_restore_is_refused_and_deletion_for_good",
        ),
    ),
]
