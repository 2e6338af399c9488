# ruff: noqa: E501 - one case a line
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.azure.blobs import BlobName
from gallery_operator.azure.errors import AzureError, ErrorKind


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://acct.blob.core.windows.net/vhds/a.vhd", BlobName("https://acct.blob.core.windows.net", "acct", "vhds", "a.vhd")),
        ("https://acct.z12.blob.storage.azure.net/c/d/e%20f.vhd", BlobName("https://acct.z12.blob.storage.azure.net", "acct", "c", "d/e f.vhd")),
        ("https://acct.blob.core.chinacloudapi.cn/c/b", BlobName("https://acct.blob.core.chinacloudapi.cn", "acct", "c", "b")),
        ("https://azurite.azure-simulator.svc:10000/acct/c/b/x", BlobName("https://azurite.azure-simulator.svc:10000/acct", "acct", "c", "b/x")),
        ("https://127.0.0.1:10000/acct/c/b", BlobName("https://127.0.0.1:10000/acct", "acct", "c", "b")),
    ],
)  # fmt: skip
def test_styles(url: str, name: BlobName) -> None:
    assert BlobName.parse(url) == name
    assert name.url == url


@pytest.mark.parametrize(
    "url",
    [
        "", "http://acct.blob.core.windows.net/c/b", "https://acct.blob.core.windows.net/c", "https://acct.blob.core.windows.net/c/",
        "https://acct.blob.core.windows.net/c/b?sig=C4nary", "https://u:C4nary@acct.blob.core.windows.net/c/b",
        "https://acct.blob.core.windows.net/c/../b", "https://acct.blob.core.windows.net/c/b#x", "https://host/acct/c",
        "https://[/c/b", "https://h:x/a/c/b",
    ],
)  # fmt: skip
def test_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(AzureError) as caught:
        BlobName.parse(url)
    assert caught.value.kind is ErrorKind.INVALID
    assert "C4nary" not in repr(caught.value)


@given(st.text(min_size=1, max_size=40))
def test_any_name_survives_the_url(text: str) -> None:
    name = BlobName("https://a.blob.core.windows.net", "a", "c", text)
    try:
        url = name.url
    except UnicodeEncodeError:
        return  # lone surrogates are no text
    try:
        parsed = BlobName.parse(url)
    except AzureError:
        assert {".", ".."} & set(text.split("/")) or text.startswith("/")
    else:
        assert parsed == name
