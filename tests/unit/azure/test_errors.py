# ruff: noqa: E501 - bodies as the service writes them
"""The table of errors, fed with bodies Azure really sends (recorded, documented, or quoted in issues)."""

import json
import socket
import ssl
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core import exceptions as core
from hack.generate_errors import DOES, error_files
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.azure import error_bodies
from gallery_operator.azure.error_kinds import AzureError, ErrorKind
from gallery_operator.azure.error_meanings import Meaning, TextRule
from gallery_operator.azure.error_table import CODES, TABLE
from gallery_operator.azure.error_texts import TEXTS
from gallery_operator.azure.errors import classify, classify_answer, is_absence

K = ErrorKind


class FakeResponse:
    """As much of a response of azure-core as an exception looks at."""

    def __init__(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        self.status_code = status
        self.reason = "reason"
        self.headers = headers or {}
        self._body = body

    def text(self, encoding: str | None = None) -> str:
        return self._body


def raised(status: int, body: object, headers: dict[str, str] | None = None) -> AzureError:
    text = body if isinstance(body, str) else json.dumps(body)
    response: Any = FakeResponse(status, text, headers)
    return classify(core.HttpResponseError(response=response), "test.call")


def arm(code: str, message: str = "m", **more: object) -> dict[str, object]:
    return {"error": {"code": code, "message": message, **more}}


GALLERY = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/galleries/g"

CASES = [
    (404, "ResourceNotFound", "The Resource 'Microsoft.Compute/snapshots/d1' under resource group 'rg' was not found.", K.NOT_FOUND),
    (404, "ParentResourceNotFound", "Can not perform requested operation on nested resource. Parent resource 'g' not found.", K.DEPENDENCY),
    (404, "ResourceGroupNotFound", "Resource group 'rg000004' could not be found.", K.DEPENDENCY),
    (404, "NotFound", "Resource testdisk-000002 is not found.", K.NOT_FOUND),
    (404, "SubscriptionNotFound", "The subscription 's' could not be found.", K.FORBIDDEN),
    (404, "SomethingNewNotFound", "x", K.NOT_FOUND),
    (403, "AuthorizationFailed", "The client 'x' with object id 'y' does not have authorization to perform action 'Microsoft.Compute/galleries/write'", K.FORBIDDEN),
    (403, "RequestDisallowedByPolicy", "Resource 'g' was disallowed by policy.", K.FORBIDDEN),
    (403, "SomethingNew", "x", K.FORBIDDEN),
    (401, "InvalidAuthenticationTokenTenant", "The access token is from the wrong issuer", K.UNAUTHENTICATED),
    (401, "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier", K.UNAUTHENTICATED),
    (409, "PropertyChangeNotAllowed", "Changing property 'galleryImage.properties.eula' is not allowed.", K.INVALID),
    (409, "CannotDeleteResource", "Cannot delete resource while nested resources exist. Some existing nested resource IDs include: 'x'", K.DEPENDENTS),
    (409, "Conflict", "Can not delete resource before nested resources are deleted.", K.DEPENDENTS),
    (409, "Conflict", "Operation 'Update Gallery Image Version' is not on allowed on v; since it is marked for deletion.", K.CONFLICT),
    (409, "AnythingElse", "somebody else is at it", K.CONFLICT),
    (409, "ScopeLocked", "The scope '...' cannot perform delete operation because following scope(s) are locked", K.FORBIDDEN),
    (409, "MissingSubscriptionRegistration", "The subscription is not registered to use namespace 'Microsoft.Compute'.", K.FORBIDDEN),
    (409, "OperationNotAllowed", "Operation could not be completed as it results in exceeding approved Total Regional Cores quota.", K.QUOTA),
    (409, "OperationNotAllowed", "Disk is being uploaded", K.CONFLICT),
    (400, "InvalidParameter", "Duplicate regions are not allowed in target publishing regions", K.INVALID),
    (400, "InvalidParameter", "Source x is not found. Please check source exists, and is in the same region as gallery image version being created", K.DEPENDENCY),
    (400, "InvalidParameter", "Too many requests on source 'x'. Please reduce the number of requests on the source", K.THROTTLED),
    (400, "InvalidVhd", "The specified cookie value in VHD footer indicates that disk 'abcd' with blob https://x is not a supported VHD.", K.INVALID),
    (400, "InvalidParameter", "The specified cookie value in VHD footer indicates that ...", K.INVALID),
    (400, "BadRequest", "The upload size in bytes 44716382720 - 512 bytes for the VHD footer must be a multiple of MiB.", K.INVALID),
    (400, "DeleteGalleryImageVersionBlockedBeforeEndOfLife", "Deletion of Gallery image version is not allowed", K.INVALID),
    (400, "LocationNotAvailableForResourceType", "The provided location 'x' is not available", K.INVALID),
    (400, "SomethingNew", "x", K.INVALID),
    (429, "OperationNotAllowed", "The server rejected the request because too many requests have been received for this subscription.", K.THROTTLED),
    (429, "SubscriptionRequestsThrottled", "Please try again after '6' seconds.", K.THROTTLED),
    (500, "InternalServerError", "x", K.RETRY),
    (500, "BadRequest", "x", K.RETRY),
    (503, "SomethingNew", "x", K.RETRY),
    (418, "Teapot", "x", K.RETRY),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code", "message", "kind"), CASES)
def test_meaning_of_resource_manager_answers(status: int, code: str, message: str, kind: ErrorKind) -> None:
    error = raised(status, arm(code, message))
    assert (error.kind, error.code, error.status, error.operation) == (kind, code, status, "test.call")
    assert error.message == message
    assert error.next_step.endswith((".", "away", "Azure"))
    assert error.retryable is (kind is not K.INVALID)


def test_nested_code_tells_more_than_the_outer_one() -> None:
    error = raised(
        400, arm("BadRequest", "failed", details=[{"code": "PropertyChangeNotAllowed", "message": "Changing x"}])
    )
    assert (error.kind, error.code) == (K.INVALID, "PropertyChangeNotAllowed")
    assert error.message == "failed Changing x"


@pytest.mark.parametrize(
    ("message", "step"),
    [
        (
            "The security type 'TrustedLaunchSupported' is not supported for the source id '/subscriptions/x'. Currently "
            "only Vhd Blob, User Image and Gallery Image Version sources are supported for 'TrustedLaunchSupported' "
            "images.",
            "destination.pageBlob",
        ),
        ("OSDiskImage and DataDiskImage cannot point to same blob https://a/b", "a source and a lun of its own"),
        ("Source virtual machine x cannot contain an ephemeral OS disk", "Name another source"),
        ("The source id: x must be a managed disk or snapshot", "Name another source"),
        ("The resource with id 'x' has a different plan ['null'] than the parent gallery image plan", "another source"),
    ],
)
def test_sources_that_do_not_do(message: str, step: str) -> None:
    error = raised(400, arm("InvalidParameter", message))
    assert (error.kind, error.code) == (K.INVALID, "InvalidParameter")
    assert step in error.next_step


def test_compute_throttling_with_json_in_its_details() -> None:
    inner = '{"operationGroup":"HighCostGet3Min","startTime":"2026-01-01","allowedRequestCount":162}'
    body = arm(
        "OperationNotAllowed",
        "The server rejected the request because too many requests have been received for this subscription.",
        details=[{"code": "TooManyRequests", "message": inner, "target": "HighCostGet3Min"}],
    )
    error = raised(429, body, {"Retry-After": "303"})
    assert (error.kind, error.code, error.retry_after) == (K.THROTTLED, "TooManyRequests", 303.0)
    assert "operationGroup" not in error.message  # it changes at every attempt


def test_error_as_json_text_inside_a_message() -> None:
    inner = json.dumps({"error": {"code": "AuthorizationFailed", "message": "no role"}})
    error = raised(403, arm("LinkedOperationFailed", inner))
    assert (error.kind, error.code, error.message) == (K.FORBIDDEN, "AuthorizationFailed", "no role")


@pytest.mark.parametrize(
    ("code", "number", "kind"),
    [("invalid_client", "7000215", K.UNAUTHENTICATED), ("unauthorized_client", "700016", K.UNAUTHENTICATED),
     ("invalid_grant", "70021", K.UNAUTHENTICATED), ("temporarily_unavailable", "90033", K.RETRY)],
)  # fmt: skip
def test_entra_id(code: str, number: str, kind: ErrorKind) -> None:
    text = (
        f"AADSTS{number}: Something is wrong for app 'x'. Trace ID: 11111111-1111-1111-1111-111111111111 "
        "Correlation ID: 22222222-2222-2222-2222-222222222222 Timestamp: 2026-11-23 23:14:05Z"
    )
    error = raised(401, {"error": code, "error_description": text, "error_codes": [int(number)]})
    assert (error.kind, error.code) == (kind, f"AADSTS{number}")
    assert error.message == f"AADSTS{number}: Something is wrong for app 'x'."


def test_storage_code_in_a_header_when_the_body_is_empty() -> None:
    error = raised(404, "", {"x-ms-error-code": "ContainerNotFound"})
    assert (error.kind, error.code) == (K.DEPENDENCY, "ContainerNotFound")
    assert raised(404, "", {"x-ms-error-code": "BlobNotFound"}).kind is K.NOT_FOUND


def test_storage_xml_without_what_changes() -> None:
    body = (
        '\ufeff<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthorizationPermissionMismatch</Code><Message>This request '
        "is not authorized to perform this operation using this permission.\nRequestId:4b4ff7c3-601e-0047\n"
        "Time:2026-11-23T22:00:00.1234567Z</Message></Error>"
    )
    error = raised(403, body)
    assert (error.kind, error.code) == (K.FORBIDDEN, "AuthorizationPermissionMismatch")
    assert error.message == "This request is not authorized to perform this operation using this permission."


def test_absence_is_only_what_azure_itself_explains() -> None:
    assert is_absence(raised(404, arm("ResourceNotFound")))
    assert is_absence(raised(404, arm("ParentResourceNotFound")))
    assert is_absence(raised(404, arm("ResourceGroupNotFound")))
    assert not is_absence(raised(404, arm("SubscriptionNotFound")))
    assert not is_absence(raised(404, arm("InvalidResourceType")))
    assert not is_absence(raised(403, arm("AuthorizationFailed")))
    source = raised(
        400, arm("InvalidParameter", "Source x is not found. Please check source exists, and is in the same region")
    )
    assert source.kind is K.DEPENDENCY and not is_absence(source)
    operation = classify_answer(None, error_bodies.ErrorBody(("ResourceNotFound",), "m"), "x")
    assert operation.kind is K.NOT_FOUND and not is_absence(operation)
    html = raised(404, "<html><body>nginx: not found</body></html>")
    assert not is_absence(html)
    assert html.kind is K.UNREACHABLE


def test_failed_operation_has_no_status() -> None:
    body = error_bodies.parse_document(
        {
            "error": {
                "code": "ReplicationJobFailed",
                "message": "Gallery replication jobs failed in one or more regions.",
            }
        }
    )
    error = classify_answer(None, body, "galleryImageVersions.put")
    assert (error.kind, error.status) == (K.RETRY, None)
    assert "removes the failed regions" in error.next_step


@pytest.mark.parametrize(
    ("exc", "kind", "code"),
    [
        (core.ServiceRequestError("x", error=ssl.SSLCertVerificationError("self-signed")), K.UNREACHABLE, "CertificateNotTrusted"),
        (core.ServiceRequestError("x", error=ssl.SSLError("handshake")), K.UNREACHABLE, "TlsFailed"),
        (core.ServiceRequestError("x", error=socket.gaierror("no such host")), K.UNREACHABLE, "HostNotFound"),
        (core.ServiceRequestTimeoutError("x"), K.UNREACHABLE, "TimedOut"),
        (core.ServiceResponseTimeoutError("x"), K.UNREACHABLE, "TimedOut"),
        (core.ServiceResponseError("cut off"), K.UNREACHABLE, "ConnectionFailed"),
        (core.IncompleteReadError("cut off"), K.UNREACHABLE, "ConnectionFailed"),
        (TimeoutError(), K.UNREACHABLE, "TimedOut"),
        (ConnectionResetError(104, "reset"), K.UNREACHABLE, "ConnectionFailed"),
        (FileNotFoundError(2, "No such file", "/var/run/token"), K.UNAUTHENTICATED, "FileUnreadable"),
        (core.ClientAuthenticationError("no token"), K.UNAUTHENTICATED, "CredentialUnusable"),
        (RuntimeError("surprise"), K.RETRY, "RuntimeError"),
    ],
)  # fmt: skip
def test_no_answer(exc: Exception, kind: ErrorKind, code: str) -> None:
    error = classify(exc, "test.call")
    assert (error.kind, error.code, error.status) == (kind, code, None)
    assert error.message and error.next_step


def test_classified_stays_classified() -> None:
    error = raised(404, arm("ResourceNotFound"))
    assert classify(error, "other") is error


def test_secrets_never_show() -> None:
    canary = "C4nAryS3cret"
    texts = [
        arm("InvalidVhd", f"disk with blob https://md-x.blob.storage.azure.net/a/abcd?sv=1&sig={canary}&se=2 is bad"),
        arm("X", f"Authorization: Bearer {canary}{canary}"),
        arm("X", f"url https://user:{canary}@host/x"),
        {"error": "invalid_client", "error_description": f"AADSTS1: client_secret={canary} is wrong"},
    ]
    for body in texts:
        error = raised(400, body)
        assert canary not in f"{error!s}{error!r}{error.args}{error.next_step}"
    wrapped = core.ServiceRequestError(f"cannot connect to https://h/x?sig={canary}")
    assert canary not in repr(classify(wrapped, "x"))


@given(st.text(), st.integers(100, 599))
def test_any_body_is_survived(body: str, status: int) -> None:
    error = raised(status, body)
    assert "\n" not in error.message
    assert len(error.message) <= error_bodies.MAX_MESSAGE
    assert error.code
    error.message.encode()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["error", "code", "message", "details", "x"]), inner)
    ),
)


