"""Exit codes of the worker; the Job's ``podFailurePolicy`` acts on them."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a worker process ended.

    Attributes:
        DONE: The work is done and verified.
        FAILED: It will never work with this input; the Job must not retry.
        RETRY: It may work another time (network, throttling, eviction).
    """

    DONE = 0
    FAILED = 10
    RETRY = 11
