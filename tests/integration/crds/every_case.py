"""All cases of the rules of the CRDs."""

from __future__ import annotations

from tests.integration.crds.cases_definition import definition_cases
from tests.integration.crds.cases_destination import destination_cases
from tests.integration.crds.cases_gallery import gallery_cases
from tests.integration.crds.cases_imageversion import image_version_cases
from tests.integration.crds.cases_publishing import publishing_cases
from tests.integration.crds.cases_sharing import sharing_cases
from tests.integration.crds.cases_vhdimport import vhd_import_cases

CASES = [
    *gallery_cases(),
    *definition_cases(),
    *vhd_import_cases(),
    *destination_cases(),
    *image_version_cases(),
    *publishing_cases(),
    *sharing_cases(),
]
