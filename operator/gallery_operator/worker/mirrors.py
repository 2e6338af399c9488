"""A file that several servers have, fetched from the first that gives it."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from gallery_operator.contract import FailureCode
from gallery_operator.worker.checksum import Checksum
from gallery_operator.worker.download import Download, DownloadPolicy
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.place import Place
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
    place: Place,
    path: Path,
    *,
    fingerprint: str,
    limit: int,
    tracker: Tracker,
    look: Callable[[bytes, int | None], None] | None = None,
    policy: DownloadPolicy | None = None,
) -> Checksum:
    """Fetch a file from the first of its servers that gives it.

    What one server gave is gone on with at the next, as the checksum decides in the end; where it does not match,
    the whole is fetched anew.

    Args:
        place: Where the file is.
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
    checksum = Checksum(place.checksum)
    urls = [origin.url for origin in place.origins]
    problems: list[WorkerError] = []
    for origin in place.origins:
        last = origin is place.origins[-1]
        tries = policy.backoff.tries if last else min(policy.backoff.tries, _TRIES_BEFORE_NEXT)
        patience = dataclasses.replace(policy, backoff=dataclasses.replace(policy.backoff, tries=tries))
        try:
            Download(
                client=origin.client, url=origin.url, path=path, fingerprint=fingerprint, checksum=checksum.restart(),
                limit=limit, tracker=tracker, look=look, policy=patience, advice=place.advice,
                written=origin.written,
            ).run()  # fmt: skip
        except WorkerError as problem:
            problems.append(problem)
            if problem.code not in _THE_SERVERS or len(urls) == 1:
                raise
            log.warning("%s did not give the file: %s", urlsplit(origin.url).hostname, problem.message)
        else:
            return checksum
    raise _none_of(urls, problems)


def _none_of(urls: list[str], problems: list[WorkerError]) -> WorkerError:
    # What another attempt may mend weighs more: the Job must have it.
    decides = next((each for each in problems if each.retry), problems[0])
    told = " ".join(f"{urlsplit(url).hostname}: {each.message}" for url, each in zip(urls, problems, strict=True))
    message = f"None of the {len(urls)} URLs gave the file. {told}"
    return WorkerError(decides.code, message, retry=decides.retry)
