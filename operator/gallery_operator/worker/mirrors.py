"""A file that several servers have, fetched from the first that gives it."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from gallery_operator.contract import FailureCode, UrlSource
from gallery_operator.worker.checksum import Checksum
from gallery_operator.worker.download import Download, DownloadPolicy
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import client_for, same_origin
from gallery_operator.worker.tracking import Tracker

log = logging.getLogger(__name__)

_THE_SERVERS = frozenset(
    {
        FailureCode.SOURCE_UNREACHABLE,
        FailureCode.SOURCE_NOT_FOUND,
        FailureCode.SOURCE_FORBIDDEN,
        FailureCode.SOURCE_CHANGED,
        FailureCode.SOURCE_TRUNCATED,
        FailureCode.CHECKSUM_MISMATCH,
        FailureCode.TLS_FAILED,
        # A page that says sorry, with status 200.
        FailureCode.NOT_A_DISK,
    }
)
"""What may be the matter with one server only."""

_TRIES_BEFORE_NEXT = 3


def fetch(
    source: UrlSource,
    secrets: Path,
    path: Path,
    *,
    fingerprint: str,
    limit: int,
    tracker: Tracker,
    look: Callable[[bytes, int | None], None] | None = None,
    policy: DownloadPolicy | None = None,
) -> Checksum:
    """Fetch a source's file from its URL or, in their order, from its mirrors.

    What one server gave is gone on with at the next, as the checksum decides in the end; where it does not match,
    the whole is fetched anew. Extra request headers go to the origin of ``url`` only.

    Args:
        source: The source.
        secrets: Where its headers and its CA bundle are mounted.
        path: The file to make.
        fingerprint: Of the configuration; a file of another one is thrown away.
        limit: Most bytes to accept.
        tracker: Shows how far it is.
        look: Called with the first bytes, to refuse early.
        policy: Patience with the last server; with one that has others behind it there is less.

    Returns:
        The checksum, which the file has met.

    Raises:
        WorkerError: As ``Download.run``; with mirrors it says what each server's matter was.
    """
    policy = policy or DownloadPolicy()
    checksum = Checksum(source.checksum)
    urls = list(dict.fromkeys((source.url, *source.mirrors)))
    if len(urls) > 1 and not checksum.expected:
        message = "With mirrors a checksum is needed: it alone says that they have the same file."
        raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
    # Made before anything is fetched: a wrong URL or Secret is told at once, not when the first server fails.
    clients = [client_for(source.model_copy(update={"url": url}), secrets) for url in urls]
    problems: list[WorkerError] = []
    for url, client in zip(urls, clients, strict=True):
        last = url == urls[-1]
        own = client if same_origin(url, source.url) else dataclasses.replace(client, headers={})
        tries = policy.backoff.tries if last else min(policy.backoff.tries, _TRIES_BEFORE_NEXT)
        patience = dataclasses.replace(policy, backoff=dataclasses.replace(policy.backoff, tries=tries))
        try:
            Download(
                client=own, url=url, path=path, fingerprint=fingerprint, checksum=checksum.restart(), limit=limit,
                tracker=tracker, look=look, policy=patience,
            ).run()  # fmt: skip
        except WorkerError as problem:
            problems.append(problem)
            if problem.code not in _THE_SERVERS or len(urls) == 1:
                raise
            log.warning("%s did not give the file: %s", urlsplit(url).hostname, problem.message)
        else:
            return checksum
    raise _none_of(urls, problems)


def _none_of(urls: list[str], problems: list[WorkerError]) -> WorkerError:
    # What another attempt may mend weighs more: the Job must have it.
    decides = next((each for each in problems if each.retry), problems[0])
    told = " ".join(f"{urlsplit(url).hostname}: {each.message}" for url, each in zip(urls, problems, strict=True))
    message = f"None of the {len(urls)} URLs gave the file. {told}"
    return WorkerError(decides.code, message, retry=decides.retry)
