# ruff: noqa: E501 - answers as the service writes them
"""The gateway on the wire: what it sends, and what it makes of answers a polite server never gives."""

import asyncio
import base64
import json
import logging
import time
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from tests.integration.azure.wire import BASE, SECRET, SUBSCRIPTION, TOKEN, Wire, certificate, client_secret

from gallery_operator.azure import arm_requests, resource_ids
from gallery_operator.azure.clients import Clients
from gallery_operator.azure.community import CommunityId
from gallery_operator.azure.credentials import CredentialSpec
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.gateway import Arm, AzureGateway

GALLERY = str(resource_ids.gallery(SUBSCRIPTION, "rg", "g"))
VERSION = str(resource_ids.version(SUBSCRIPTION, "rg", "g", "d", "1.0.0"))
DISK = str(resource_ids.disk(SUBSCRIPTION, "rg", "disk"))
OPERATION = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/westeurope/capsOperations/op"
POLL = {
    "Azure-AsyncOperation": "{url}"
    + OPERATION
    + "?api-version=2026-03-03&t=1&c=C4nAryCertificate&s=C4nArySignature&h=x"
}
SAS = "https://md-x.z1.blob.storage.azure.net/a/abcd?sv=2018-03-28&sr=b&sig=C4nAryAccessSas"


@pytest.fixture
def arm(gateway: AzureGateway) -> Arm:
    return gateway.arm(client_secret(), SUBSCRIPTION)


async def test_documents_keep_the_names_of_the_rest_api(wire: Wire, arm: Arm) -> None:
    document = {
        "id": GALLERY,
        "location": "westeurope",
        "properties": {"provisioningState": "Succeeded", "newThing": {"aB": 1}},
    }
    wire.on("GET", GALLERY, (200, document))
    assert await arm.get(GALLERY) == document
    (request,) = wire.requests
    assert request.query["api-version"] == "2026-03-03"
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["User-Agent"].startswith("gallery-operator/")
    assert "azsdk-python-mgmt-compute/39" in request.headers["User-Agent"]
    assert "x-ms-client-request-id" in request.headers
    (form,) = wire.token_forms
    assert form["client_secret"] == SECRET
    assert form["scope"] == f"{wire.url}/.default"


async def test_api_versions_and_queries(wire: Wire, arm: Arm) -> None:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
    account = str(resource_ids.storage_account(SUBSCRIPTION, "rg", "acct"))
    image = str(resource_ids.managed_image(SUBSCRIPTION, "rg", "i"))
    for path in (GALLERY, VERSION, DISK, image, group, account):
        wire.on("GET", path, (200, {"id": path}))
    await arm.get(GALLERY, select="Permissions")
    await arm.get(VERSION, expand="ReplicationStatus")
    for path in (DISK, image, group, account):
        await arm.get(path)
    queries = [dict(request.query) for request in wire.requests]
    assert queries == [
        {"api-version": "2026-03-03", "$select": "Permissions"},
        {"api-version": "2026-03-03", "$expand": "ReplicationStatus"},
        {"api-version": "2026-03-02"},
        {"api-version": "2026-04-01"},
        {"api-version": "2021-04-01"},
        {"api-version": "2023-05-01"},
    ]


async def test_a_machine_is_read_with_its_state_and_never_written(wire: Wire, arm: Arm) -> None:
    machine = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/m"
    wire.on("GET", machine, (200, {"id": machine}))
    assert await arm.get(machine, expand="instanceView") == {"id": machine}
    assert dict(wire.requests[0].query) == {"api-version": "2026-04-01", "$expand": "instanceView"}
    for write in (arm.put(machine, {}), arm.delete(machine), arm.list(machine.rpartition("/")[0])):
        with pytest.raises(AzureError, match="does not manage resources of type"):
            await write
    assert len(wire.requests) == 1


