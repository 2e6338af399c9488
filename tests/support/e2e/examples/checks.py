"""All functions that look at an example, by its file; importing this registers them."""

from tests.support.e2e.examples import definitions, galleries, imports, lifecycle, versions
from tests.support.e2e.examples.run import CHECKS

__all__ = ["CHECKS", "definitions", "galleries", "imports", "lifecycle", "versions"]
