"""Small files that say where a large one is: fetched into memory, with patience."""

import logging
import time
from collections.abc import Callable, Mapping

from gallery_operator.contract import FailureCode
from gallery_operator.worker.answers import Advice, Again, refuse
from gallery_operator.worker.backoff import Backoff
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import ConnectionLost, HttpClient, Response

log = logging.getLogger(__name__)


def fetch_document(
    client: HttpClient,
    url: str,
    headers: Mapping[str, str],
    *,
    limit: int,
    advice: Advice,
    what: str = "The source",
    backoff: Backoff | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> bytes:
    """Fetch a small file.

    Args:
        client: Sends the requests.
        url: Of the file.
        headers: Headers of the request.
        limit: Most bytes to accept.
        advice: What a person may do when the server does not give it.
        what: Begins the message when it cannot be had.
        backoff: Between tries.
        sleep: Waits; for tests.

    Raises:
        WorkerError: As ``answers.refuse``; ``SourceUnreachable`` after the last try; ``TooLarge``.
    """
    backoff = backoff or Backoff()
    failures = 0
    while True:
        try:
            with client.get(url, headers) as response:
                if response.status != 200:
                    refuse(response, advice)
                return read_body(response, limit)
        except (Again, ConnectionLost) as problem:
            failures += 1
            retry_after = problem.retry_after if isinstance(problem, Again) else None
            if failures >= backoff.tries or (retry_after or 0) > backoff.patience:
                message = f"{what} could not be fetched after {failures} tries: {problem}."
                raise WorkerError(FailureCode.SOURCE_UNREACHABLE, message) from problem
            delay = backoff.delay(failures, retry_after)
            log.warning("fetching is tried again in %.1f s: %s", delay, problem)
            sleep(delay)


def read_body(response: Response, limit: int) -> bytes:
    """Read a whole body.

    Raises:
        WorkerError: ``TooLarge``.
        ConnectionLost: The connection broke, or ended before the announced length.
    """
    body = bytearray()
    while data := response.read(limit + 1 - len(body)):
        body += data
        if len(body) > limit:
            message = f"The server sends more than {limit} bytes where a small document was expected."
            raise WorkerError(FailureCode.TOO_LARGE, message)
    announced = response.header("Content-Length") or ""
    if announced.isdigit() and len(body) < int(announced):
        raise ConnectionLost(f"the body ended after {len(body)} of {announced} bytes")
    return bytes(body)
