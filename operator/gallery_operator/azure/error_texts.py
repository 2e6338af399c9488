"""The table from Azure's texts to what they mean, for codes that say too little.

Nearly all that the gallery service refuses comes with one of a few codes (``InvalidParameter``, ``Conflict``,
``BadRequest``), at once or as the end of a long-running operation, which has no HTTP status: only the text tells then
whether time mends it. Source of the texts, where a line names no other: Microsoft's page "Troubleshoot images in an
Azure Compute Gallery".
"""

import re

from gallery_operator.azure.error_kinds import ErrorKind
from gallery_operator.azure.error_meanings import Meaning, TextRule

K = ErrorKind

_NAME = "Correct the name by the rule that the message tells; a resource is never renamed, so make a new object."
_IMMUTABLE = "Azure does not let this property change: set it back, or make a new object with another name or version."


def _text(pattern: str, kind: ErrorKind, next_step: str, *says: str) -> TextRule:
    return TextRule(re.compile(pattern, re.IGNORECASE), Meaning(kind, next_step), says)


_PASSING: tuple[TextRule, ...] = (
    _text(
        r"too many requests",
        K.THROTTLED,
        "Nothing to do: the operator waits and tries again.",
        "Too many requests on source '<id>'. Please reduce the number of requests on the source or wait some time "
        "before retrying",
    ),
    _text(
        r"before nested resources are deleted|while nested resources exist",
        K.DEPENDENTS,
        "Delete the nested resources first; Azure may need 20 seconds to notice that they are gone.",
        "Can not delete resource before nested resources are deleted.",
        "Cannot delete resource while nested resources exist. Some existing nested resource IDs include: '<id>'",
    ),
    _text(
        r"marked for deletion",
        K.CONFLICT,
        "Wait until the resource is gone; the operator then makes it anew.",
        "Operation 'Update Gallery Image Version' is not on allowed on <version>; since it is marked for deletion.",
    ),
    _text(
        r"Parent resource .* not found",
        K.DEPENDENCY,
        "Wait for the parent resource, or create it; the operator tries again.",
        "Can not perform requested operation on nested resource. Parent resource '<gallery>' not found.",
    ),
    _text(
        r"Please (?:check|make sure the) source exists|storage account .* (?:was|is) not found",
        K.DEPENDENCY,
        "Create the source, in the same region as the image version, or correct its id; the operator tries again.",
        "Source <id> is not found. Please check source exists, and is in the same region as gallery image version "
        "being created",
        "Source was not found: <id>. Please make sure the source exists",
    ),
    _text(
        r"disk encryption set .* (?:was|is) not found",
        K.DEPENDENCY,
        "Create the disk encryption set, in the gallery's subscription and the region that it is for, or correct its "
        "id; the operator tries again.",
        "The disk encryption set <id> was not found",
    ),
    _text(
        r"is not available in .* region\. Please contact image owner",
        K.DEPENDENCY,
        "Replicate the source image to this region, or name another one; the operator tries again.",
        "The gallery image <id> is not available in <region> region. Please contact image owner to replicate to this "
        "region, or change your requested region.",
    ),
    _text(
        r"no latest image version exists",
        K.DEPENDENCY,
        "Name a version of the image, or wait until one is published that counts as latest; the operator tries again.",
        'There is no latest image version exists for "<id>"',
    ),
    _text(
        r"Gallery replication jobs failed in one or more regions",
        K.RETRY,
        "The operator removes the failed regions and adds them again, a bounded number of times.",
        # https://github.com/Azure/azure-cli/issues/15539
        "Gallery replication jobs failed in one or more regions. The failing regions' details are as follows: "
        "'{region:<region>, detail:Failed with internal server error.}'.",
    ),
)

_RIGHTS: tuple[TextRule, ...] = (
    _text(
        r"is not registered (?:with|for) (?:the )?feature",
        K.FORBIDDEN,
        "Register the feature that the message names once (az feature register --namespace Microsoft.Compute --name "
        "SIGSharing for direct sharing, which is a preview), wait until it is Registered, then az provider register "
        "--namespace Microsoft.Compute. Sharing by roleAssignments needs no feature.",
        # a test report in Azure/azure-rest-api-specs
        "Subscription '<id>' is not registered with the feature Microsoft.Compute/SIGSharing. Please register the "
        "subscription before retrying the call.",
    ),
)