async def test_images_of_community_galleries(wire: Wire, arm: Arm) -> None:
    place = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/locations/westeurope/communityGalleries/pub-1"
    wire.on("GET", f"{place}/images/i", (200, {"name": "i"}))
    wire.on("GET", f"{place}/images/i/versions/1.0.0", (200, {"name": "1.0.0"}))
    wire.on("GET", f"{place}/images/i/versions/2.0.0", (404, {"error": {"code": "NotFound", "message": "m"}}))
    version = CommunityId.parse("/communityGalleries/pub-1/images/i/versions/1.0.0")
    assert str(version) == "/CommunityGalleries/pub-1/Images/i/Versions/1.0.0"
    assert await arm.community_image("westeurope", version) == {"name": "1.0.0"}
    assert await arm.community_image("westeurope", version.definition) == {"name": "i"}
    assert await arm.community_image("westeurope", replace(version, version="2.0.0")) is None
    assert {request.query["api-version"] for request in wire.requests} == {"2026-03-03"}
    for text in ("/CommunityGalleries/pub-1/Images/i/Versions/1/x", "/SharedGalleries/a/Images/i", GALLERY, ""):
        with pytest.raises(AzureError) as caught:
            CommunityId.parse(text)
        assert caught.value.kind is ErrorKind.INVALID


async def test_a_resource_is_asked_in_its_own_subscription(wire: Wire, arm: Arm) -> None:
    other = str(resource_ids.disk("00000000-0000-0000-0000-00000000000b", "rg", "disk"))
    wire.on("GET", other, (200, {"id": other}))
    assert await arm.get(other) == {"id": other}
    assert len(wire.token_forms) == 1  # the token is shared


async def test_one_connection_and_one_token_for_many_requests(wire: Wire, arm: Arm) -> None:
    wire.on("GET", GALLERY, (200, {}))
    for _ in range(20):
        await arm.get(GALLERY)
    assert len(wire.connections) == 1
    assert len(wire.token_forms) == 1


async def test_absent(wire: Wire, arm: Arm) -> None:
    for code in ("ResourceNotFound", "ParentResourceNotFound", "ResourceGroupNotFound"):
        wire.on("GET", VERSION, (404, {"error": {"code": code, "message": "m"}}))
        wire.on("DELETE", VERSION, (404, {"error": {"code": code, "message": "m"}}))
        assert await arm.get(VERSION) is None
        assert await arm.delete(VERSION) is False
    wire.on("DELETE", VERSION, (204, None))
    assert await arm.delete(VERSION) is False
    assert await arm.list(f"{GALLERY}/images") == []


@pytest.mark.parametrize(
    "answer", [(404, "<html>nginx</html>"), (404, {"error": {"code": "SubscriptionNotFound", "message": "m"}})]
)
async def test_other_404_are_no_proof_of_absence(wire: Wire, arm: Arm, answer: tuple[int, object]) -> None:
    wire.on("GET", VERSION, answer)
    wire.on("DELETE", VERSION, answer)
    for call in (arm.get, arm.delete):
        with pytest.raises(AzureError):
            await call(VERSION)


async def test_put_begins_and_returns_the_first_answer(wire: Wire, arm: Arm) -> None:
    body = {"location": "westeurope", "tags": {"a": "b"}, "properties": {"description": "d"}}
    answer = {"id": GALLERY, "properties": {"provisioningState": "Creating"}}
    wire.on("PUT", GALLERY, (201, answer, POLL))
    assert await arm.put(GALLERY, body) == answer
    assert wire.bodies == [body]
    assert wire.seen == [("PUT", GALLERY)]  # nothing was polled


async def test_failure_of_an_operation(wire: Wire, arm: Arm, gateway: AzureGateway) -> None:
    assert await arm.failure(VERSION) is None
    wire.on("PUT", VERSION, (201, {}, POLL))
    message = "Gallery replication jobs failed in one or more regions. The failing regions' details are as follows: '{region:northeurope}'."
    failed = {"status": "Failed", "error": {"code": "ReplicationFailed", "message": message}}
    wire.on("GET", OPERATION, (200, {"status": "InProgress"}), (200, failed))
    await arm.put(VERSION, {})
    assert await arm.failure(VERSION) is None
    error = await arm.failure(VERSION.upper())
    assert error is not None
    assert (error.kind, error.message, error.operation) == (ErrorKind.RETRY, message, "galleryImageVersions.put")
    asked = len(wire.seen)
    assert await arm.failure(VERSION) is error  # remembered, not asked again
    assert len(wire.seen) == asked
    assert await gateway.arm(client_secret("other"), SUBSCRIPTION).failure(VERSION) is None  # nobody else's
    wire.on("DELETE", VERSION, (202, None, POLL))
    wire.on("GET", OPERATION, (200, {"status": "Succeeded"}))
    assert await arm.delete(VERSION) is True
    assert await arm.failure(VERSION) is None


