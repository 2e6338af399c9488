"""What both workers share: configuration, log, signals, termination message, exit code."""

import errno
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from gallery_operator.contract import CONFIG_VARIABLE, ExitCode, FailureCode, Report, dump_report
from gallery_operator.redact import redact
from gallery_operator.worker.errors import Stopped, WorkerError
from gallery_operator.worker.tracking import Job, ProgressServer, Tracker

TERMINATION_LOG_VARIABLE = "TERMINATION_LOG"
"""Names another file than ``/dev/termination-log`` for the report; for runs outside a pod."""

_TERMINATION_LOG = "/dev/termination-log"
_STANDARD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

log = logging.getLogger(__name__)

ConfigT = TypeVar("ConfigT", bound=BaseModel)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, every text without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for a record."""
        created = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{created}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": redact(record.getMessage()),
        }
        for key, value in vars(record).items():
            if key not in _STANDARD_ATTRIBUTES and not key.startswith("_") and value is not None:
                line[key] = value if isinstance(value, bool | int | float) else redact(value)
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def configure_log() -> None:
    """Send the log as JSON lines to standard output; libraries speak from warnings up."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("gallery_operator").setLevel(logging.INFO)


def run(
    job: Job, config_type: type[ConfigT], body: Callable[[ConfigT, Tracker], Report], port_of: Callable[[ConfigT], int]
) -> int:
    """Run a worker from its configuration to its exit code.

    Args:
        job: Which worker.
        config_type: Model of the configuration.
        body: Does the work and returns the report of a success or of a refusal with findings.
        port_of: The configuration's port of the progress server.

    Returns:
        An ``ExitCode``. Never raises, whatever happens.
    """
    configure_log()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    tracker = Tracker(job)
    server: ProgressServer | None = None
    retry = False
    try:
        config = _read_config(config_type)
        server = _serve(tracker, port_of(config))
        report = body(config, tracker)
    except Stopped:
        retry = True
        message = "The pod was asked to stop; the next one goes on from what is done."
        report = Report(job=job, succeeded=False, message=message)
    except BaseException as error:
        failure = as_worker_error(error)
        if failure is not error:
            log.exception("unexpected failure")
        retry = failure.retry
        report = Report(job=job, succeeded=False, code=failure.code, message=redact(failure.message))
    # From here on nothing is worth interrupting: the report says how it ended.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    report = report.model_copy(update={"retried_requests": tracker.snapshot().attempts})
    if report.succeeded:
        code = ExitCode.DONE
        tracker.start("Done", tracker.snapshot().bytes_total, tracker.snapshot().bytes_done)
    else:
        code = ExitCode.RETRY if retry else ExitCode.FAILED
    log.log(
        logging.INFO if report.succeeded else logging.ERROR,
        "%s",
        report.message or "done",
        extra={"code": report.code, "exit_code": int(code)},
    )
    _write_termination_message(report)
    if server is not None:
        server.close()
    return int(code)


def as_worker_error(error: BaseException) -> WorkerError:
    """Give any exception a code.

    Args:
        error: What was raised.

    Returns:
        The error itself if it has a code; ``ScratchFull`` for a full volume; else ``Internal``, to be retried.
    """
    if isinstance(error, WorkerError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WorkerError(FailureCode.SCRATCH_FULL, f"A volume is full: {error}. Make spec.scratch.size larger.")
    return WorkerError(FailureCode.INTERNAL, f"Unexpected {type(error).__name__}: {error}")


def _stop(_signal: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise Stopped


def _read_config(config_type: type[ConfigT]) -> ConfigT:
    text = os.environ.get(CONFIG_VARIABLE)
    if not text:
        raise WorkerError(FailureCode.BAD_CONFIGURATION, f"The environment variable {CONFIG_VARIABLE} is empty.")
    try:
        return config_type.model_validate_json(text)
    except ValidationError as error:
        # Without the input: it may hold a URL that someone put a token into.
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        message = f"{CONFIG_VARIABLE} is not a {config_type.__name__}: {problems}"
        raise WorkerError(FailureCode.BAD_CONFIGURATION, message) from None


def _serve(tracker: Tracker, port: int) -> ProgressServer | None:
    try:
        return ProgressServer(tracker, port)
    except OSError as error:
        # Progress is a comfort; without it the import still works.
        log.warning("no progress server on port %d: %s", port, error)
        return None


def _write_termination_message(report: Report) -> None:
    path = Path(os.environ.get(TERMINATION_LOG_VARIABLE, _TERMINATION_LOG))
    try:
        path.write_text(dump_report(report), encoding="utf-8")
    except OSError as error:
        log.warning("the report could not be written to %s: %s", path, error)