_LIMITS: tuple[TextRule, ...] = (
    _text(
        r"gallery(?: image(?: version)?)? quota",
        K.QUOTA,
        "A subscription may have 100 galleries, 1,000 definitions and 10,000 versions in a region unless Azure grants "
        "more. Delete what is no longer needed (a definition's spec.retention can do that) or ask Azure for a higher "
        "quota; the operator tries again.",
        # the limits: https://learn.microsoft.com/azure/virtual-machines/azure-compute-gallery#limits; text inferred
        "Operation could not be completed as it results in exceeding the approved Gallery Image Version quota.",
    ),
    _text(
        r"\bquota\b|exceeding approved|limit .* (?:has been )?reached",
        K.QUOTA,
        "Ask Azure for a higher quota, or delete what is no longer used; the operator tries again.",
        # of Compute's cores
        "Operation could not be completed as it results in exceeding approved Total Regional Cores quota.",
    ),
    _text(
        r"exceeds the max(?:imum)? size",
        K.INVALID,
        "Make the disk smaller than the limit in the message, or use replicationMode Shallow.",
        "Replication failed in this region due to 'The GalleryImageVersion source resource size 2520 exceeds the max "
        "size 2048 supported",
    ),
    _text(
        r"of parameter .* is out of range",
        K.INVALID,
        "Set the field that the message names to a value in the range that it tells.",
        "The value <value> of parameter <property> is out of range. The value must be between <min> and <max>, "
        "inclusive",
    ),
)

_NAMES: tuple[TextRule, ...] = (
    _text(
        r"Gallery name is invalid",
        K.INVALID,
        "Make a new Gallery with a galleryName of letters, digits, '_' and '.', with no dash.",
        "Gallery name is invalid. Allowed characters are English alphanumeric characters, with underscores, and "
        "periods allowed in the middle, up to 80 characters total.",
    ),
    _text(
        r"invalid trailing characters|is invalid according to its validation rule|image version name is invalid|"
        r"Asset name .* is not valid",
        K.INVALID,
        _NAME,
        "The provided resource name <name> has these invalid trailing characters: <character>.",
        "The entity name <name> is invalid according to its validation rule: <pattern>",
        "The image version name is invalid. The image version name should follow Major(int).Minor(int).Patch(int) "
        "format",
        "Asset name galleryImage.properties.identifier.<property> is not valid. It cannot be empty.",
    ),
    _text(
        r"is not unique within the subscription",
        K.INVALID,
        "Another resource group of the subscription has a gallery of this name: make a new Gallery with another "
        "galleryName, or one with the resourceGroup of the gallery that exists and adoptionPolicy Adopt.",
        "The gallery name <name> is not unique within the subscription <id>. Please pick another gallery name",
    ),
    _text(
        r"already exists in location .* cannot be created in location",
        K.INVALID,
        "Azure never moves a resource to another region: name the region of the one that exists, or another name.",
        "The resource <name> already exists in location <region> in resource group <group>. A resource with the same "
        "name cannot be created in location <other region>. Please select a new resource name",
    ),
    _text(
        r"already exists\. Choose a different publisher, offer, sku",
        K.INVALID,
        "Choose another publisher, offer or sku: the three together are unique in a gallery.",
        "Gallery image: <name> identified by (publisher:<publisher>, offer:<offer>, sku:<sku>) already exists. Choose "
        "a different publisher, offer, sku combination.",
    ),
    _text(
        r"is not available for resource type",
        K.INVALID,
        "Correct the region's name, or ask Microsoft for access to the region.",
        "The provided location <region> is not available for resource type 'Microsoft.Compute/galleries'.",
    ),
)

