"""The one table from Azure's error codes to what they mean and what the user does next.

Sources: recorded answers of the service, its published troubleshooting table for shared images, and issues that quote
bodies; codes never seen in a body are left out, because an unknown code is retryable by its HTTP status anyway.
Texts, for codes that say too little, are in :mod:`gallery_operator.azure.error_texts`.
"""

from gallery_operator.azure.error_kinds import ErrorKind
from gallery_operator.azure.error_meanings import Meaning, rows
from gallery_operator.azure.error_table_roles import ROLE_ASSIGNMENTS

K = ErrorKind


_FIX_SPEC = "Correct the field that the message names; the operator tries again when the object changes."
_WAIT = "Nothing to do: the operator tries again."
_ROLE = (
    "Give the client that the message names a role that allows this action on that scope or a parent of it; a new role "
    "assignment takes up to 10 minutes."
)
_SECRET = "Create a new client secret and put it into the key AZURE_CLIENT_SECRET of the credential."  # noqa: S105
_FEDERATION = (
    "Create a federated credential on the identity for the operator's service account: issuer as the cluster's OIDC "
    "issuer URL including a trailing slash, subject system:serviceaccount:<namespace>:<name>, audience "
    "api://AzureADTokenExchange."
)
_IDENTITY = "Check AZURE_TENANT_ID and AZURE_CLIENT_ID of the credential."
_SAS = (
    "Check that the storage account allows this identity and this address: role Storage Blob Data Contributor, and "
    "the account's network rules."
)


