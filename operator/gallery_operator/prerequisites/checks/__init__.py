"""The checks, one module a topic. A new module is named here, and its rows are in the catalogue."""

from gallery_operator.prerequisites.checks import vhd

__all__ = ["vhd"]
