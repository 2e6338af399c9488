"""Pure: a limit on bandwidth, from the words of a spec."""

_UNITS = {"k": 1000, "M": 1000**2, "G": 1000**3, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def bytes_per_second(limit: str | None) -> int | None:
    """Return the bytes a second of ``spec.job.bandwidthLimit``.

    Args:
        limit: A whole number and a unit, as the CRD's rule has it; None: no limit.
    """
    if limit is None:
        return None
    digits = limit.rstrip("kKMGi")
    return int(digits) * _UNITS[limit[len(digits) :]]
