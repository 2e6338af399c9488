"""From where to where: the two arguments of the command, read and checked. Pure but for a look at the disk's file."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from pydantic import SecretStr

from gallery_operator.azure.resource_ids import InvalidResourceIdError, ResourceId
from gallery_operator.contract import ChecksumsFile, PvcSource, UrlSource
from gallery_operator.redact import redact

SAS_VARIABLE = "AZURE_STORAGE_SAS_TOKEN"
"""The Azure CLI has this variable too."""
_ANYWHERE = ("0.0.0.0/0", "::/0")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class PlaceError(ValueError):
    """An argument is not usable; the message says why, without secrets."""


@dataclass(frozen=True)
class Disk:
    """What is uploaded.

    Attributes:
        name: How it is told from others: a resolved path, or a URL.
        source: What the worker reads.
        folder: Folder of a file, as the worker's mount point.
        device: A block device.
    """

    name: str
    source: PvcSource | UrlSource
    folder: Path | None = None
    device: Path | None = None


@dataclass(frozen=True)
class PageBlob:
    """A page blob as destination.

    Attributes:
        url: The blob, percent-encoded, without a query.
        sas: What allows to write to it; None: an identity does.
        exposed: The SAS was in the command line.
    """

    url: str
    sas: SecretStr | None = field(default=None, repr=False)
    exposed: bool = False

    @property
    def name(self) -> str:
        """How it is told from others."""
        return self.url


@dataclass(frozen=True)
class ManagedDisk:
    """A managed disk as destination."""

    id: ResourceId

    @property
    def name(self) -> str:
        """How it is told from others."""
        return str(self.id)


def read_disk(text: str, checksum: str | None, checksums: ChecksumsFile | None = None) -> Disk:
    """Read DISK.

    Args:
        text: A path or a URL.
        checksum: ``sha256:<hex>`` or ``sha512:<hex>`` that its file must meet.
        checksums: A file that lists it, for a URL.

    Raises:
        PlaceError: There is no such file, or it cannot be read.
    """
    if "://" in text:
        if not text.startswith(("https://", "http://")):
            raise PlaceError("DISK is a file, a block device, or a URL that begins with https://")
        # Whoever gives the command could fetch it by other tools too: no address is forbidden here.
        return Disk(text, UrlSource(url=text, checksum=checksum, checksums=checksums, allowed_cidrs=_ANYWHERE))
    if checksums is not None:
        raise PlaceError("--checksums is for a DISK that is a URL; of a file give its --checksum")
    try:
        path = Path(text).resolve(strict=True)
        mode = path.stat().st_mode
    except (OSError, RuntimeError):
        raise PlaceError(f"there is no file {text}") from None
    if not os.access(path, os.R_OK):
        raise PlaceError(f"{text} may not be read by you")
    if stat.S_ISBLK(mode):
        if checksum is not None:
            raise PlaceError("a block device has no --checksum: it may be larger than the file it was written from")
        return Disk(str(path), PvcSource(), device=path)
    if not stat.S_ISREG(mode):
        raise PlaceError(f"{text} is {'a folder' if stat.S_ISDIR(mode) else 'no regular file'}: name the disk's file")
    return Disk(str(path), PvcSource(path=path.name, checksum=checksum), folder=path.parent)


def left_disk(text: str) -> Disk:
    """Name a disk of which an upload was begun; it need not be there any more."""
    return Disk(text if "://" in text else str(Path(text).resolve()), PvcSource())


def read_destination(text: str, sas_file: Path | None, environment: Mapping[str, str]) -> PageBlob | ManagedDisk:
    """Read DESTINATION.

    Args:
        text: URL of a page blob, or ARM id of a managed disk.
        sas_file: File with a SAS.
        environment: Environment variables; one may hold a SAS.

    Raises:
        PlaceError: It is neither.
    """
    if text.startswith("/"):
        return _managed_disk(text, sas_file)
    if "://" not in text:
        raise PlaceError(
            "DESTINATION is https://ACCOUNT.blob.core.windows.net/CONTAINER/NAME.vhd, or the ARM id of a disk: "
            "/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.Compute/disks/NAME"
        )
    return _page_blob(text, sas_file, environment)


def _managed_disk(text: str, sas_file: Path | None) -> ManagedDisk:
    try:
        found = ResourceId.parse(text)
    except InvalidResourceIdError as error:
        raise PlaceError(str(error)) from None
    if found.type.lower() != "microsoft.compute/disks":
        raise PlaceError(f"{text} is not the ARM id of a managed disk")
    if sas_file is not None:
        raise PlaceError("--sas-file is for page blobs; a managed disk is made with your identity")
    return ManagedDisk(found)


def _page_blob(text: str, sas_file: Path | None, environment: Mapping[str, str]) -> PageBlob:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise PlaceError("DESTINATION is not a URL") from None
    host = parts.hostname or ""
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):  # an emulator
        raise PlaceError("the URL of a page blob begins with https://")
    if parts.username is not None or parts.fragment:
        raise PlaceError("the URL of a page blob has no user name and no fragment (#)")
    segments = [unquote(each) for each in parts.path.lstrip("/").split("/")]
    if len(segments) < 2 or not all(segments) or any(each in (".", "..") for each in segments):
        raise PlaceError(f"{redact(text)} names no blob: https://ACCOUNT.blob.core.windows.net/CONTAINER/NAME.vhd")
    netloc = f"{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
    url = f"{parts.scheme}://{netloc}/{'/'.join(quote(each) for each in segments)}"
    if parts.query:
        if sas_file is not None:
            raise PlaceError("there is a SAS in the URL and one in --sas-file: give one of them")
        return PageBlob(url, _sas(parts.query, "the URL"), exposed=True)
    if sas_file is not None:
        try:
            return PageBlob(url, _sas(sas_file.read_text(encoding="utf-8"), str(sas_file)))
        except (OSError, UnicodeDecodeError) as error:
            raise PlaceError(f"--sas-file cannot be read: {type(error).__name__}") from None
    if environment.get(SAS_VARIABLE):
        return PageBlob(url, _sas(environment[SAS_VARIABLE], f"${SAS_VARIABLE}"))
    return PageBlob(url)


def _sas(text: str, where: str) -> SecretStr:
    """Read a SAS, with or without the ``?``, or a whole URL that has one."""
    text = text.strip()
    query = text.partition("?")[2] if "?" in text else text
    names = {pair.partition("=")[0] for pair in query.split("&")}
    if "sig" not in names or any(ord(each) <= 32 or ord(each) >= 127 for each in query):
        raise PlaceError(f"there is no SAS in {where}: it is a text such as sv=…&sp=rcw&se=…&sig=…")
    return SecretStr(query)