async def test_failure_when_azure_forgot_the_operation(wire: Wire, arm: Arm) -> None:
    wire.on("PUT", VERSION, (201, {}, POLL))
    await arm.put(VERSION, {})
    assert await arm.failure(VERSION) is None
    assert await arm.failure(VERSION) is None
    assert wire.seen.count(("GET", OPERATION)) == 1


async def test_list_of_pages(wire: Wire, arm: Arm) -> None:
    path = f"{GALLERY}/images/d/versions"

    async def pages(request: web.Request) -> web.StreamResponse:
        number = int(request.query.get("page", "0"))
        body: dict[str, object] = {"value": [{"id": str(number), "properties": {"provisioningState": "X", "aB": 1}}]}
        if number < 2:
            body["nextLink"] = f"{wire.url}{path}?page={number + 1}&api-version=2026-03-03"
        return web.json_response(body)

    wire.answers[("GET", path.lower())] = pages
    found = await arm.list(path)
    assert [item["id"] for item in found] == ["0", "1", "2"]
    assert found[0]["properties"] == {"provisioningState": "X", "aB": 1}


async def test_access_to_a_disk(wire: Wire, arm: Arm) -> None:
    wire.on("POST", f"{DISK}/beginGetAccess", (202, None, POLL))
    wire.on(
        "GET",
        OPERATION,
        (200, {"status": "InProgress"}),
        (200, {"status": "Succeeded", "properties": {"output": {"accessSAS": SAS}}}),
    )
    sas = await arm.grant_write_access(DISK, 3600)
    assert sas.get_secret_value() == SAS
    assert "C4nAry" not in f"{sas}{sas!r}"
    assert wire.bodies[0] == {"access": "Write", "durationInSeconds": 3600}
    wire.on("POST", f"{DISK}/endGetAccess", (202, None, POLL))
    wire.on("GET", OPERATION, (200, {"status": "Succeeded"}))
    await arm.revoke_access(DISK)


async def test_bad_content_of_a_disk(wire: Wire, arm: Arm) -> None:
    wire.on("POST", f"{DISK}/endGetAccess", (202, None, POLL))
    text = (
        f"The specified cookie value in VHD footer indicates that disk 'abcd' with blob {SAS} is not a supported VHD."
    )
    wire.on("GET", OPERATION, (200, {"status": "Failed", "error": {"code": "InvalidVhd", "message": text}}))
    with pytest.raises(AzureError) as caught:
        await arm.revoke_access(DISK)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.INVALID, "InvalidVhd")
    assert "C4nAry" not in repr(caught.value)


async def test_waiting_for_access_has_an_end_and_goes_on_later(
    wire: Wire, arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arm_requests, "ACCESS_TIMEOUT", 0.3)
    wire.on("POST", f"{DISK}/beginGetAccess", (202, None, POLL))
    wire.on("GET", OPERATION, (200, {"status": "InProgress"}))
    with pytest.raises(AzureError) as caught:
        await arm.grant_write_access(DISK, 60)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.RETRY, "OperationInProgress")
    wire.on("GET", OPERATION, (200, {"status": "Succeeded", "properties": {"output": {"accessSAS": SAS}}}))
    assert (await arm.grant_write_access(DISK, 60)).get_secret_value() == SAS
    assert wire.seen.count(("POST", f"{DISK}/beginGetAccess")) == 1


