"""Azure regions: programmatic names, display names, and whether they have availability zones.

Compute answers with display names ("West Europe") in target regions, whatever form was sent, and clients must
compare without case and spaces. Source: the public list of Azure regions; recorded traffic for the EUAP casing.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["REGIONS", "Region", "find", "normalise"]


@dataclass(frozen=True, slots=True)
class Region:
    """One region.

    Attributes:
        name: programmatic name, such as `westeurope`.
        display: display name, such as `West Europe`.
        zones: whether the region has availability zones, and so zone-redundant image storage.
    """

    name: str
    display: str
    zones: bool

    @property
    def premium_v2(self) -> bool:
        """Whether there is Premium SSD v2; approximate: where zones are, and some regions without."""
        return self.zones or self.name in _PREMIUM_V2

    @property
    def segment(self) -> str:
        """Casing that Compute itself uses in operation URLs (seen: `westus`, but `CentralUSEUAP`)."""
        return self.display.replace(" ", "") if self.display.endswith("EUAP") else self.name


_ZONAL = """
Australia East|Austria East|Belgium Central|Brazil South|Canada Central|Central India|Central US|Chile Central|
East Asia|East US|East US 2|France Central|Germany West Central|Indonesia Central|Israel Central|Italy North|
Japan East|Japan West|Korea Central|Malaysia West|Mexico Central|New Zealand North|North Europe|Norway East|
Poland Central|Qatar Central|South Africa North|South Central US|Southeast Asia|Spain Central|Sweden Central|
Switzerland North|UAE North|UK South|West Europe|West US 2|West US 3|Central US EUAP|East US 2 EUAP
"""
_SINGLE = """
Australia Central|Australia Central 2|Australia Southeast|Brazil Southeast|Canada East|France South|Germany North|
Korea South|North Central US|Norway West|South Africa West|South India|Switzerland West|UAE Central|UK West|
West Central US|West India|West US|Jio India West|Jio India Central
"""


_PREMIUM_V2 = frozenset({"westus", "northcentralus", "westcentralus", "canadaeast", "ukwest", "australiasoutheast"})


def normalise(name: str) -> str:
    """Return a region's name in the form that compares equal for every spelling Azure accepts."""
    return name.replace(" ", "").lower()


def _table() -> dict[str, Region]:
    table: dict[str, Region] = {}
    for text, zones in ((_ZONAL, True), (_SINGLE, False)):
        for display in text.replace("\n", "").split("|"):
            region = Region(normalise(display), display, zones)
            table[region.name] = region
    return table


REGIONS: dict[str, Region] = _table()
"""All regions by programmatic name."""


def find(name: str) -> Region | None:
    """Return the region that `name` spells in any accepted form, or None."""
    return REGIONS.get(normalise(name))
