"""From an exception of the Azure SDK to one :class:`AzureError`.

Codes are in :mod:`gallery_operator.azure.error_table`, texts in :mod:`gallery_operator.azure.error_texts`; how a body
is read is in :mod:`gallery_operator.azure.error_bodies`. What is not known is retryable: a level-based operator loses
nothing by asking again, and much by giving up.
"""

import ssl
from collections.abc import Iterator, Mapping

from azure.core import exceptions as core

from gallery_operator.azure import error_bodies
from gallery_operator.azure.error_bodies import ErrorBody, clean
from gallery_operator.azure.error_kinds import AzureError, ErrorKind
from gallery_operator.azure.error_meanings import Meaning
from gallery_operator.azure.error_table import CODES, VAGUE_CODES, meaning_of_status
from gallery_operator.azure.error_texts import TEXTS

__all__ = ["AzureError", "ErrorKind", "classify", "classify_answer", "is_absence"]


def classify(exc: BaseException, operation: str) -> AzureError:
    """Say what an exception of the Azure SDK means.

    Args:
        exc: Anything raised by azure-core, azure-identity, azure-storage-blob, aiohttp or the operating system. An
            :class:`AzureError` is returned as it is.
        operation: Which call failed, such as ``disks.get``.

    Returns:
        The classified error; unknown ones are retryable.
    """
    if isinstance(exc, AzureError):
        return exc
    if isinstance(exc, core.HttpResponseError) and exc.status_code is not None:
        return _classify_response(exc, operation)
    if isinstance(exc, core.ClientAuthenticationError):
        return AzureError(
            ErrorKind.UNAUTHENTICATED,
            "CredentialUnusable",
            clean(exc.message) or "the credential gave no token",
            "Check the credential: AZURE_TENANT_ID, AZURE_CLIENT_ID, and the secret, certificate or token file.",
            operation,
        )
    return _classify_transport(exc, operation)


def classify_answer(
    status: int | None,
    body: ErrorBody,
    operation: str,
    *,
    headers: Mapping[str, str] | None = None,
    request_id: str | None = None,
) -> AzureError:
    """Say what an error answer, or the error of a failed long-running operation, means.

    Args:
        status: HTTP status, or None for the error inside a status document (which itself is a 200).
        body: What the answer said.
        operation: Which call failed.
        headers: Headers of the answer, for the time to wait.
        request_id: Azure's id of the request.

    Returns:
        The classified error.
    """
    code, meaning = _decide(status, body)
    return AzureError(
        kind=meaning.kind,
        code=code,
        message=body.message or (f"Azure answered with HTTP status {status}" if status else "Azure gave no reason"),
        next_step=meaning.next_step,
        operation=operation,
        status=status,
        retry_after=error_bodies.retry_after(headers or {}, body.message),
        request_id=request_id,
    )


def is_absence(error: AzureError) -> bool:
    """Whether an error proves that the resource is not there.

    True for a 404 that Azure itself explained: the resource, its parent or its resource group is missing. False for a
    404 without Azure's code (a proxy, a wrong endpoint) and for a subscription that the identity cannot see: neither
    may make the operator believe that something is deleted.
    """
    return error.status == 404 and error.kind in (ErrorKind.NOT_FOUND, ErrorKind.DEPENDENCY)


def _decide(status: int | None, body: ErrorBody) -> tuple[str, Meaning]:
    """Return the code to report and its meaning: telling codes (inner first), then texts, then vague codes."""
    inner_first = tuple(reversed(body.codes))
    known = [code for code in inner_first if code.lower() in CODES]
    telling = [code for code in known if code.lower() not in VAGUE_CODES]
    if status == 429:
        return (telling or list(body.codes) or ["TooManyRequests"])[0], meaning_of_status(429)
    if telling:
        return telling[0], CODES[telling[0].lower()]
    code = next((code for code in inner_first if code.lower() not in VAGUE_CODES), None) or next(
        iter(body.codes), f"Http{status}" if status else "Unknown"
    )
    for rule in TEXTS:
        if rule.pattern.search(body.message):
            return code, rule.meaning
    if status is not None and status >= 500:
        return code, meaning_of_status(status)
    if known:
        return code, CODES[known[0].lower()]
    if status == 404 and not body.codes:
        return code, Meaning(
            ErrorKind.UNREACHABLE,
            "Check AZURE_RESOURCE_MANAGER_ENDPOINT and any proxy: this 404 did not come from Azure.",
        )
    return code, meaning_of_status(status)