async def test_blob_endpoint(wire: Wire, arm: Arm) -> None:
    account = str(resource_ids.storage_account(SUBSCRIPTION, "rg", "acct"))
    with pytest.raises(AzureError) as caught:
        await arm.blob_endpoint(account)
    assert caught.value.kind is ErrorKind.DEPENDENCY
    wire.on(
        "GET", account, (200, {"properties": {"primaryEndpoints": {"blob": "https://acct.blob.core.windows.net/"}}})
    )
    assert await arm.blob_endpoint(account) == "https://acct.blob.core.windows.net"
    with pytest.raises(AzureError) as caught:
        await arm.blob_endpoint(DISK)
    assert caught.value.kind is ErrorKind.INVALID


async def test_share(wire: Wire, arm: Arm) -> None:
    wire.on("POST", f"{GALLERY}/share", (202, None, POLL))
    await arm.share(GALLERY, {"operationType": "EnableCommunity", "groups": []})
    assert wire.bodies == [{"operationType": "EnableCommunity", "groups": []}]


async def test_throttling_raises_at_once_and_stops_asking(wire: Wire, arm: Arm) -> None:
    error = {"code": "SubscriptionRequestsThrottled", "message": "too many"}
    wire.on("GET", GALLERY, (429, {"error": error}, {"Retry-After": "3600"}))
    started = time.monotonic()
    with pytest.raises(AzureError) as caught:
        await arm.get(GALLERY)
    assert (caught.value.kind, caught.value.retry_after) == (ErrorKind.THROTTLED, 3600.0)
    for _ in range(3):
        with pytest.raises(AzureError) as refused:
            await arm.get(GALLERY)
        assert refused.value.code == "ClosedAfterThrottling"
        assert (refused.value.retry_after or 0) > 1000  # Retry-After, at most half an hour
    assert len(wire.seen) == 1
    assert time.monotonic() - started < 30


async def test_server_errors_are_not_retried_in_the_call(wire: Wire, arm: Arm) -> None:
    wire.on("GET", GALLERY, (503, None, {"Retry-After": "3600"}))
    with pytest.raises(AzureError) as caught:
        await arm.get(GALLERY)
    assert (caught.value.kind, caught.value.status) == (ErrorKind.RETRY, 503)
    wire.on("GET", GALLERY, (502, "<html>bad gateway</html>"))
    with pytest.raises(AzureError) as caught:
        await arm.get(GALLERY)
    assert (caught.value.kind, caught.value.status) == (ErrorKind.RETRY, 502)
    assert len(wire.seen) == 2


async def test_missing_registration_is_reported_and_nothing_is_registered(wire: Wire, arm: Arm) -> None:
    error = {
        "code": "MissingSubscriptionRegistration",
        "message": "not registered to use namespace 'Microsoft.Compute'",
    }
    wire.on("PUT", GALLERY, (409, {"error": error}))
    with pytest.raises(AzureError) as caught:
        await arm.put(GALLERY, {})
    assert caught.value.kind is ErrorKind.FORBIDDEN
    assert wire.seen == [("PUT", GALLERY)]


async def test_redirects_are_not_followed(wire: Wire, arm: Arm) -> None:
    wire.on("GET", GALLERY, (302, None, {"Location": "{url}/elsewhere"}))
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
    wire.on("GET", group, (307, None, {"Location": "{url}/elsewhere"}))
    for path in (GALLERY, group):
        with pytest.raises(AzureError):
            await arm.get(path)
    assert all(path != "/elsewhere" for _, path in wire.seen)


