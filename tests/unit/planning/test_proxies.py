"""Which proxy settings go into pods."""

from __future__ import annotations

import pytest

from gallery_operator.planning.proxies import worker_proxies


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, {}),
        ({"NO_PROXY": "a"}, {}),
        ({"HTTPS_PROXY": "", "https_proxy": "http://p:1"}, {"HTTPS_PROXY": "http://p:1"}),
        (
            {"HTTPS_PROXY": "http://p:1", "http_proxy": "q:2", "no_proxy": "a,.b", "PATH": "x"},
            {"HTTPS_PROXY": "http://p:1", "HTTP_PROXY": "q:2", "NO_PROXY": "a,.b"},
        ),
    ],
)
def test_settings_go_on_under_one_name(environment: dict[str, str], expected: dict[str, str]) -> None:
    assert worker_proxies(environment) == expected


@pytest.mark.parametrize("proxy", ["http://user:s3cret@p:1", "user@p:1"])
def test_a_password_does_not_go_into_a_pod(proxy: str) -> None:
    with pytest.raises(ValueError, match="HTTPS_PROXY") as caught:
        worker_proxies({"HTTPS_PROXY": proxy})
    assert "s3cret" not in str(caught.value)
