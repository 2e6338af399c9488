"""What an interrupted upload leaves on this machine, and a run finds again: one folder for a disk and a destination."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from gallery_operator.transfer.ends import UploadError, UploadExit
from gallery_operator.worker.journal import JOURNAL
from gallery_operator.worker.manifest import MANIFEST, write_atomically

_LOCK = "lock"
_ID = "id"
_URL = "target-url"
_DISK = "disk"


def default_folder(environment: Mapping[str, str]) -> Path:
    """Return where state is kept: below ``$XDG_STATE_HOME``, else ``~/.local/state``."""
    home = environment.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "gallery-operator" / "uploads"


class State:
    """The folder of one upload, held by one process at a time. A context manager.

    Args:
        base: Where all of them are.
        disk: Tells the disk from others.
        destination: Tells the destination from others.
    """

    def __init__(self, base: Path, disk: str, destination: str) -> None:
        key = hashlib.sha256(f"{disk}\0{destination}".encode()).hexdigest()[:16]
        self.folder = base / key
        self.scratch = self.folder / _DISK
        self.url_file = self.folder / _URL
        self._lock = -1
        self._url_fd = -1

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.scratch.mkdir(exist_ok=True, mode=0o700)
            self._lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release()
            raise UploadError(
                UploadExit.USAGE, "another process is uploading this disk to this destination; wait for its end"
            ) from None
        except OSError as error:
            message = f"the state folder {self.folder} cannot be used: {error.strerror}. Give another --state-dir."
            raise UploadError(UploadExit.DISK, message) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.url_file.unlink(missing_ok=True)
        if not self.holds_work() and self.folder.exists() and not (self.folder / _ID).exists():
            self.remove()
        self._release()

    @property
    def id(self) -> str:
        """A mark for what this upload makes in Azure; the same one as long as the folder is there."""
        path = self.folder / _ID
        if not path.exists():
            write_atomically(path, secrets.token_hex(16).encode())
        return path.read_text()

    def holds_work(self) -> bool:
        """Whether an earlier run left something to go on with."""
        return self.scratch.exists() and any(self.scratch.iterdir())

    def sending_began(self) -> bool:
        """Whether an earlier run came as far as to send."""
        return (self.scratch / JOURNAL).exists()

    def prepared(self) -> bool:
        """Whether an earlier run had the disk ready."""
        return (self.scratch / MANIFEST).exists()

    def put_url(self, url: str) -> None:
        """Give the worker the target's URL with its SAS, as the Secret does in a pod.

        The file is a link to memory: the SAS is never on a disk, and another one takes its place at once.
        """
        made = os.memfd_create("target-url", os.MFD_CLOEXEC)
        os.write(made, url.encode())
        link = self.url_file.with_suffix(".new")
        link.unlink(missing_ok=True)
        link.symlink_to(f"/proc/self/fd/{made}")
        link.replace(self.url_file)
        if self._url_fd >= 0:
            os.close(self._url_fd)
        self._url_fd = made

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _release(self) -> None:
        for each in (self._lock, self._url_fd):
            if each >= 0:
                os.close(each)
        self._lock = self._url_fd = -1