async def test_dropped_connection(wire: Wire, arm: Arm) -> None:
    async def drop(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        await asyncio.sleep(0)
        return web.Response()

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"id":')
        assert request.transport is not None
        request.transport.abort()
        return response

    for handler in (drop, cut):
        wire.answers[("PUT", GALLERY.lower())] = handler
        wire.answers[("GET", GALLERY.lower())] = handler
        with pytest.raises(AzureError) as caught:
            await arm.put(GALLERY, {})
        assert (caught.value.kind, caught.value.code) == (ErrorKind.UNREACHABLE, "ConnectionFailed")
        with pytest.raises(AzureError) as caught:
            await arm.get(GALLERY)
        assert caught.value.kind is ErrorKind.UNREACHABLE


async def test_no_answer_has_a_deadline(wire: Wire, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    released = asyncio.Event()

    async def silent(_: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    monkeypatch.setattr("gallery_operator.azure.calls.DEADLINE", 0.5)
    wire.answers[("GET", GALLERY.lower())] = silent
    with pytest.raises(AzureError) as caught:
        await arm.get(GALLERY)
    released.set()
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNREACHABLE, "TimedOut")


async def test_cancelling_is_not_an_azure_error(wire: Wire, arm: Arm) -> None:
    entered, released = asyncio.Event(), asyncio.Event()

    async def silent(_: web.Request) -> web.StreamResponse:
        entered.set()
        await released.wait()
        return web.Response()

    wire.answers[("GET", GALLERY.lower())] = silent
    task = asyncio.create_task(arm.get(GALLERY))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    released.set()


async def test_circuit_opens_after_five_failures(wire: Wire, arm: Arm) -> None:
    wire.on("GET", GALLERY, (500, {"error": {"code": "InternalServerError", "message": "m"}}))
    for _ in range(5):
        with pytest.raises(AzureError):
            await arm.get(GALLERY)
    with pytest.raises(AzureError) as caught:
        await arm.get(GALLERY)
    assert caught.value.code == "CircuitOpen"
    assert len(wire.seen) == 5


async def test_unknown_ca(wire: Wire) -> None:
    async with AzureGateway(wire.settings(ca_bundle=None)) as gateway:
        with pytest.raises(AzureError) as caught:
            await gateway.arm(client_secret(), SUBSCRIPTION).get(GALLERY)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNREACHABLE, "CertificateNotTrusted")
    assert "azure.caBundle" in caught.value.next_step


async def test_nobody_listens(wire: Wire) -> None:
    async with AzureGateway(wire.settings(authority_host="https://127.0.0.1:1")) as gateway:
        with pytest.raises(AzureError) as caught:
            await gateway.arm(client_secret(), SUBSCRIPTION).get(GALLERY)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNREACHABLE, "ConnectionFailed")


async def test_workload_identity(wire: Wire, gateway: AzureGateway, tmp_path: Path) -> None:
    wire.on("GET", GALLERY, (200, {}))
    token_file = tmp_path / "token"
    arm = gateway.arm(CredentialSpec.from_secret(BASE, token_file=token_file), SUBSCRIPTION)
    with pytest.raises(AzureError) as caught:
        await arm.get(GALLERY)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNAUTHENTICATED, "FileUnreadable")
    assert "AZURE_FEDERATED_TOKEN_FILE" in caught.value.next_step
    token_file.write_text("projected-token")
    assert await arm.get(GALLERY) == {}
    (form,) = wire.token_forms
    assert form["client_assertion"] == "projected-token"
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


async def test_certificate(wire: Wire, gateway: AzureGateway, tmp_path: Path) -> None:
    wire.on("GET", GALLERY, (200, {}))
    pem, key = certificate(tmp_path, rsa_key=True)
    spec = CredentialSpec.from_secret({**BASE, "AZURE_CLIENT_CERTIFICATE": pem.read_bytes() + key.read_bytes()})
    assert await gateway.arm(spec, SUBSCRIPTION).get(GALLERY) == {}
    header = wire.token_forms[0]["client_assertion"].split(".")[0]
    assert json.loads(base64.urlsafe_b64decode(header + "=="))["typ"] == "JWT"
    for bad in (b"C4nAry", pem.read_bytes(), key.read_bytes()):
        spec = CredentialSpec.from_secret({**BASE, "AZURE_CLIENT_CERTIFICATE": bad})
        with pytest.raises(AzureError) as caught:
            await gateway.arm(spec, SUBSCRIPTION).get(GALLERY)
        assert (caught.value.kind, caught.value.code) == (ErrorKind.UNAUTHENTICATED, "CertificateUnusable")
        assert "C4nAry" not in repr(caught.value)


async def test_wrong_secret_says_what_to_do_next(wire: Wire, arm: Arm) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        text = "AADSTS7000215: Invalid client secret provided. Trace ID: 11111111-1111-1111-1111-111111111111 Timestamp: 2026-11-23 23:14:05Z"
        return web.json_response({"error": "invalid_client", "error_description": text}, status=401)

    wire.token_answer = refuse
    with pytest.raises(AzureError) as caught:
        await arm.get(GALLERY)
    error = caught.value
    assert (error.kind, error.code, error.status) == (ErrorKind.UNAUTHENTICATED, "AADSTS7000215", 401)
    assert error.message == "AADSTS7000215: Invalid client secret provided."
    assert "AZURE_CLIENT_SECRET" in error.next_step
    assert wire.seen == []


