"""Codes of Azure's that are recorded or published (section 9 of the facts)."""

from __future__ import annotations

from tests.unit.bad_input.proofs import Azure, Kept, Told, rule

from gallery_operator.azure.error_kinds import ErrorKind as K

RULES = [
    rule(
        "9-absent",
        "what an object stands for is made when it is missing",
        Kept("integration/reconcilers/test_versions.py", "test_what_somebody_deleted_in_azure_is_made_again"),
        Azure(
            "The Resource 'Microsoft.Compute/snapshots/d1' under resource group 'rg' was not found.",
            K.NOT_FOUND,
            "Check the name",
            "ResourceNotFound",
            404,
        ),
        Azure("Resource disk is not found.", K.NOT_FOUND, "Check the name", "NotFound", 404),
    ),
    rule(
        "9-parent-absent",
        "a parent is waited for",
        Told("DefinitionNotFound", "integration/reconcilers/test_trouble.py", "test_missing_parents_are_named"),
        Azure(
            "Can not perform requested operation on nested resource. Parent resource 'g' not found.",
            K.DEPENDENCY,
            "parent resource",
            "ParentResourceNotFound",
            404,
        ),
        Azure(
            "Can not perform requested operation on nested resource. Parent resource 'g' not found.",
            K.DEPENDENCY,
            "parent resource",
            "NotFound",
            404,
        ),
        Azure(
            "Resource group 'rg' could not be found.",
            K.DEPENDENCY,
            "Create the resource group",
            "ResourceGroupNotFound",
            404,
        ),
    ),
    rule(
        "9-forbidden",
        "rights are given outside the cluster, and looked for now and then",
        Told(
            "AuthorizationFailed",
            "integration/reconcilers/test_sharing.py",
            "test_share_is_refused",
        ),
        Kept("integration/reconcilers/test_trouble.py", "test_forbidden_stalls_and_is_seen_when_the_role_is_granted"),
        Azure(
            "The client 'x' with object id 'y' does not have authorization to perform action "
            "'Microsoft.Compute/galleries/write' over scope '/subscriptions/s' or the scope is invalid. If access was "
            "recently granted, please refresh your credentials.",
            K.FORBIDDEN,
            "up to 10 minutes",
            "AuthorizationFailed",
            403,
        ),
    ),
    rule(
        "9-immutable",
        "a property that never changes is set back by a person",
        Azure(
            "Changing property 'galleryImageVersion.properties.publishingProfile.source.managedImage.id' is not "
            "allowed.",
            K.INVALID,
            "set it back",
            "PropertyChangeNotAllowed",
            409,
        ),
    ),
    rule(
        "9-vhd",
        "a VHD is fixed, of whole MiB, with a footer",
        Told(
            "InvalidVhd",
            "integration/reconcilers/test_destinations.py",
            "test_disk_that_azure_refuses_is_not_left_behind",
        ),
        *(
            Azure(text, K.INVALID, "fixed VHD", code)
            for code, text in (
                (
                    "InvalidVhd",
                    "The specified cookie value in VHD footer indicates that disk 'abcd' with blob https://x is not a "
                    "supported VHD. Disk is expected to have cookie value 'conectix'.",
                ),
                (
                    "InvalidParameter",
                    "The specified cookie value in VHD footer indicates that disk 'abcd' with blob https://x is not a "
                    "supported VHD. Disk is expected to have cookie value 'conectix'.",
                ),
                (
                    "BadRequest",
                    "The upload size in bytes 44716382720 - 512 bytes for the VHD footer (44716382208 in this case) "
                    "must be a multiple of MiB.",
                ),
                (
                    "InvalidParameter",
                    "The VHD http://x has an unsupported virtual size of 21475270656 bytes. The size must be a whole "
                    "number (in MBs).",
                ),
            )
        ),
    ),
    rule(
        "9-throttled",
        "too many requests: the operator waits as long as Azure asks",
        Kept("integration/reconcilers/test_trouble.py", "test_throttling_is_heeded"),
        Azure(
            "The server rejected the request because too many requests have been received for this subscription.",
            K.THROTTLED,
            "waits",
            "OperationNotAllowed",
            429,
        ),
        Azure(
            "Number of requests for subscription 's' and operation 'o' exceeded the backend storage limit. Please try "
            "again after '6' seconds.",
            K.THROTTLED,
            "waits",
            "SubscriptionRequestsThrottled",
            429,
        ),
    ),
    rule(
        "9-passing",
        "Azure's own trouble passes",
        Kept("integration/reconcilers/test_trouble.py", "test_passing_trouble_is_overcome"),
        Azure("Failed with internal server error.", K.RETRY, "tries again", "InternalServerError", 500),
        Azure("x", K.RETRY, "tries again", "NobodyHasSeenIt", 503),
        Azure("x", K.RETRY, "tries again", "NobodyHasSeenIt", None),
    ),
    rule(
        "9-concurrent",
        "a conflict that nobody knows is waited for",
        Azure("Another operation is in progress", K.CONFLICT, "tries again", "NobodyHasSeenIt", 409),
    ),
    rule(
        "9-unknown",
        "a request that Azure calls wrong, with a code that nobody knows, is for a person",
        Azure("x", K.INVALID, "Correct the field", "NobodyHasSeenIt"),
        Azure(
            "Parameter 'galleryImageVersion.properties.storageProfile' is not allowed.", K.INVALID, "Correct the field"
        ),
    ),
    rule(
        "9-compute-quota",
        "quotas are raised, or room is made, outside the cluster",
        Azure(
            "Operation could not be completed as it results in exceeding approved Total Regional Cores quota.",
            K.QUOTA,
            "higher quota",
            "OperationNotAllowed",
            409,
        ),
    ),
]
