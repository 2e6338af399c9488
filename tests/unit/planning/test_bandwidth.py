from __future__ import annotations

import pytest

from gallery_operator.planning.bandwidth import bytes_per_second


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(None, None), ("1k", 1000), ("50M", 50_000_000), ("50Mi", 50 << 20), ("2Gi", 2 << 30), ("999999Ki", 999999 << 10)],
)
def test_words_of_the_spec_become_bytes_a_second(limit: str | None, expected: int | None) -> None:
    assert bytes_per_second(limit) == expected
