"""The list of a page blob's written ranges: nothing that was written may be missing from it, whatever its parts."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.contract import FailureCode
from gallery_operator.worker.answers import Again, Changed
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import ConnectionLost, HttpClient
from gallery_operator.worker.layout import MERGE_GAP_BYTES, Range
from gallery_operator.worker.origin_blob import PageBlob

PAGE = 512
TOTAL = 4096 * MERGE_GAP_BYTES


class Answered(io.BytesIO):
    """Stands for ``Response``."""

    def __init__(self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
        super().__init__(body)
        self.status = status
        self._headers = {"ETag": '"1"', "x-ms-blob-content-length": str(TOTAL), **headers}

    def header(self, name: str) -> str | None:
        return self._headers.get(name)


class Service:
    """Lists ranges, so many in an answer."""

    def __init__(self, ranges: list[Range], most: int = 10_000, etags: tuple[str, ...] = ('"1"',)) -> None:
        self.ranges, self.most, self.etags = ranges, most, etags
        self.asked: list[str] = []

    def get(self, url: str, _headers: Mapping[str, str]) -> Answered:
        self.asked.append(url)
        query = parse_qs(urlsplit(url).query)
        assert query["comp"] == ["pagelist"]
        at = int(query.get("marker", ["0"])[0])
        part = self.ranges[at : at + self.most]
        listed = "".join(f"<PageRange><Start>{s}</Start><End>{e - 1}</End></PageRange>" for s, e in part)
        marker = f"<NextMarker>{at + self.most}</NextMarker>" if at + self.most < len(self.ranges) else "<NextMarker />"
        cleared = "<ClearRange><Start>0</Start><End>511</End></ClearRange>"
        body = f'\ufeff<?xml version="1.0" encoding="utf-8"?><PageList>{listed}{cleared}{marker}</PageList>'
        etag = self.etags[min(len(self.asked), len(self.etags)) - 1]
        return Answered(200, body.encode(), {"ETag": etag})


def page_blob(service: Any) -> PageBlob:
    return PageBlob(cast("HttpClient", service), "https://a.example/c/b")


@st.composite
def written(draw: st.DrawFn) -> list[Range]:
    cuts = sorted(draw(st.sets(st.integers(0, TOTAL // PAGE), min_size=0, max_size=24)))
    pairs = zip(cuts[::2], cuts[1::2], strict=False)
    return [Range(start * PAGE, end * PAGE) for start, end in pairs]


@given(ranges=written(), most=st.integers(1, 5))
def test_all_that_was_written_is_in_the_list(ranges: list[Range], most: int) -> None:
    found = page_blob(Service(ranges, most)).written()
    assert found is not None
    assert (found.etag, found.total) == ('"1"', TOTAL)
    for each in ranges:
        assert any(one.start <= each.start and each.end <= one.end for one in found.ranges)
    for before, after in zip(found.ranges, found.ranges[1:], strict=False):
        assert after.start - before.end >= MERGE_GAP_BYTES
    edges = {edge for each in ranges for edge in each}
    assert {edge for each in found.ranges for edge in each} <= edges


def test_a_blob_that_changes_between_two_parts() -> None:
    ranges = [Range(0, PAGE), Range(TOTAL - PAGE, TOTAL)]
    with pytest.raises(Changed):
        page_blob(Service(ranges, 1, ('"1"', '"2"'))).written()


class Fixed:
    def __init__(self, answer: Answered) -> None:
        self.answer = answer

    def get(self, _url: str, _headers: Mapping[str, str]) -> Answered:
        return self.answer


def test_what_is_no_page_blob_is_all_written() -> None:
    assert page_blob(Fixed(Answered(409, headers={"x-ms-error-code": "InvalidBlobType"}))).written() is None


def test_a_list_without_end_is_not_read() -> None:
    assert page_blob(Fixed(Answered(200, b"<PageList>" + b" " * (17 << 20)))).written() is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html/>",
        b"<PageList><PageRange><Start>0</Start></PageRange></PageList>",
        b"<PageList><PageRange><Start>x</Start><End>511</End></PageRange></PageList>",
        b"<PageList><PageRange><Start>0</Start><End>511</End></PageRange>",
    ],
)
def test_a_list_that_cannot_be_read_is_none(body: bytes) -> None:
    with pytest.raises(ConnectionLost):
        page_blob(Fixed(Answered(200, body))).written()


def test_a_list_of_no_version_is_asked_for_again() -> None:
    with pytest.raises(Again):
        page_blob(Fixed(Answered(200, b"<PageList/>", {"x-ms-blob-content-length": ""}))).written()


def test_a_refusal_is_told() -> None:
    with pytest.raises(WorkerError) as caught:
        page_blob(Fixed(Answered(404, headers={"x-ms-error-code": "BlobNotFound"}))).written()
    assert caught.value.code is FailureCode.SOURCE_NOT_FOUND