_VALUES: tuple[TextRule, ...] = (
    _text(
        r"Changing property .* is not allowed|Adding new Data Disks or changing the LUN|"
        r"Cannot specify new data disk image encryption lun",
        K.INVALID,
        _IMMUTABLE,
        "Changing property 'galleryImage.properties.<property>' is not allowed",
        "Changing property 'galleryImageVersion.properties.storageProfile.<disk>.source.id' is not allowed",
        "Adding new Data Disks or changing the LUN of a Data Disk in an existing Image is not allowed",
        "Cannot specify new data disk image encryption lun [<number>] with a disk encryption set in region [<region>] "
        "for update gallery image version request.",
    ),
    _text(
        r"DeleteGalleryImageVersionBlockedBeforeEndOfLife|blockDeletionBeforeEndOfLife",
        K.INVALID,
        "Set blockDeletionBeforeEndOfLife to false (or take it out), or wait until endOfLifeDate has passed.",
        "DeleteGalleryImageVersionBlockedBeforeEndOfLife. Deletion of Gallery image version is not allowed because "
        "the image is enabled for blockDeletionBeforeEndOfLife and its endOfLifeDate has not reached yet",
    ),
    _text(
        r"EndOfLifeDate must be set to a future date",
        K.INVALID,
        "Set endOfLifeDate to a future date, or remove it.",
        "EndOfLifeDate must be set to a future date.",
    ),
    _text(
        r"Could not convert string to DateTime|Unable to parse datetime",
        K.INVALID,
        "Write the date as 2030-01-31T00:00:00Z.",
        "Could not convert string to DateTimeOffset: <value>. Path 'properties.<property>'",
        "Unable to serialize value: <value> as type: 'iso-8601'. Unable to parse datetime string <value>",
    ),
    _text(
        r"minimum value of .* must not be greater than the maximum",
        K.INVALID,
        "Set min of recommended.vCPUs or recommended.memory to at most its max.",
        "The minimum value of <property> must not be greater than the maximum value of <property>.",
    ),
    _text(
        r"must contain the location of image version",
        K.INVALID,
        "Add the gallery's region to targetRegions.",
        "Gallery image version publishing profile regions <regions> must contain the location of image version "
        "<region>",
    ),
    _text(
        r"Duplicate regions are not allowed",
        K.INVALID,
        "Name each region once in targetRegions, with its regionalReplicaCount.",
        "Duplicate regions are not allowed in target publishing regions",
    ),
    _text(
        r"ZRS storage account type is not supported",
        K.INVALID,
        "Name another storageAccountType for this region, such as Standard_LRS. That of a region which exists cannot "
        "be changed: remove the region, wait until it is gone, and add it again.",
        "ZRS storage account type is not supported in this region.",
    ),
    _text(
        r"storage account type does not match the storage account type in the existing",
        K.INVALID,
        "Set storageAccountType back, and name storageAccountType for each new region.",
        # https://github.com/Azure/azure-powershell/issues/9911
        "Global storage account type does not match the storage account type in the existing TargetRegion: '<region>'",
    ),
    _text(
        r"removing replicated locations|allowDeletionOfReplicatedLocations",
        K.INVALID,
        "Set safetyProfile.allowDeletionOfReplicatedLocations to true, or put the region back into targetRegions.",
        # inferred: what Azure says was not found
        "Removing replicated locations '<region>' is not allowed because allowDeletionOfReplicatedLocations is false.",
    ),
)

_ENCRYPTION: tuple[TextRule, ...] = (
    _text(
        r"disk encryption set .* must be in the same subscription",
        K.INVALID,
        "Make the disk encryption set in the gallery's subscription and the region that it is for, and name that.",
        "The disk encryption set '<id>' must be in the same subscription '<id>' as the gallery resource",
    ),
    _text(
        r"Encrypted source: .* different subscription",
        K.INVALID,
        "Copy the source to the gallery's subscription, or name one that no disk encryption set encrypts; a version's "
        "source is never changed, make a new one.",
        "Encrypted source: '<id>' is in a different subscription ID than the current gallery image version "
        "subscription '<id>'.",
    ),
    _text(
        r"A disk encryption set is required for disk",
        K.INVALID,
        "Name a disk encryption set for this disk in all regions, or in none.",
        "A disk encryption set is required for disk 'LUN <number>' in target region '<region>' since disk encryption "
        "set '<id>' is used for the corresponding disk in region '<region>'",
    ),
    _text(
        r"invalid lun \[|Duplicate luns",
        K.INVALID,
        "Name each LUN once in encryption.dataDiskImages, and only LUNs that the source has.",
        "An invalid lun [<number>] was specified in encryption.dataDiskImages. The lun must be one of the following "
        "values ['<numbers>']",
        "Duplicate luns '<number>' were specified in target region '<region>' encryption.dataDiskImages",
    ),
    _text(
        r"Encryption is not supported for source resource",
        K.INVALID,
        "Take encryption out of targetRegions, or make a new version of a disk, a snapshot, a virtual machine or a "
        "managed image.",
        "Encryption is not supported for source resource '<id>'. Please use a different source resource type which "
        "supports encryption or remove encryption properties",
    ),
    _text(
        r"diskEncryptionSetId is invalid",
        K.INVALID,
        "Write diskEncryptionSetId as the ARM id of a disk encryption set.",
        "The value of parameter galleryArtifactVersion.properties.publishingProfile.targetRegions.encryption."
        "osDiskImage.diskEncryptionSetId is invalid",
    ),
)

