"""Models of the custom resources; the single source of ``crds/*.yaml``."""

from gallery_operator.api.definition import GalleryImageDefinition
from gallery_operator.api.gallery import Gallery
from gallery_operator.api.imageversion import ImageVersion
from gallery_operator.api.meta import GROUP, VERSION, Condition, Resource
from gallery_operator.api.vhdimport import VhdImport

KINDS: tuple[type[Resource], ...] = (Gallery, GalleryImageDefinition, VhdImport, ImageVersion)
"""All kinds, parents before children."""

__all__ = [
    "GROUP",
    "KINDS",
    "VERSION",
    "Condition",
    "Gallery",
    "GalleryImageDefinition",
    "ImageVersion",
    "Resource",
    "VhdImport",
]
