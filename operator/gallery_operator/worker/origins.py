"""Where the file of a source can be fetched from that is not on a claim."""

import dataclasses
from pathlib import Path

from gallery_operator.contract import BlobSource, FailureCode, S3Source, UrlSource
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import HttpClient, check_url, read_headers, same_origin
from gallery_operator.worker.origin_blob import locate_blob
from gallery_operator.worker.origin_s3 import locate_object
from gallery_operator.worker.place import Origin, Place, base_client, require_proof


def locate(source: UrlSource | S3Source | BlobSource, secrets: Path) -> Place:
    """Find where a source's file is.

    Args:
        source: The source.
        secrets: Where its headers or credentials and its CA bundle are mounted.

    Raises:
        WorkerError: ``BadConfiguration``: a URL is none, or proves nothing about what it serves; there are mirrors
            and no checksum; the credentials cannot be used.
    """
    if isinstance(source, S3Source):
        return locate_object(source, secrets)
    if isinstance(source, BlobSource):
        return locate_blob(source, secrets)
    return _locate_url(source, secrets)


def _locate_url(source: UrlSource, secrets: Path) -> Place:
    """Extra request headers go to the origin of ``url`` only."""
    urls = tuple(dict.fromkeys((source.url, *source.mirrors)))
    if len(urls) > 1 and source.checksum is None:
        message = "With mirrors a checksum is needed: it alone says that they have the same file."
        raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
    client = client_of(source, secrets)
    for url in urls:
        require_proof(url, source.checksum, client.rule)
    origins = (Origin(url, client if same_origin(url, source.url) else client.anonymous()) for url in urls)
    return Place(tuple(origins), source.checksum)


def client_of(source: UrlSource, secrets: Path) -> HttpClient:
    """Return what asks the origin of a source's ``url``; another origin is asked by its ``anonymous()``.

    Raises:
        WorkerError: ``BadConfiguration``: the URL, a header or the CA bundle cannot be used.
    """
    check_url(source.url)
    headers = read_headers(secrets / "headers") if source.has_headers else {}
    return dataclasses.replace(base_client(source, secrets), headers=headers)