async def test_entra_id_in_trouble_is_not_a_wrong_secret(wire: Wire, arm: Arm) -> None:
    for status, body, kind in (
        (503, {"error": "temporarily_unavailable", "error_description": "AADSTS90033: try later"}, ErrorKind.RETRY),
        (500, {"error": "server_error", "error_description": "oops"}, ErrorKind.RETRY),
        (429, {"error": "too_many", "error_description": "AADSTS50196: loop"}, ErrorKind.THROTTLED),
    ):

        async def trouble(_: web.Request, status: int = status, body: object = body) -> web.StreamResponse:
            return web.json_response(body, status=status, headers={"Retry-After": "3600"})

        wire.token_answer = trouble
        with pytest.raises(AzureError) as caught:
            await arm.get(GALLERY)
        assert caught.value.kind is kind


async def test_ids_that_are_none(wire: Wire, arm: Arm) -> None:
    for bad in ("", "gallery", "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/n"):
        for call in (arm.get, arm.delete, arm.failure):
            if call == arm.failure and bad.endswith("/n"):
                continue
            with pytest.raises(AzureError) as caught:
                await call(bad)
            assert caught.value.kind is ErrorKind.INVALID
    with pytest.raises(AzureError):
        await arm.list(GALLERY)
    assert wire.seen == []


async def test_no_secret_in_any_log_or_exception(wire: Wire, arm: Arm, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    levels = {name: logging.getLogger(name).level for name in list(logging.root.manager.loggerDict)}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        wire.on("POST", f"{DISK}/beginGetAccess", (202, None, POLL))
        done = {"status": "Succeeded", "properties": {"output": {"accessSAS": SAS}}}
        wire.on("GET", OPERATION, (200, done))
        await arm.grant_write_access(DISK, 60)
        wire.on("PUT", VERSION, (409, {"error": {"code": "X", "message": f"bad url {SAS} with Bearer {TOKEN}"}}))
        with pytest.raises(AzureError) as caught:
            await arm.put(VERSION, {"properties": {"storageProfile": {"osDiskImage": {"source": {"uri": SAS}}}}})
        with pytest.raises(AzureError):
            await arm.get(GALLERY + "/images/x/versions/y/z")
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
    assert "disks.grantAccess: ok" in caplog.text  # something was logged
    assert "C4nAry" not in caplog.text
    assert TOKEN not in caplog.text
    assert "C4nAry" not in f"{caught.value!r}{caught.value!s}{caught.value.__dict__}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


async def test_a_client_pushed_out_of_the_cache_finishes_its_call(wire: Wire) -> None:
    entered, released = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        entered.set()
        await released.wait()
        return web.json_response({"done": True})

    wire.answers[("GET", GALLERY.lower())] = slow
    wire.on("GET", DISK, (200, {}))
    gateway = AzureGateway(wire.settings())
    gateway._clients = Clients(wire.settings(), size=1)
    async with gateway:
        arm = gateway.arm(client_secret(), SUBSCRIPTION)
        running = asyncio.create_task(arm.get(GALLERY))
        await entered.wait()
        for number in range(3):
            assert await gateway.arm(client_secret(f"other-{number}"), SUBSCRIPTION).get(DISK) == {}
        assert len(gateway._clients._compute) == 1
        released.set()
        assert await running == {"done": True}
        assert await arm.get(DISK) == {}  # made anew


async def test_gateway_must_be_open(wire: Wire) -> None:
    gateway = AzureGateway(wire.settings())
    with pytest.raises(RuntimeError, match="not open"):
        await gateway.arm(client_secret(), SUBSCRIPTION).get(GALLERY)
    async with gateway:
        pass
    with pytest.raises(RuntimeError, match="not open"):
        await gateway.arm(client_secret(), SUBSCRIPTION).get(GALLERY)
