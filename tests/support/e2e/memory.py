"""What the operator's process needs."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.e2e import names
from tests.support.e2e.cluster import Cluster

_MIB = 1024 * 1024


@dataclass(frozen=True)
class Memory:
    """Memory of the operator's process, in bytes.

    Attributes:
        resident: Now (``VmRSS``).
        peak: The most it ever was (``VmHWM``).
    """

    resident: int
    peak: int

    def __str__(self) -> str:
        """Return it in MiB."""
        return f"{self.resident / _MIB:.0f} MiB resident, {self.peak / _MIB:.0f} MiB at most"


def operator_memory(cluster: Cluster) -> Memory:
    """Read the memory of the operator's process from inside its pod."""
    pod = cluster.kube.wait("an operator at work", cluster.operator_at_work, seconds=90)
    status = cluster.kubectl(
        "exec", "-n", names.OPERATOR_NAMESPACE, pod["metadata"]["name"], "--", "cat", "/proc/1/status"
    )
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return Memory(*(int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM")))
