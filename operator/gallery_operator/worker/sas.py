"""A URL with a SAS, in a file that the operator writes anew before the SAS ends."""

import logging
import threading
import time
from pathlib import Path

log = logging.getLogger(__name__)


class SasFile:
    """Gives the URL to many threads, and waits for the next one when it is refused.

    Args:
        path: The file; mounted from a Secret.
        seconds: How long to wait for another SAS. The kubelet brings a changed Secret into the pod within about 90 s.
        poll_seconds: How often to look for it.
        renewals: How often in all.
    """

    def __init__(self, path: Path, *, seconds: float = 150.0, poll_seconds: float = 1.0, renewals: int = 50) -> None:
        self.path = path
        self._seconds = seconds
        self._poll_seconds = poll_seconds
        self._most_renewals = renewals
        self._lock = threading.Lock()
        self._generation = 0
        self._renewals = 0
        self._url = self._read()

    def current(self) -> tuple[int, str]:
        """Return the URL with its SAS, never to be shown, and a number that tells it from the next; empty: no file."""
        with self._lock:
            return self._generation, self._url or ""

    def renewed(self, generation: int, why: str, stopping: threading.Event | None = None) -> bool:
        """Wait until there is another SAS than the refused one.

        Args:
            generation: Number of the refused one.
            why: What was answered, for the log.
            stopping: Ends the wait.

        Returns:
            Whether there is one now.
        """
        stopping = stopping or threading.Event()
        until = time.monotonic() + self._seconds
        with self._lock:
            if self._generation != generation:
                return True  # Another thread has it already.
            log.warning("the SAS in %s is refused (%s), waiting for another one", self.path, why)
            self._renewals += 1
            while self._renewals <= self._most_renewals:
                url = self._read()
                if url is not None and url != self._url:
                    self._url = url
                    self._generation += 1
                    log.info("there is a new SAS in %s", self.path)
                    return True
                if time.monotonic() >= until or stopping.wait(self._poll_seconds):
                    break
        return False

    def _read(self) -> str | None:
        try:
            return self.path.read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError):
            return None
