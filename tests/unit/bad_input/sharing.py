"""Rules of sharing (section 10 of the facts)."""

from __future__ import annotations

from tests.unit.bad_input.proofs import Azure, Crd, Kept, Schema, Told, rule

from gallery_operator.azure.error_kinds import ErrorKind as K

GALLERY = "Gallery"
GROUPS = "Gallery.spec.sharingProfile.groups"
SHARING = "integration/reconcilers/test_sharing.py"

RULES = [
    rule(
        "10-permissions",
        "Private, Groups or Community; Groups only from the beginning",
        Schema("Gallery.spec.sharingProfile.permissions", "enum", ["Private", "Groups", "Community"]),
        Crd(GALLERY, "sharing: private to direct"),
        Crd(GALLERY, "sharing: nothing to direct"),
        Crd(GALLERY, "sharing: community to direct"),
        Crd(GALLERY, "sharing: direct, removed"),
        Kept("unit/planning/test_sharing.py", "test_from_any_state_to_any_other"),
        Told("PropertyChangeNotAllowed", SHARING, "test_direct_sharing_of_a_gallery_that_has_been_private"),
    ),
    rule(
        "10-preview",
        "direct sharing needs the feature SIGSharing",
        Azure(
            "Subscription 's' is not registered with the feature Microsoft.Compute/SIGSharing. Please register the "
            "subscription before retrying the call.",
            K.FORBIDDEN,
            "az feature register",
            "BadRequest",
        ),
        Azure("x", K.FORBIDDEN, "az feature register", "SubscriptionNotRegisteredForFeature", 409),
    ),
    rule(
        "10-groups",
        "at most 30 subscriptions and 5 tenants, by id, each once, and only with Groups",
        Schema(f"{GROUPS}.subscriptions", "maxItems", 30),
        Schema(f"{GROUPS}.tenants", "maxItems", 5),
        Crd(GALLERY, "sharing: a subscription by name"),
        Crd(GALLERY, "sharing: a tenant by domain"),
        Crd(GALLERY, "sharing: a subscription twice"),
        Crd(GALLERY, "sharing: groups of a private gallery"),
        Crd(GALLERY, "sharing: groups of a community gallery"),
    ),
    rule(
        "10-encrypted",
        "a gallery that is shared directly has no versions encrypted with a disk encryption set",
        Told(
            "EncryptedInSharedGallery",
            "integration/reconcilers/test_publishing.py",
            "test_a_gallery_that_is_shared_directly_has_no_encrypted_versions",
        ),
    ),
    rule(
        "10-community",
        "a community gallery names its publisher, and its public name stays",
        Crd(GALLERY, "sharing: community without what everybody sees"),
        Crd(GALLERY, "sharing: communityGalleryInfo of a gallery shared directly"),
        Crd(GALLERY, "sharing: another public name"),
        Kept(SHARING, "test_community_there_and_back"),
    ),
    rule(
        "10-budget",
        "ten share calls in three minutes",
        Kept(SHARING, "test_direct_sharing_with_the_fewest_calls"),
        Kept(SHARING, "test_a_throttled_share_call"),
    ),
    rule(
        "10-shared-deletion",
        "a shared gallery becomes private before it is deleted",
        Kept(SHARING, "test_a_shared_gallery_is_made_private_before_it_is_deleted"),
    ),
    *(
        rule(
            f"10-principal-{kind}",
            "a role is given to the object id of a principal, once, by a role that exists",
            Crd(kind, "role assignment: a mail address"),
            Crd(kind, "role assignment: twice"),
            Crd(kind, "role assignment: role by name and by id"),
            Crd(kind, "role assignment: role by bare GUID"),
            Schema(f"{kind}.spec.roleAssignments", "maxItems", 64),
        )
        for kind in ("Gallery", "GalleryImageDefinition")
    ),
    rule(
        "10-principal-new",
        "a principal that is new is not known everywhere yet; after ten minutes it is wrong",
        Kept(SHARING, "test_a_principal_that_is_not_known_yet"),
        Kept("unit/planning/test_roles.py", "test_a_principal_is_overdue_after_ten_minutes"),
        Azure(
            "Principal x does not exist in the directory t.",
            K.DEPENDENCY,
            "object id, not the application id",
            "PrincipalNotFound",
        ),
    ),
    rule(
        "10-principal-type",
        "principalType is what the principal is",
        Azure(
            "The PrincipalId 'x' has type 'User' , which is different from specified PrinciaplType 'Group'.",
            K.INVALID,
            "Set principalType",
            "UnmatchedPrincipalType",
        ),
        Azure("A valid principal ID must be provided, not 'x'.", K.INVALID, "principalId", "InvalidPrincipalId"),
    ),
    rule(
        "10-role",
        "the role exists",
        Azure(
            "The specified role definition with ID 'x' does not exist.",
            K.INVALID,
            "Name a role",
            "RoleDefinitionDoesNotExist",
        ),
    ),
    rule(
        "10-assigned",
        "the same role is not given twice to one principal",
        Kept("unit/planning/test_roles.py", "test_names_do_not_depend_on_spelling"),
        Kept(SHARING, "test_what_others_assigned_is_enough_and_stays"),
        Azure("The role assignment already exists.", K.INVALID, "Nothing to do", "RoleAssignmentExists", 409),
    ),
    rule(
        "10-assignments",
        "a subscription has at most 4000 role assignments",
        Azure(
            "No more role assignments can be created.",
            K.QUOTA,
            "Remove role assignments",
            "RoleAssignmentLimitExceeded",
        ),
    ),
]
