"""Blobs on the wire: answers of the storage service that an emulator does not give."""

import logging
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from tests.integration.azure.wire import SUBSCRIPTION, TOKEN, Wire, client_secret

from gallery_operator.azure import resource_ids
from gallery_operator.azure.blobs import MAX_SAS_SECONDS, Blobs, Revision
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.gateway import AzureGateway
from gallery_operator.azure.settings import AzureSettings

KEY = """<?xml version="1.0" encoding="utf-8"?><UserDelegationKey><SignedOid>o</SignedOid><SignedTid>t</SignedTid>
<SignedStart>2026-01-01T00:00:00Z</SignedStart><SignedExpiry>2026-01-02T00:00:00Z</SignedExpiry>
<SignedService>b</SignedService><SignedVersion>2026-06-06</SignedVersion><Value>QzRuQXJ5S2V5</Value></UserDelegationKey>"""


@pytest.fixture
def blobs(gateway: AzureGateway) -> Blobs:
    return gateway.blobs(client_secret())


def serve_keys(wire: Wire) -> list[str]:
    asked: list[str] = []

    async def key(request: web.Request) -> web.StreamResponse:
        asked.append(await request.text())
        return web.Response(text=KEY, content_type="application/xml")

    wire.answers[("POST", "/acct/")] = wire.answers[("POST", "/acct")] = key
    return asked


def answer(code: str, status: int) -> tuple[int, None, dict[str, str]]:
    return (status, None, {"x-ms-error-code": code})


