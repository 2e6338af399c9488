"""Downloads and uploads through a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.integration.worker.badserver import BadServer
from tests.integration.worker.fetching import BODY, Fetch
from tests.integration.worker.forwardproxy import ForwardProxy
from tests.integration.worker.stages import Stage, big_disk

from gallery_operator.contract import FailureCode
from gallery_operator.worker.address import AddressRule
from gallery_operator.worker.http import ConnectionLost, tls_context

PUBLIC_ONLY = AddressRule.of([], [])


def nobody(host: str, port: int) -> list[str]:
    raise ConnectionLost(f"the name {host} cannot be resolved")


@pytest.fixture
def secure(certificate: tuple[Path, Path]) -> Iterator[BadServer]:
    made = BadServer(certificate)
    yield made
    made.close()


@pytest.fixture
def proxy(server: BadServer, secure: BadServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForwardProxy]:
    made = ForwardProxy(
        {"images.example:80": ("127.0.0.1", server.port), "localhost:443": ("127.0.0.1", secure.port)},
    )
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{made.address}")
    monkeypatch.setenv("HTTP_PROXY", f"http://user:s3cret@{made.address}")
    yield made
    made.close()


def test_https_goes_through_a_tunnel_and_the_server_is_verified(
    secure: BadServer, proxy: ForwardProxy, certificate: tuple[Path, Path], fetch: Fetch
) -> None:
    secure.serve("/disk", BODY)
    url = "https://localhost/disk"
    got = fetch(url, None, tls=tls_context(certificate[0]), rule=PUBLIC_ONLY, resolver=nobody)
    assert got.read_bytes() == BODY
    assert [(each.method, each.target) for each in proxy.asked] == [("CONNECT", "localhost:443")]
    assert secure.seen[0].headers["host"] == "localhost"
    assert fetch.refused(url, None, rule=PUBLIC_ONLY, resolver=nobody, fingerprint="g").code == FailureCode.TLS_FAILED


def test_http_goes_to_the_proxy_whole_and_the_password_no_further(
    server: BadServer, proxy: ForwardProxy, fetch: Fetch
) -> None:
    server.serve("/disk", BODY)
    assert fetch("http://images.example/disk", rule=PUBLIC_ONLY, resolver=nobody).read_bytes() == BODY
    assert proxy.asked[0].target == "http://images.example/disk"
    assert proxy.asked[0].headers["proxy-authorization"].startswith("Basic ")
    assert "proxy-authorization" not in server.seen[0].headers


def test_a_download_goes_on_after_the_way_broke(server: BadServer, proxy: ForwardProxy, fetch: Fetch) -> None:
    server.serve("/disk", BODY, faults=[503])
    assert fetch("http://images.example/disk", rule=PUBLIC_ONLY, resolver=nobody).read_bytes() == BODY
    assert len(proxy.asked) == 2


@pytest.mark.parametrize("host", ["10.1.2.3", "169.254.169.254", "[::1]", "internal.example"])
def test_what_is_known_to_be_private_is_not_asked_of_the_proxy(host: str, proxy: ForwardProxy, fetch: Fetch) -> None:
    def known(name: str, port: int) -> list[str]:
        return ["10.0.0.7"] if name == "internal.example" else [name]

    refused = fetch.refused(f"http://{host}/disk", rule=PUBLIC_ONLY, resolver=known)
    assert refused.code == FailureCode.SOURCE_ADDRESS_FORBIDDEN
    assert not proxy.asked


def test_hosts_of_no_proxy_are_asked_themselves(
    server: BadServer, proxy: ForwardProxy, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "example.org,127.0.0.0/8")
    server.serve("/disk", BODY)
    assert fetch(server.url("/disk")).read_bytes() == BODY
    assert not proxy.asked


@pytest.mark.parametrize(("status", "retry"), [(403, False), (407, False), (502, True)])
def test_a_proxy_that_refuses_is_named(status: int, retry: bool, proxy: ForwardProxy, fetch: Fetch) -> None:
    proxy.refuse = status
    refused = fetch.refused("https://localhost/disk", rule=PUBLIC_ONLY, resolver=nobody)
    assert (refused.code, refused.retry) == (FailureCode.SOURCE_UNREACHABLE, retry)
    assert "proxy 127.0.0.1" in refused.message
    assert str(status) in refused.message


def test_a_proxy_that_is_none_is_told_without_its_password(
    proxy: ForwardProxy, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:s3cret@127.0.0.1:1080")
    refused = fetch.refused("https://localhost/disk", rule=PUBLIC_ONLY, resolver=nobody)
    assert refused.code == FailureCode.BAD_CONFIGURATION
    assert "s3cret" not in refused.message


def test_an_upload_goes_through_the_proxy_too(
    stage: Stage, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = urlsplit(stage.proxy.url)
    proxy.routes[service.netloc] = (str(service.hostname), int(service.port or 443))
    stage.prepare(big_disk())
    assert stage.upload().succeeded
    monkeypatch.delenv("HTTP_PROXY")
    monkeypatch.delenv("HTTPS_PROXY")
    assert stage.content() == stage.vhd
    assert stage.proxy.page_bytes == stage.sent_minimum
    pages = [each for each in proxy.asked if "comp=page&" in f"{each.target}&"]
    assert sum(int(each.headers["content-length"]) for each in pages) == stage.sent_minimum
    assert all(each.headers["proxy-authorization"].startswith("Basic ") for each in proxy.asked)
