"""A page blob in memory, and the way there, which may end at any moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from gallery_operator.worker.layout import Range, merge, subtract


class Killed(BaseException):
    """The process dies here."""


class Blob:
    """A page blob that outlives the uploaders."""

    def __init__(self, size: int) -> None:
        self.content = bytearray(size)
        self.written: list[Range] = []
        self.sent = 0
        self.lock = threading.Lock()

    def write(self, offset: int, data: bytes) -> None:
        with self.lock:
            self.content[offset : offset + len(data)] = data
            self.written = merge([*self.written, Range(offset, offset + len(data))])
            self.sent += len(data)


class Way:
    """Stands for the target of one attempt: it delays requests, and dies at the n-th, in one of three ways."""

    name = "account.example/container/disk.vhd"

    def __init__(self, blob: Blob, die_at: int | None, how: str, delays: list[int]) -> None:
        self.blob, self.die_at, self.how, self.delays = blob, die_at, how, delays
        self.stopping = threading.Event()
        self.on_throttled: Callable[[], None] = lambda: None
        self.count = 0

    def put_page(self, what: str, offset: int, data: memoryview, lease: Callable[[], str | None]) -> None:
        lease()
        with self.blob.lock:
            self.count += 1
            mine = self.count
        time.sleep(self.delays[mine % len(self.delays)] / 10_000)
        if self.die_at is not None and mine >= self.die_at:
            if self.how == "half" and mine == self.die_at:
                self.blob.write(offset, bytes(data[: len(data) // 1024 * 512]))
            elif self.how == "after":
                self.blob.write(offset, bytes(data))
            raise Killed
        self.blob.write(offset, bytes(data))

    def page_ranges(self, start: int, length: int) -> list[Range]:
        end = start + length
        return [Range(max(a, start), min(b, end)) for a, b in self.blob.written if a < end and b > start]

    def get_page(self, what: str, offset: int, buffer: memoryview, ready: Callable[[], None]) -> None:
        ready()
        buffer[:] = self.blob.content[offset : offset + len(buffer)]

    def call(self, what: str, request: Callable[[Any], Any]) -> Any:
        outer = self.blob

        class Client:
            def clear_page(self, offset: int, length: int) -> None:
                outer.content[offset : offset + length] = bytes(length)
                outer.written = merge(subtract(outer.written, [Range(offset, offset + length)]))

        return request(Client())