async def test_signed_url_is_for_one_blob_and_no_more(wire: Wire, blobs: Blobs) -> None:
    asked = serve_keys(wire)
    url = f"{wire.url}/acct/vhds/folder/a%20b.vhd"
    sas = await blobs.upload_sas(url, 3600)
    secret = sas.get_secret_value()
    assert secret.startswith(f"{url}?")
    query = {name: values[0] for name, values in parse_qs(urlsplit(secret).query).items()}
    assert (query["sp"], query["sr"], query["spr"], query["skoid"]) == ("rw", "b", "https", "o")
    left = datetime.fromisoformat(query["se"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    assert secret not in f"{sas}{sas!r}"
    await blobs.upload_sas(f"{wire.url}/acct/vhds/other", 600)
    assert len(asked) == 1  # one key signs many URLs
    await blobs.upload_sas(url, 24 * 3600)
    assert len(asked) == 2  # but none that outlives it
    await blobs.upload_sas(url, MAX_SAS_SECONDS)
    assert "<Expiry>" in asked[-1]


TIME = "2026-11-30T08:50:35.1234567Z"


@pytest.mark.parametrize(
    ("revision", "resource", "named"),
    [
        (Revision(), "b", {}),
        (Revision(version_id=TIME), "bv", {"versionid": TIME}),
        (Revision(snapshot=TIME), "bs", {"snapshot": TIME}),
    ],
)
async def test_url_to_read_is_for_one_state_of_one_blob(
    revision: Revision, resource: str, named: dict[str, str], wire: Wire, blobs: Blobs
) -> None:
    serve_keys(wire)
    url = f"{wire.url}/acct/vhds/folder/a%20b.vhd"
    secret = (await blobs.read_sas(url, 3600, revision)).get_secret_value()
    assert secret.startswith(f"{url}?")
    query = {name: values[0] for name, values in parse_qs(urlsplit(secret).query).items()}
    assert (query["sp"], query["sr"], query["spr"], query["skoid"]) == ("r", resource, "https", "o")
    assert {name: query[name] for name in ("versionid", "snapshot") if name in query} == named


@pytest.mark.parametrize("seconds", [0, -1, MAX_SAS_SECONDS + 1])
async def test_life_of_a_signed_url_has_bounds(wire: Wire, blobs: Blobs, seconds: int) -> None:
    with pytest.raises(ValueError, match="signed URL"):
        await blobs.upload_sas(f"{wire.url}/acct/c/b", seconds)
    with pytest.raises(ValueError, match="signed URL"):
        await blobs.read_sas(f"{wire.url}/acct/c/b", seconds)


async def test_no_token_goes_to_a_host_that_a_user_chose(wire: Wire) -> None:
    public = AzureSettings()
    settings = wire.settings(resource_manager_endpoint=public.resource_manager_endpoint)
    hosts = (wire.url, "https://acct.blob.core.windows.net.evil.example", "https://blob.evil.example")
    async with AzureGateway(settings) as gateway:
        blobs = gateway.blobs(client_secret())
        for host in hosts:
            url = f"{host}/acct/c/b"
            for ask in (blobs.properties(url), blobs.delete(url), blobs.upload_sas(url, 60), blobs.read_sas(url, 60)):
                with pytest.raises(AzureError) as caught:
                    await ask
                assert (caught.value.kind, caught.value.code) == (ErrorKind.INVALID, "UntrustedBlobEndpoint")
    assert wire.seen == []
    assert wire.token_forms == []


async def test_endpoint_that_resource_manager_names(wire: Wire) -> None:
    """Here Resource Manager is `localhost` and storage `127.0.0.1`: two hosts that have nothing in common."""
    account = str(resource_ids.storage_account(SUBSCRIPTION, "rg", "acct"))
    url = f"{wire.url}/acct/c/b"
    wire.on("GET", account, (200, {"properties": {"primaryEndpoints": {"blob": f"{wire.url}/acct/"}}}))
    wire.on("HEAD", "/acct/c/b", answer("BlobNotFound", 404))
    settings = wire.settings(resource_manager_endpoint=wire.url.replace("127.0.0.1", "localhost"))
    async with AzureGateway(settings) as gateway:
        with pytest.raises(AzureError) as caught:
            await gateway.blobs(client_secret()).properties(url)
        assert caught.value.code == "UntrustedBlobEndpoint"
        assert wire.seen == []
        for _ in range(2):
            assert await gateway.blobs(client_secret(), account).properties(url) is None
        assert await gateway.blobs(client_secret()).properties(url) is None
        assert [method for method, _ in wire.seen] == ["GET", "HEAD", "HEAD", "HEAD"]
        with pytest.raises(AzureError) as caught:  # another host than the account's stays refused
            await gateway.blobs(client_secret(), account).properties(url.replace("127.0.0.1", "127.0.0.2"))
        assert caught.value.code == "UntrustedBlobEndpoint"


async def test_no_right_to_sign(wire: Wire, blobs: Blobs) -> None:
    wire.on("POST", "/acct/", answer("AuthorizationPermissionMismatch", 403))
    wire.on("POST", "/acct", answer("AuthorizationPermissionMismatch", 403))
    with pytest.raises(AzureError) as caught:
        await blobs.upload_sas(f"{wire.url}/acct/c/b", 60)
    assert caught.value.kind is ErrorKind.FORBIDDEN
    assert "Storage Blob Delegator" in caught.value.next_step


async def test_properties(wire: Wire, blobs: Blobs) -> None:
    headers = {
        "Content-Length": "0",
        "x-ms-blob-type": "PageBlob",
        "x-ms-lease-state": "leased",
        "x-ms-lease-status": "locked",
        "ETag": '"0x1"',
        "Last-Modified": "Mon, 23 Nov 2026 23:14:05 GMT",
        "x-ms-meta-sha256": "abc",
        "x-ms-meta-a": "b",
    }
    wire.on("HEAD", "/acct/c/b", (200, None, headers))
    found = await blobs.properties(f"{wire.url}/acct/c/b")
    assert found is not None
    assert (found.size, found.leased, found.blob_type, found.etag) == (0, True, "PageBlob", '"0x1"')
    assert {name.lower(): value for name, value in found.metadata.items()} == {"sha256": "abc", "a": "b"}
    assert found.last_modified == datetime(2026, 11, 23, 23, 14, 5, tzinfo=UTC)
    wire.on("HEAD", "/acct/c/b", answer("BlobNotFound", 404))
    assert await blobs.properties(f"{wire.url}/acct/c/b") is None
    wire.on("HEAD", "/acct/c/b", answer("ContainerNotFound", 404))
    with pytest.raises(AzureError) as caught:
        await blobs.properties(f"{wire.url}/acct/c/b")
    assert caught.value.kind is ErrorKind.DEPENDENCY


async def test_properties_that_a_source_must_not_have(wire: Wire, blobs: Blobs) -> None:
    headers = {"Content-Length": "0", "x-ms-blob-type": "BlockBlob", "ETag": '"0x1"'}
    wire.on("HEAD", "/acct/c/b", (200, None, headers))
    found = await blobs.properties(f"{wire.url}/acct/c/b", Revision(snapshot=TIME))
    assert found is not None
    assert (found.archived, found.folder) == (False, False)
    assert wire.requests[-1].query["snapshot"] == TIME
    wire.on(
        "HEAD", "/acct/c/b", (200, None, {**headers, "x-ms-access-tier": "Archive", "x-ms-meta-hdi_isfolder": "true"})
    )
    found = await blobs.properties(f"{wire.url}/acct/c/b")
    assert found is not None
    assert (found.archived, found.folder) == (True, True)


async def test_delete(wire: Wire, blobs: Blobs) -> None:
    url = f"{wire.url}/acct/c/b"
    for gone in ((202, None), answer("BlobNotFound", 404), answer("ContainerNotFound", 404)):
        wire.on("DELETE", "/acct/c/b", gone)
        await blobs.delete(url)
    wire.seen.clear()
    wire.on("DELETE", "/acct/c/b", answer("LeaseIdMissing", 412), (202, None))
    wire.on("PUT", "/acct/c/b", (202, None, {"x-ms-lease-time": "0"}))
    await blobs.delete(url)
    assert [method for method, _ in wire.seen] == ["DELETE", "PUT", "DELETE"]
    wire.on("DELETE", "/acct/c/b", answer("LeaseIdMissing", 412), (202, None))
    wire.on("PUT", "/acct/c/b", answer("LeaseNotPresentWithLeaseOperation", 409))
    await blobs.delete(url)  # the lease ended between the two calls
    for code, status, kind in (
        ("SnapshotsPresent", 409, ErrorKind.DEPENDENTS),
        ("BlobImmutableDueToPolicy", 409, ErrorKind.FORBIDDEN),
        ("AuthorizationFailure", 403, ErrorKind.FORBIDDEN),
        ("ServerBusy", 503, ErrorKind.THROTTLED),
    ):
        wire.seen.clear()
        wire.on("DELETE", "/acct/c/b", answer(code, status))
        with pytest.raises(AzureError) as caught:
            await blobs.delete(url)
        assert (caught.value.kind, caught.value.code) == (kind, code)
        assert len(wire.seen) == 1  # not retried in the call


async def test_version_of_the_service_can_be_set(wire: Wire) -> None:
    async with AzureGateway(wire.settings(storage_api_version="2026-06-06")) as gateway:
        wire.on("HEAD", "/acct/c/b", answer("InvalidHeaderValue", 400))
        with pytest.raises(AzureError) as caught:
            await gateway.blobs(client_secret()).properties(f"{wire.url}/acct/c/b")
    assert wire.requests[0].headers["x-ms-version"] == "2026-06-06"
    assert wire.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert "GALLERY_OPERATOR_STORAGE_API_VERSION" in caught.value.next_step


async def test_no_secret_in_any_log(wire: Wire, blobs: Blobs, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    levels = {name: logging.getLogger(name).level for name in list(logging.root.manager.loggerDict)}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        serve_keys(wire)
        sas = (await blobs.upload_sas(f"{wire.url}/acct/c/b", 60)).get_secret_value()
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
    assert "blobs.userDelegationKey: ok" in caplog.text
    for secret in ("QzRuQXJ5S2V5", TOKEN, parse_qs(urlsplit(sas).query)["sig"][0]):
        assert secret not in caplog.text
