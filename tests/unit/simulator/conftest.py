"""Unit tests of the Azure simulator: nothing is started, no blob service is needed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "hack" / "azure-simulator"))