_SOURCES: tuple[TextRule, ...] = (
    _text(
        r"cookie value in VHD footer|unsupported virtual size|must be a multiple of MiB",
        K.INVALID,
        "Upload a fixed VHD whose virtual size is a whole number of MiB and whose last 512 bytes are its footer.",
        # https://github.com/osbuild/osbuild-composer/issues/111
        "The specified cookie value in VHD footer indicates that disk '<name>' with blob <url> is not a supported VHD.",
        # https://learn.microsoft.com/azure/virtual-machines/linux/create-upload-generic
        "The VHD <url> has an unsupported virtual size of <number> bytes. The size must be a whole number (in MBs).",
        # https://github.com/microsoft/AzureStorageExplorer/issues/3029
        "The upload size in bytes <number> - 512 bytes for the VHD footer must be a multiple of MiB.",
    ),
    _text(
        r"security type .* is not supported for the source",
        K.INVALID,
        "Make the version of a VHD in a page blob (a VhdImport with destination.pageBlob), of a managed image or of "
        "another version, or use a definition with SecurityType Standard.",
        # https://github.com/hashicorp/packer-plugin-azure/issues/304
        "The security type '<type>' is not supported for the source id '<id>'.",
    ),
    _text(
        r"cannot point to same blob|Duplicated source ids|Duplicated lun",
        K.INVALID,
        "Give each disk a source and a lun of its own.",
        "OSDiskImage and DataDiskImage cannot point to same blob <url>",
        "Duplicated source ids are found in the input disks. Source id should be unique for each disk",
        "Duplicated lun numbers have been detected in the input data disks. Lun number must be unique for each data "
        "disk",
    ),
    _text(
        r"source can only be specified either directly|One and only one source type",
        K.INVALID,
        "Make a new version whose source names either an image as a whole or an osDisk with its dataDisks.",
        "The gallery artifact version source can only be specified either directly under storageProfile or within "
        "individual OS or data disks. One and only one source type (user image, snapshot, disk, virtual machine) can "
        "be provided",
    ),
    _text(
        r"must either be a managed image|must be a managed disk or snapshot|Expect fully qualified resource Id|"
        r"cannot contain an ephemeral OS disk|must be created from Managed Disks|cannot contain disk .* UltraSSD|"
        r"different plan",
        K.INVALID,
        "Name another source, or change it as the message says; a version's source is never changed, make a new one.",
        "The source id: <id> must either be a managed image, virtual machine or another gallery image version",
        "The source id: <id> must be a managed disk or snapshot",
        "Property id <id> at path 'properties.storageProfile.<disk>.source.id' is invalid. Expect fully qualified "
        "resource Id",
        "Source virtual machine <id> cannot contain an ephemeral OS disk",
        "Source virtual machine <id> must be created from Managed Disks",
        "Source virtual machine <id> cannot contain disk ['<id>'] stored in an UltraSSD account type",
        "The resource with id <id> has a different plan ['<plan>'] than the parent gallery image plan ['null']",
    ),
    _text(
        r"different (?:Hypervisor generation|OS type|architecture)|since the OS State in the parent",
        K.INVALID,
        "Use a source that fits the definition's osType, osState, hyperVGeneration and architecture.",
        "The resource with id '<id>' has a different Hypervisor generation ['V1'] than the parent gallery image "
        "Hypervisor generation ['V2']",
        "The resource with id '<id>' has a different OS type ['Windows'] than the parent gallery image OS type "
        "generation ['Linux']",
        "Cannot create Gallery Image Version from: <id> since the OS State in the parent gallery image (<state>) is "
        "not <state>",
    ),
)

TEXTS: tuple[TextRule, ...] = (*_PASSING, *_RIGHTS, *_LIMITS, *_NAMES, *_VALUES, *_ENCRYPTION, *_SOURCES)
"""Tried in this order when the code is vague, unknown or missing."""
