"""Rules for galleries and definitions: names, limits, properties (sections 3 and 4 of the facts)."""

from __future__ import annotations

from tests.unit.bad_input.proofs import Azure, Crd, Kept, Schema, Told, rule

from gallery_operator.azure.error_kinds import ErrorKind as K

GALLERY, DEFINITION, VERSION = "Gallery", "GalleryImageDefinition", "ImageVersion"

RULES = [
    rule(
        "3-gallery-name",
        "at most 80 characters: letters, digits, '_' and '.'; no dash; letter or digit at both ends",
        Crd(GALLERY, "object name with a dash"),
        Crd(GALLERY, "object name with 81 characters"),
        Crd(GALLERY, "galleryName with a dash"),
        Crd(GALLERY, "galleryName that ends with a dot"),
        Schema("Gallery.spec.galleryName", "maxLength", 80),
        Azure("Gallery name is invalid. Allowed characters are English alphanumeric characters", K.INVALID, "no dash"),
        Azure(
            "The provided resource name g. has these invalid trailing characters: '.'.",
            K.INVALID,
            "Correct the name",
        ),
    ),
    rule(
        "3-gallery-unique",
        "the name is unique within the subscription",
        Told(
            "TargetInUse", "integration/reconcilers/test_trouble.py", "test_older_of_two_objects_with_one_target_wins"
        ),
        Told(
            "AlreadyExists",
            "integration/reconcilers/test_trouble.py",
            "test_what_exists_is_not_touched_unless_it_is_to_be_adopted",
        ),
        Azure(
            "The gallery name g is not unique within the subscription s. Please pick another gallery name",
            K.INVALID,
            "another galleryName",
            "Conflict",
            409,
        ),
    ),
    rule(
        "3-gallery-name-unique-by-region",
        "a resource of that name does not exist in another region",
        Azure(
            "The resource 'g' already exists in location 'westeurope' in resource group 'r'. A resource with the same "
            "name cannot be created in location 'eastus2'. Please select a new resource name.",
            K.INVALID,
            "same region as the existing resource",
            "InvalidResourceLocation",
            409,
        ),
        Azure(
            "The resource 'g' already exists in location 'westeurope' in resource group 'r'. A resource with the same "
            "name cannot be created in location 'eastus2'. Please select a new resource name.",
            K.INVALID,
            "name the region of the one that exists",
            "Conflict",
            409,
        ),
    ),
    rule(
        "3-reserved-name",
        "some words are Azure's own",
        Azure(
            "The resource name g or a part of the name is a trademarked or reserved word.",
            K.INVALID,
            "another name in Azure",
            "ReservedResourceName",
        ),
    ),
    rule(
        "3-definition-name",
        "at most 80 characters: letters, digits, '_', '-' and '.'; letter or digit at both ends",
        Crd(DEFINITION, "object name with 81 characters"),
        Crd(DEFINITION, "bad name in Azure"),
        Schema("GalleryImageDefinition.spec.imageDefinitionName", "maxLength", 80),
        Azure("The entity name x. is invalid according to its validation rule: ^[^_\\W]", K.INVALID, "the name"),
    ),
    rule(
        "3-version-name",
        "Major.Minor.Patch, each an int32",
        *(Crd(VERSION, f"version {text}") for text in ("1.0", "1.2.3.4", "v1.2.3", "1.2.3-rc1", "1.2.2147483648")),
        Azure(
            "The image version name is invalid. The image version name should follow Major(int).Minor(int).Patch(int) "
            "format, for e.g: 1.0.0, 2018.12.1 etc",
            K.INVALID,
            "make a new object",
        ),
    ),
    rule(
        "3-identifier",
        "publisher at most 128 characters, offer and sku 64; letters, digits, '-', '.', '_'; not ending in '.'",
        *(Crd(DEFINITION, f"bad {part}") for part in ("publisher", "offer", "sku")),
        Schema("GalleryImageDefinition.spec.identifier.publisher", "maxLength", 128),
        Schema("GalleryImageDefinition.spec.identifier.publisher", "minLength", 1),
        Schema("GalleryImageDefinition.spec.identifier.offer", "maxLength", 64),
        Schema("GalleryImageDefinition.spec.identifier.sku", "maxLength", 64),
        Azure(
            "Asset name galleryImage.properties.identifier.offer is not valid. It cannot be empty.",
            K.INVALID,
            "Correct the name",
        ),
    ),
    rule(
        "3-identifier-unique",
        "publisher, offer and sku together are unique in a gallery",
        Azure(
            "Gallery image: a identified by (publisher:p, offer:o, sku:s) already exists. Choose a different "
            "publisher, offer, sku combination.",
            K.INVALID,
            "unique in a gallery",
            "Conflict",
            409,
        ),
    ),
    rule(
        "3-public-name-prefix",
        "5 to 16 letters and digits",
        Crd(GALLERY, "sharing: public name with a dash"),
        Schema("Gallery.spec.sharingProfile.communityGalleryInfo.publicNamePrefix", "minLength", 5),
        Schema("Gallery.spec.sharingProfile.communityGalleryInfo.publicNamePrefix", "maxLength", 16),
    ),
    rule(
        "3-quota",
        "100 galleries, 1,000 definitions, 10,000 versions in a subscription and region",
        Told(
            "QuotaAlmostExhausted",
            "integration/reconcilers/test_lifecycle.py",
            "test_quota_is_told_before_the_wall_and_explained_at_it",
        ),
        Azure(
            "Operation could not be completed as it results in exceeding the approved Gallery Image Version quota.",
            K.QUOTA,
            "spec.retention",
            "OperationNotAllowed",
            409,
        ),
    ),
    rule(
        "3-move",
        "galleries are not moved between resource groups or subscriptions, nor regions",
        *(Crd(GALLERY, f"{name} changed") for name in ("subscriptionId", "resourceGroup", "location", "galleryName")),
        *(Crd(DEFINITION, f"{name} changed") for name in ("galleryRef", "gallery", "imageDefinitionName")),
        *(Crd(VERSION, f"{name} changed") for name in ("definitionRef", "version")),
    ),
    rule(
        "4-location",
        "galleries are not in every region",
        Crd(GALLERY, "bad region"),
        Azure(
            "The provided location 'x' is not available for resource type 'Microsoft.Compute/galleries'.",
            K.INVALID,
            "Name a region",
            "LocationNotAvailableForResourceType",
        ),
        Azure(
            "The provided location 'x' is not available for resource type 'Microsoft.Compute/galleries'.",
            K.INVALID,
            "region's name",
            "BadRequest",
        ),
    ),
    rule(
        "4-identity",
        "user-assigned identities go with a type that has them",
        Crd(GALLERY, "identity: of the user, unnamed"),
        Crd(GALLERY, "identity: of the system, but named"),
        Crd(GALLERY, "identity: by name"),
    ),
    rule(
        "4-definition-values",
        "osType, osState, hyperVGeneration and architecture have few values",
        Schema("GalleryImageDefinition.spec.osType", "enum", ["Linux"]),
        Schema("GalleryImageDefinition.spec.osState", "enum", ["Generalized", "Specialized"]),
        Schema("GalleryImageDefinition.spec.hyperVGeneration", "enum", ["V1", "V2"]),
        Schema("GalleryImageDefinition.spec.architecture", "enum", ["x64", "Arm64"]),
        Crd(DEFINITION, "Arm64 with BIOS"),
    ),
    rule(
        "4-features",
        "known features have known values; secure ones need UEFI; each is named once",
        Crd(DEFINITION, "SecurityType TrustedLaunchs"),
        Crd(DEFINITION, "DiskControllerTypes IDE"),
        Crd(DEFINITION, "IsHibernateSupported yes"),
        Crd(DEFINITION, "IsAcceleratedNetworkSupported 1"),
        Crd(DEFINITION, "feature named twice"),
        Crd(DEFINITION, "feature named twice in two spellings"),
        Crd(DEFINITION, "feature since 2.0"),
        Crd(DEFINITION, "Trusted Launch with BIOS"),
        Kept("unit/planning/test_definition.py", "test_a_definition_without_security_type_is_standard"),
        Kept("unit/planning/test_definition.py", "test_an_update_ends_at_the_spec_and_stays_there"),
    ),
    rule(
        "4-ranges",
        "min is at most max",
        Crd(DEFINITION, "range upside down"),
        Crd(DEFINITION, "range of processors"),
        Azure(
            "The minimum value of memory must not be greater than the maximum value of memory.",
            K.INVALID,
            "recommended.memory",
        ),
    ),
    rule(
        "4-definition-immutable",
        "osType, osState, hyperVGeneration, architecture, identifier, purchasePlan and eula never change",
        *(
            Crd(DEFINITION, f"{name} changed")
            for name in (
                "osType",
                "osState",
                "hyperVGeneration",
                "architecture",
                "identifier",
                "purchasePlan",
                "eula",
            )
        ),
        Told("ImmutableFieldDiffers", "integration/reconcilers/test_trouble.py", "test_immutable_difference_is_named"),
        Azure(
            "Changing property 'galleryImage.properties.eula' is not allowed.",
            K.INVALID,
            "set it back",
            "PropertyChangeNotAllowed",
            409,
        ),
    ),
    rule(
        "4-dates",
        "dates are ISO 8601, and end of life is in the future",
        Crd(VERSION, "date without zone"),
        Told(
            "EndOfLifeInPast",
            "integration/reconcilers/test_definitions.py",
            "test_a_date_that_has_passed_is_refused_before_azure_is_asked",
        ),
        Azure("EndOfLifeDate must be set to a future date.", K.INVALID, "a future date"),
        Azure(
            "Could not convert string to DateTimeOffset: x. Path 'properties.endOfLifeDate'", K.INVALID, "2030-01-31"
        ),
    ),
    rule(
        "4-tags",
        "at most 50 tags; names have at most 512 characters and none of < > % & \\ ? /, values 256",
        *(Crd(kind, "tags: slash") for kind in (GALLERY, DEFINITION, VERSION, "VhdImport")),
        *(Crd(kind, "tags: 513 characters") for kind in (GALLERY, DEFINITION, VERSION, "VhdImport")),
        Schema("Gallery.spec.tags", "maxProperties", 40),
        Schema("Gallery.spec.tags.[]", "maxLength", 256),
    ),
]
