"""Azure regions in normal form."""


def normal(region: str) -> str:
    """Return a region's name in the form that compares equal: ``West Europe`` and ``westeurope`` are the same."""
    return region.replace(" ", "").lower()