def _classify_response(exc: core.HttpResponseError, operation: str) -> AzureError:
    response = exc.response
    headers: dict[str, str] = {}
    text: str | None = None
    if response is not None:
        # azure-core types only the part of a response that both of its generations share
        raw_headers: Mapping[str, str] = getattr(response, "headers", {})
        headers = {str(name).lower(): str(value) for name, value in raw_headers.items()}
        try:
            text = response.text()
        except Exception:  # noqa: BLE001 - an unread, cut off or undecodable body must not hide the status
            text = None
    body = error_bodies.parse(text)
    code = headers.get("x-ms-error-code")  # storage; the only place of the code in an answer to HEAD
    if code and code not in body.codes:
        body = ErrorBody((code, *body.codes), body.message or clean(exc.reason or ""))
    return classify_answer(
        exc.status_code,
        body,
        operation,
        headers=headers,
        request_id=headers.get("x-ms-request-id"),
    )


def _chain(exc: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    queue: list[BaseException | None] = [exc]
    while queue:
        current = queue.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = getattr(current, "inner_exception", None)
        queue += [inner if isinstance(inner, BaseException) else None, current.__cause__, current.__context__]


def _classify_transport(exc: BaseException, operation: str) -> AzureError:
    chain = list(_chain(exc))
    names = {type(item).__name__ for item in chain}
    text = clean(exc) or type(exc).__name__

    def unreachable(code: str, next_step: str) -> AzureError:
        return AzureError(ErrorKind.UNREACHABLE, code, text, next_step, operation)

    if any(isinstance(item, ssl.SSLCertVerificationError) for item in chain):
        return unreachable(
            "CertificateNotTrusted",
            "Give the operator the CA that signed this endpoint (chart value azure.caBundle), and check its name.",
        )
    if any(isinstance(item, ssl.SSLError) for item in chain):
        return unreachable("TlsFailed", "Check the endpoint, its TLS version, and any proxy that intercepts TLS.")
    if "ClientConnectorDNSError" in names or "gaierror" in names:
        return unreachable("HostNotFound", "Check the endpoint's name and the cluster's DNS.")
    if names & {"ClientProxyConnectionError", "ClientHttpProxyError"}:
        return unreachable("ProxyFailed", "Check HTTPS_PROXY and NO_PROXY of the operator.")
    if isinstance(exc, OSError) and exc.filename and not isinstance(exc, ConnectionError | TimeoutError):
        return AzureError(
            ErrorKind.UNAUTHENTICATED,
            "FileUnreadable",
            text,
            "Check that the service account token is projected to the path in AZURE_FEDERATED_TOKEN_FILE.",
            operation,
        )
    timeouts = (TimeoutError, core.ServiceRequestTimeoutError, core.ServiceResponseTimeoutError)
    if any(isinstance(item, timeouts) for item in chain):
        return unreachable("TimedOut", "Check network policies and firewalls between the operator and the endpoint.")
    transport = (core.ServiceRequestError, core.ServiceResponseError, core.IncompleteReadError, ConnectionError)
    if any(isinstance(item, transport) for item in chain) or names & {"ClientError", "ServerDisconnectedError"}:
        return unreachable(
            "ConnectionFailed", "Check network policies and firewalls between the operator and the endpoint."
        )
    return AzureError(
        ErrorKind.RETRY,
        type(exc).__name__,
        text,
        "Nothing to do: the operator tries again. Report it if it stays.",
        operation,
    )
