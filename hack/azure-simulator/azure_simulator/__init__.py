"""A simulator of the parts of Azure Resource Manager and Entra ID that gallery-operator uses.

It is a state machine over a database on disk, not a list of canned answers: what a request leads to depends
on what was asked before and on how much (scaled) time has passed. Bytes of disks live in Azurite, Microsoft's
storage emulator.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
