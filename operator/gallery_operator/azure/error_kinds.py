"""One type for everything that can go wrong with Azure.

Callers import it from :mod:`gallery_operator.azure.errors`, which also has the way from an exception to it.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class ErrorKind(StrEnum):
    """What an error means for the caller, whatever Azure called it."""

    RETRY = "Retry"
    """Transient or unknown; the same request may succeed later."""
    THROTTLED = "Throttled"
    """Too many requests; ``retry_after`` says when to come back."""
    UNREACHABLE = "Unreachable"
    """No answer: name resolution, connection, TLS, proxy, time-out, or the circuit breaker."""
    FORBIDDEN = "Forbidden"
    """Azure knows who asks and says no: role, lock, policy, firewall. Mended in Azure, not in the spec."""
    UNAUTHENTICATED = "Unauthenticated"
    """No token, or a token Azure does not accept. Mended in the credential or in Entra ID."""
    INVALID = "Invalid"
    """Only a person can mend it, in the spec."""
    CONFLICT = "Conflict"
    """Another operation is in progress on the resource; wait."""
    DEPENDENTS = "Dependents"
    """Nested resources exist, or Azure has not noticed yet (10-20 s) that they are gone."""
    DEPENDENCY = "Dependency"
    """Something the resource needs is not there yet: resource group, parent, source, container."""
    QUOTA = "Quota"
    """A limit of the subscription is reached; a person raises it or makes room."""
    NOT_FOUND = "NotFound"
    """The resource itself is not there."""


_NEEDS_PERSON = frozenset({ErrorKind.INVALID, ErrorKind.FORBIDDEN, ErrorKind.UNAUTHENTICATED, ErrorKind.QUOTA})


@dataclass(eq=False)
class AzureError(Exception):
    """What happened, to which call, and what the user does next.

    Every text in it went through :func:`gallery_operator.redact.redact`, is one line, and holds nothing that changes
    from one attempt to the next (request ids, times), so that a status made of it does not change either.

    Attributes:
        kind: What it means for the caller.
        code: Azure's own code (the most telling one of a nested error), or ours where Azure gave none.
        message: Azure's text, redacted.
        next_step: What the user does next: one or two sentences.
        operation: Which call failed, such as ``galleryImageVersions.put``.
        status: HTTP status of the answer, or None when there was none.
        retry_after: Seconds Azure (or our own throttle) asks to wait, or None.
        request_id: Azure's id of the request, for its support; goes to logs, never into a status.
    """

    kind: ErrorKind
    code: str
    message: str
    next_step: str
    operation: str
    status: int | None = None
    retry_after: float | None = None
    request_id: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        super().__init__(self.kind, self.code, self.message)

    def __str__(self) -> str:
        # Entra ID begins its texts with the code
        text = self.message if self.message.startswith(self.code) else f"{self.code}: {self.message}"
        return f"{self.operation}: {text}"

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later although the spec stays as it is.

        True for all kinds but INVALID: a role, a secret or a quota is mended outside the cluster, and nothing tells
        the operator when. See :attr:`needs_person` for how eagerly to try.
        """
        return self.kind is not ErrorKind.INVALID

    @property
    def needs_person(self) -> bool:
        """Whether a person has to act (in the spec or in Azure) before a retry can succeed: report it, retry slowly."""
        return self.kind in _NEEDS_PERSON