TABLE: dict[str, Meaning] = {
    # --- not there --------------------------------------------------------------------------------------------
    **rows(K.NOT_FOUND, "Check the name; the operator looks again.", "ResourceNotFound", "NotFound", "BlobNotFound"),
    **rows(
        K.DEPENDENCY,
        "Create the resource group, or correct its name; the operator tries again.",
        "ResourceGroupNotFound",
    ),
    **rows(
        K.DEPENDENCY,
        "Wait for the parent resource, or create it; the operator tries again.",
        "ParentResourceNotFound",
    ),
    **rows(
        K.DEPENDENCY,
        "Replicate the source image to this region, or name another region.",
        "GalleryImageNotFound",
    ),
    **rows(K.DEPENDENCY, "Create the blob container; the operator never creates one.", "ContainerNotFound"),
    **rows(
        K.DEPENDENCY,
        "Check the id of the storage account; the operator tries again.",
        "StorageAccountNotFound",
    ),
    **rows(
        K.FORBIDDEN,
        "Check the subscription id, and that the identity has a role in that subscription.",
        "SubscriptionNotFound",
        "InvalidSubscriptionId",
    ),
    # --- parents and children -----------------------------------------------------------------------------------
    **rows(
        K.DEPENDENTS,
        "Delete the nested resources first; Azure may need 20 seconds to notice that they are gone.",
        "CannotDeleteResource",
    ),
    **rows(K.DEPENDENTS, "Delete the blob's snapshots first; the operator did not make them.", "SnapshotsPresent"),
    # --- immutable ------------------------------------------------------------------------------------------------
    **rows(
        K.INVALID,
        "Azure does not let this property change: set it back, or make a new object with another name or version.",
        "PropertyChangeNotAllowed",
    ),
    **rows(
        K.INVALID,
        "Set blockDeletionBeforeEndOfLife to false (or take it out), or wait until endOfLifeDate has passed.",
        "DeleteGalleryImageVersionBlockedBeforeEndOfLife",
    ),
    # --- who asks -------------------------------------------------------------------------------------------------
    **rows(K.FORBIDDEN, _ROLE, "AuthorizationFailed", "LinkedAuthorizationFailed", "LinkedAccessCheckFailed"),
    **rows(
        K.FORBIDDEN,
        "Give the identity the role Storage Blob Data Contributor on the storage account or the container (and "
        "Storage Blob Delegator on the account); a new role assignment takes up to 10 minutes.",
        "AuthorizationPermissionMismatch",
        "InsufficientAccountPermissions",
    ),
    **rows(
        K.FORBIDDEN,
        "Allow the address of the cluster in the storage account's network rules, or use a private endpoint.",
        "AuthorizationFailure",
    ),
    **rows(
        K.FORBIDDEN,
        "Change the policy that the message names, ask for an exemption, or change the spec so that it complies.",
        "RequestDisallowedByPolicy",
        "RequestDisallowedByAzure",
    ),
    **rows(K.FORBIDDEN, "Remove the lock that the message names.", "ScopeLocked"),
    **rows(K.FORBIDDEN, "Re-enable the subscription: Azure made it read-only.", "ReadOnlyDisabledSubscription"),
    **rows(
        K.FORBIDDEN,
        "Register the resource provider once: az provider register --namespace Microsoft.Compute (or the one that the "
        "message names).",
        "MissingSubscriptionRegistration",
        "MissingRegistrationForLocation",
    ),
    **rows(
        K.FORBIDDEN,
        "Register the feature that the message names once: az feature register, then az provider register.",
        "SubscriptionNotRegisteredForFeature",
    ),
    **rows(
        K.FORBIDDEN,
        "Remove the immutability policy or legal hold of the container, or use another container.",
        "BlobImmutableDueToPolicy",
    ),
    **rows(K.FORBIDDEN, "Enable the storage account.", "AccountIsDisabled"),
    **rows(
        K.UNAUTHENTICATED,
        "Check the tenant of the credential: the token is for another tenant than the subscription's.",
        "InvalidAuthenticationTokenTenant",
    ),
    **rows(
        K.UNAUTHENTICATED,
        "Check AZURE_RESOURCE_MANAGER_AUDIENCE and AZURE_AUTHORITY_HOST: Azure does not accept the token.",
        "InvalidAuthenticationToken",
        "InvalidAuthenticationTokenAudience",
        "AuthenticationFailedInvalidHeader",
    ),
    **rows(K.UNAUTHENTICATED, _WAIT, "ExpiredAuthenticationToken"),
    **rows(K.UNAUTHENTICATED, _SAS, "AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation"),
    # --- Entra ID (documented AADSTS codes) -----------------------------------------------------------------------
    **rows(K.UNAUTHENTICATED, _SECRET, "AADSTS7000215", "AADSTS7000222", "AADSTS7000218"),
    **rows(K.UNAUTHENTICATED, _IDENTITY, "AADSTS700016", "AADSTS90002", "AADSTS900023", "AADSTS53003"),
    **rows(K.UNAUTHENTICATED, "Enable the application in Entra ID.", "AADSTS7000112"),
    **rows(
        K.UNAUTHENTICATED, _FEDERATION, "AADSTS70021", "AADSTS700211", "AADSTS700212", "AADSTS700213", "AADSTS700214"
    ),
    **rows(
        K.UNAUTHENTICATED,
        "Check that the projected service account token is renewed: the one that was sent has expired.",
        "AADSTS700024",
    ),
    **rows(
        K.UNAUTHENTICATED,
        "Register the certificate's public part with the application, and put the private part into the credential.",
        "AADSTS700027",
    ),
    **rows(
        K.UNAUTHENTICATED,
        "Check AZURE_RESOURCE_MANAGER_AUDIENCE: the tenant does not know that resource.",
        "AADSTS500011",
    ),
    **rows(K.RETRY, _WAIT, "AADSTS90033", "temporarily_unavailable"),
    # --- what was asked -------------------------------------------------------------------------------------------
    **rows(
        K.INVALID,
        _FIX_SPEC,
        "InvalidParameter",
        "BadRequest",
        "InvalidRequestContent",
        "InvalidRequestFormat",
        "InvalidResourceName",
        "InvalidResource",
        "LocationRequired",
        "PropertyNotSettable",
        "InvalidInput",
        "InvalidUri",
    ),
    **rows(
        K.INVALID,
        "Azure keeps this name, or a word in it, for itself: make a new object with another name in Azure.",
        "ReservedResourceName",
    ),
    **rows(
        K.INVALID,
        "Name a region where the service offers this, and the same region as the existing resource has.",
        "LocationNotAvailableForResourceType",
        "InvalidResourceLocation",
        "InvalidLocation",
        "InvalidResourceGroupLocation",
        "SkuNotAvailable",
        "NotAvailableForSubscription",
    ),
    **rows(
        K.INVALID,
        "Upload a fixed VHD whose virtual size is a whole number of MiB and whose last 512 bytes are its footer.",
        "InvalidVhd",
    ),
    **rows(
        K.INVALID,
        "This cloud does not know the resource type or API version; use a version of the operator made for it.",
        "InvalidResourceType",
        "NoRegisteredProviderFound",
        "InvalidApiVersionParameter",
        "InvalidResourceNamespace",
    ),
    **rows(
        K.INVALID,
        "Set GALLERY_OPERATOR_STORAGE_API_VERSION to a version that the storage service knows.",
        "InvalidHeaderValue",
        "FeatureVersionMismatch",
        "UnsupportedHeader",
    ),
    **rows(
        K.INVALID,
        "Name another blob or remove the existing one: it is not a page blob.",
        "InvalidBlobType",
        "BlobTypeNotSupported",
    ),
    **rows(
        K.INVALID,
        "Use a storage account that allows page blobs (general purpose, without hierarchical namespace).",
        "PageBlobsNotSupported",
        "UnsupportedOperation",
    ),
    # --- at the same time -----------------------------------------------------------------------------------------
    **rows(
        K.CONFLICT,
        _WAIT,
        "Conflict",
        "AnotherOperationInProgress",
        "OperationPreempted",
        "OperationNotAllowed",
        "ResourceGroupBeingDeleted",
        "ContainerBeingDeleted",
        "AccountBeingCreated",
        "ConcurrentUpdateError",
        "LeaseAlreadyPresent",
        "LeaseIdMissing",
        "LeaseIdMismatchWithBlobOperation",
        "PendingCopyOperation",
        "Canceled",
    ),
    **ROLE_ASSIGNMENTS,
    # --- limits ---------------------------------------------------------------------------------------------------
    **rows(
        K.QUOTA,
        "Ask Azure for a higher quota, or delete what is no longer used; the operator tries again.",
        "QuotaExceeded",
        "ResourceQuotaExceeded",
        "ResourceCountExceedsLimit",
    ),
    **rows(
        K.THROTTLED,
        "Nothing to do: the operator waits as long as Azure asks.",
        "TooManyRequests",
        "SubscriptionRequestsThrottled",
        "ResourceRequestsThrottled",
        "ServerBusy",
        "AccountLimitExceeded",
    ),
    # --- Azure's own trouble --------------------------------------------------------------------------------------
    **rows(
        K.RETRY,
        _WAIT,
        "InternalServerError",
        "InternalError",
        "InternalExecutionError",
        "InternalOperationError",
        "ServerTimeout",
        "ServiceUnavailable",
        "GatewayTimeout",
        "RetryableError",
        "OperationTimedOut",
        "AllocationFailed",
        "SharedGalleryRetryableError",
    ),
}
"""Code, as Azure spells it, to meaning."""

