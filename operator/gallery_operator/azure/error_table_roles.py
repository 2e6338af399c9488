"""Rows of the table of errors for role assignments; codes of recorded answers and of Microsoft's documentation."""

from gallery_operator.azure.error_kinds import ErrorKind
from gallery_operator.azure.error_meanings import Meaning, rows

K = ErrorKind

ROLE_ASSIGNMENTS: dict[str, Meaning] = {
    **rows(K.INVALID, "Nothing to do: the principal has this role on this scope already.", "RoleAssignmentExists"),
    **rows(
        K.DEPENDENCY,
        "Entra ID may need some minutes to know a new principal everywhere. If it stays, check principalId (the object "
        "id, not the application id) and principalType.",
        "PrincipalNotFound",
    ),
    **rows(
        K.INVALID,
        "Set principalType to what the message says that the principal is.",
        "UnmatchedPrincipalType",
    ),
    **rows(
        K.INVALID,
        "Check principalId: it is the object id of a user, a group or a service principal.",
        "InvalidPrincipalId",
    ),
    **rows(
        K.INVALID,
        "Name a role that exists in the tenant of the subscription and can be assigned at this scope.",
        "RoleDefinitionDoesNotExist",
        "InvalidRoleDefinitionId",
    ),
    **rows(
        K.QUOTA,
        "Remove role assignments of the subscription that are no longer used (Azure allows 4000), or assign the "
        "role to a group.",
        "RoleAssignmentLimitExceeded",
    ),
}
"""Code to meaning."""
