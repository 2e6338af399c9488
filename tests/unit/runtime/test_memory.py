"""Giving memory back is a courtesy: it works where glibc is, and does no harm elsewhere."""

import ctypes
from pathlib import Path

import pytest

from gallery_operator.runtime import memory


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def test_it_gives_freed_memory_back() -> None:
    # Small blocks: glibc gives large ones back by itself.
    blocks = [bytes(1000) for _ in range(100_000)]
    keep = blocks[-1]
    full = _resident()
    blocks.clear()
    memory.give_back()
    assert len(keep) == 1000
    assert _resident() < full


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> ctypes.CDLL:
        raise OSError("no such library")

    monkeypatch.setattr(memory.ctypes, "CDLL", missing)
    memory.give_back()
