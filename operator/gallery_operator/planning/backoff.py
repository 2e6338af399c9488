"""How often Azure is asked while it works."""


def poll_delay(elapsed: float, base: float, cap_factor: float = 20.0) -> float:
    """Return the seconds to wait before asking again.

    A tenth of the time that has passed already: a gallery is told within seconds, a replication of hours costs a few
    requests an hour.

    Args:
        elapsed: Seconds since the operation began.
        base: Shortest delay in seconds.
        cap_factor: Longest delay, in multiples of ``base``.
    """
    return min(max(base, elapsed / 10.0), base * cap_factor)
