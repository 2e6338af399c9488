"""Puts a fixed VHD that is served into a storage account as a page blob; run in the disk server's pod.

What to put where comes as JSON on the input: ``{"url", "key", "authority", "file"}``.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobClient

_PIECE = 4 * 1024 * 1024


def main() -> None:
    """Put it there, unless it is."""
    order = json.load(sys.stdin)
    account = urlsplit(order["url"]).path.split("/")[1]
    # The pod's root is read-only, and it has no /tmp.
    with tempfile.NamedTemporaryFile("w", suffix=".crt", dir=Path(order["file"]).parent) as authority:
        authority.write(order["authority"])
        authority.flush()
        key = {"account_name": account, "account_key": order["key"]}
        with BlobClient.from_blob_url(order["url"], credential=key, connection_verify=authority.name) as blob:
            if blob.exists():
                return
            with contextlib.suppress(ResourceExistsError):
                blob._get_container_client().create_container()
            put(blob, Path(order["file"]))


def put(blob: BlobClient, file: Path) -> None:
    """Send what is not zero."""
    blob.create_page_blob(file.stat().st_size)
    with file.open("rb") as content:
        at = 0
        while piece := content.read(_PIECE):
            if any(piece):
                blob.upload_page(piece, at, len(piece))
            at += len(piece)


if __name__ == "__main__":
    main()
