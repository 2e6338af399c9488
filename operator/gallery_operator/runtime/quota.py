"""When which limits were read last; lost with the process, and then read again."""

from dataclasses import dataclass, field
from datetime import datetime

from gallery_operator.api.lifecycle import QuotaUse


@dataclass
class QuotaMemory:
    """What was read last.

    Attributes:
        read: What was told by credential, subscription and region, with the time of reading.
        counted: What was counted for a gallery where nothing was told, by its ARM id, with the time of counting.
    """

    read: dict[tuple[str, str, str], tuple[datetime, list[QuotaUse]]] = field(default_factory=dict)
    counted: dict[str, tuple[datetime, list[QuotaUse]]] = field(default_factory=dict)