@given(_JSON)
def test_any_document_is_survived(document: object) -> None:
    body = error_bodies.parse(json.dumps(document))
    assert all(isinstance(code, str) and code for code in body.codes)


def test_deep_nesting_is_survived() -> None:
    assert error_bodies.parse("[" * 100_000).codes == ()
    document: dict[str, object] = {"code": "deepest", "message": "m"}
    for _ in range(50):
        document = {"code": "c", "message": "m", "details": [document]}
    assert error_bodies.parse_document(document).codes == ("c",)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"x-ms-retry-after-ms": "10", "Retry-After": "7"}, 0.01),
        ({"Retry-After": "Mon, 23 Nov 2026 23:15:00 GMT"}, 60.0),
        ({"Retry-After": "Mon, 23 Nov 2026 23:13:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "99999999"}, 86400.0),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    now = datetime(2026, 11, 23, 23, 14, tzinfo=UTC)
    assert error_bodies.retry_after(headers, "", now) == seconds


def test_retry_after_in_the_text() -> None:
    assert (
        raised(429, arm("SubscriptionRequestsThrottled", "exceeded. Please try again after '6' seconds.")).retry_after
        == 6.0
    )


def test_every_row_says_what_to_do() -> None:
    for meaning in [*CODES.values(), *(rule.meaning for rule in TEXTS)]:
        assert meaning.next_step[0].isupper() and meaning.next_step.endswith((".", "namespace>:<name>"))
        assert len(meaning.next_step) < 400


ENVELOPES = [(400, "InvalidParameter"), (409, "Conflict"), (409, "OperationNotAllowed"), (400, "SomethingNew"), (None, "SomethingNew")]  # fmt: skip


@pytest.mark.parametrize("rule", TEXTS, ids=lambda rule: rule.pattern.pattern[:40])
@pytest.mark.parametrize(("status", "code"), ENVELOPES)
def test_a_text_means_the_same_whatever_comes_with_it(rule: TextRule, status: int | None, code: str) -> None:
    """The end of a long-running operation has no status, and nobody has seen all codes."""
    assert rule.says
    for text in rule.says:
        error = classify_answer(status, error_bodies.ErrorBody((code,), text), "x")
        assert Meaning(error.kind, error.next_step) == rule.meaning, text
        assert error.code == code


def test_the_page_has_all_that_is_in_the_tables() -> None:
    (page,) = error_files().values()
    assert set(DOES) == set(ErrorKind)
    for code, meaning in TABLE.items():
        line = next(line for line in page.splitlines() if f"`{code}`" in line)
        assert f"| {meaning.kind.value} |" in line
    texts = [text for rule in TEXTS for text in rule.says]
    assert len(texts) == len(set(texts))
    assert page.count("<br>") == len(texts) - len(TEXTS)


def test_no_code_is_in_the_table_twice() -> None:
    assert len(CODES) == len(TABLE)
