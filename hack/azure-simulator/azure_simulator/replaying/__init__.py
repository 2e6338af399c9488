"""Recorded traffic of the real service, played against the simulator and compared."""
