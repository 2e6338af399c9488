"""Role assignments and share operations on the wire: what is sent, and what odd answers mean."""

import pytest
from aiohttp import web
from tests.integration.azure.wire import SUBSCRIPTION, Wire, client_secret

from gallery_operator.azure import resource_ids
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.gateway import AzureGateway, RoleAssignments

GALLERY = str(resource_ids.gallery(SUBSCRIPTION, "rg", "g"))
PATH = f"{GALLERY}/providers/Microsoft.Authorization/roleAssignments"
NAME = "00000000-0000-0000-0000-0000000000ff"
OPERATION = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/westeurope/capsOperations/op"
POLL = {"Azure-AsyncOperation": "{url}" + OPERATION + "?api-version=2026-03-03&t=1&s=x"}


@pytest.fixture
def roles(gateway: AzureGateway) -> RoleAssignments:
    return gateway.role_assignments(client_secret())


async def test_list_follows_its_pages(wire: Wire, roles: RoleAssignments) -> None:
    async def pages(request: web.Request) -> web.StreamResponse:
        if "page" in request.query:
            return web.json_response({"value": [{"name": "2"}]})
        assert dict(request.query) == {"api-version": "2022-04-01", "$filter": "atScope()"}
        return web.json_response({"value": [{"name": "1"}], "nextLink": f"{wire.url}{PATH}?page=2"})

    wire.answers[("GET", PATH.lower())] = pages
    assert [each["name"] for each in await roles.list(GALLERY)] == ["1", "2"]


@pytest.mark.parametrize("link", ["https://evil.example.com/x", "http://127.0.0.1/x", "{own}"])
async def test_no_token_goes_elsewhere_and_no_list_is_endless(wire: Wire, roles: RoleAssignments, link: str) -> None:
    body = {"value": [{"name": "1"}], "nextLink": link.replace("{own}", f"{wire.url}{PATH}")}
    wire.on("GET", PATH, (200, body))
    with pytest.raises(AzureError, match="no end") as caught:
        await roles.list(GALLERY)
    assert caught.value.retryable
    assert len(wire.seen) == (40 if link == "{own}" else 1)


async def test_put_and_delete(wire: Wire, roles: RoleAssignments) -> None:
    wire.on("PUT", f"{PATH}/{NAME}", (201, {"name": NAME}))
    assert await roles.put(GALLERY, NAME, {"principalId": "p"}) == {"name": NAME}
    assert wire.bodies == [{"properties": {"principalId": "p"}}]
    assert dict(wire.requests[0].query) == {"api-version": "2022-04-01"}
    wire.on(
        "DELETE",
        f"{PATH}/{NAME}",
        (200, {"name": NAME}),
        (204, None),
        (404, {"error": {"code": "RoleAssignmentNotFound"}}),
    )
    for _ in range(3):
        await roles.delete(GALLERY, NAME)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AuthorizationFailed", ErrorKind.FORBIDDEN),
        (400, "PrincipalNotFound", ErrorKind.DEPENDENCY),
        (400, "UnmatchedPrincipalType", ErrorKind.INVALID),
        (404, "RoleDefinitionDoesNotExist", ErrorKind.INVALID),
        (409, "RoleAssignmentExists", ErrorKind.INVALID),
        (400, "RoleAssignmentLimitExceeded", ErrorKind.QUOTA),
        (429, "TooManyRequests", ErrorKind.THROTTLED),
    ],
)
async def test_what_azure_refuses(wire: Wire, roles: RoleAssignments, status: int, code: str, kind: ErrorKind) -> None:
    wire.on("PUT", f"{PATH}/{NAME}", (status, {"error": {"code": code, "message": "No."}}))
    with pytest.raises(AzureError) as caught:
        await roles.put(GALLERY, NAME, {})
    assert (caught.value.kind, caught.value.code) == (kind, code)


async def test_a_scope_that_is_none(roles: RoleAssignments) -> None:
    for call in (roles.list("nonsense"), roles.put("nonsense", NAME, {}), roles.delete("nonsense", NAME)):
        with pytest.raises(AzureError) as caught:
            await call
        assert caught.value.kind is ErrorKind.INVALID


async def test_a_share_operation_from_begin_to_end(wire: Wire, gateway: AzureGateway) -> None:
    arm = gateway.arm(client_secret(), SUBSCRIPTION)
    assert not await arm.is_sharing(GALLERY)
    wire.on("POST", f"{GALLERY}/share", (202, None, POLL))
    error = {"code": "SharedGalleryRetryableError", "message": "Try again."}
    wire.on("GET", OPERATION, (200, {"status": "InProgress"}), (200, {"status": "Failed", "error": error}))
    await arm.share(GALLERY, {"operationType": "Reset"})
    assert await arm.failure(GALLERY) is None  # another operation than the last PUT
    assert await arm.is_sharing(GALLERY)
    with pytest.raises(AzureError, match="Try again"):
        await arm.is_sharing(GALLERY)
    assert not await arm.is_sharing(GALLERY)  # told once
    await arm.share(GALLERY, {"operationType": "Reset"})
    wire.on("GET", OPERATION, (200, {"status": "Succeeded"}))
    assert not await arm.is_sharing(GALLERY)
    await arm.share(GALLERY, {"operationType": "Reset"})
    wire.on("GET", OPERATION, (404, {"error": {"code": "NotFound", "message": "x"}}))
    assert not await arm.is_sharing(GALLERY)
