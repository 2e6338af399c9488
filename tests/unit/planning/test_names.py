"""Names of children: DNS labels, unique, stable."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.planning.names import child_name, fingerprint, staging_disk_name

_ALNUM = "abcdefghijklmnopqrstuvwxyz0123456789"
labels = st.builds(
    lambda first, middle, last: first + middle + last,
    st.sampled_from(_ALNUM),
    st.text(_ALNUM + "-.", max_size=250),
    st.sampled_from(_ALNUM),
).filter(lambda name: ".." not in name and ".-" not in name and "-." not in name)


@given(labels)
def test_child_name_is_a_dns_label(parent: str) -> None:
    name = child_name(parent, "prepare", fingerprint("x"))
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name)


@given(st.lists(labels, min_size=2, max_size=2, unique=True))
def test_two_parents_have_two_children(parents: list[str]) -> None:
    suffix = fingerprint("x")
    assert child_name(parents[0], "upload", suffix) != child_name(parents[1], "upload", suffix)


def test_dots_do_not_make_two_names_one() -> None:
    assert child_name("a.b", "upload", "0") != child_name("a-b", "upload", "0")


def test_short_names_stay_readable() -> None:
    assert child_name("debian-12", "prepare", "0123456789") == "debian-12-prepare-0123456789"


def test_fingerprint_heeds_values_not_order() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


@given(labels, labels)
def test_staging_disk_fits_azure(namespace: str, name: str) -> None:
    disk = staging_disk_name(namespace[:63], name, "uid")
    assert len(disk) <= 80
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9_])?", disk)
    assert disk != staging_disk_name(namespace[:63], name, "other")