CODES: dict[str, Meaning] = {code.lower(): meaning for code, meaning in TABLE.items()}
"""Lower-case code to meaning. Azure spells a code the same everywhere, but comparing without case costs nothing."""

VAGUE_CODES = frozenset(
    {
        "invalidparameter",
        "badrequest",
        "conflict",
        "operationnotallowed",
        "invalidrequestcontent",
        "invalidrequestformat",
        "invalidresource",
        "invalidinput",
        "canceled",
        "notfound",
    }
)
"""Codes used for many things: the text decides first, a more telling nested code second."""


def meaning_of_status(status: int | None) -> Meaning:
    """Say what an HTTP status means when neither code nor text is known.

    Args:
        status: The status of the answer, or None without one.

    Returns:
        The meaning; retryable unless the status says that the request itself is wrong.
    """
    match status:
        case 400 | 405 | 411 | 413 | 414 | 415 | 416 | 422:
            return Meaning(K.INVALID, _FIX_SPEC)
        case 401:
            return Meaning(K.UNAUTHENTICATED, _IDENTITY)
        case 402:
            return Meaning(K.QUOTA, "Check the state of the subscription and its payment.")
        case 403:
            return Meaning(K.FORBIDDEN, _ROLE)
        case 404 | 410:
            return Meaning(K.NOT_FOUND, "Check the name; the operator looks again.")
        case 408 | 504:
            return Meaning(K.RETRY, _WAIT)
        case 409 | 412 | 423:
            return Meaning(K.CONFLICT, _WAIT)
        case 407:
            return Meaning(K.UNREACHABLE, "Check the proxy settings of the operator: the proxy asks for a password.")
        case 429:
            return Meaning(K.THROTTLED, "Nothing to do: the operator waits as long as Azure asks.")
        case _:
            return Meaning(K.RETRY, _WAIT)
