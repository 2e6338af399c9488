"""The checks, one module a topic. A new module is named here, and its rows are in the catalogue."""

from gallery_operator.prerequisites.checks import (
    agent,
    boot,
    cloud_init,
    cmdline,
    definition,
    deprovision,
    distribution,
    fstab,
    kernel,
    partitions,
    ssh,
    swap,
    vhd,
)

__all__ = [
    "agent",
    "boot",
    "cloud_init",
    "cmdline",
    "definition",
    "deprovision",
    "distribution",
    "fstab",
    "kernel",
    "partitions",
    "ssh",
    "swap",
    "vhd",
]
