"""A ``VhdImport`` written inside an image version: what the version makes of it is an object of its own."""

from typing import Annotated

from pydantic import Field

from gallery_operator.api.destination import DiskDestination
from gallery_operator.api.disk_source import DiskSource
from gallery_operator.api.meta import GROUP, ApiModel, DeletionPolicy, Rule
from gallery_operator.api.vhdimport import JobOptions, Prerequisites, Scratch, Verification

_KEY = r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
_LABEL = r"^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$"
_KEY_RULES = (
    Rule(
        f"self.all(key, key.size() <= 317 && key.matches(r'{_KEY}'))",
        "the key of a label or annotation is a name of at most 63 characters, with a DNS name and '/' before it or "
        "without (Kubernetes' rule)",
    ),
    Rule(
        f"self.all(key, !key.startsWith('{GROUP}/'))",
        f"labels and annotations that begin with {GROUP}/ are the operator's: give yours another prefix",
    ),
)
_VALUE_RULE = Rule(
    f"self.all(key, self[key].matches(r'{_LABEL}'))",
    "the value of a label has letters, digits, '-', '_' and '.' only, and starts and ends with a letter or digit "
    "(Kubernetes' rule)",
)


def _rules(*rules: Rule) -> dict[str, object]:
    return {"x-kubernetes-validations": [rule.to_schema() for rule in rules]}


class TemplateMetadata(ApiModel):
    """What people want to be said of the import."""

    labels: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]],
        Field(
            max_length=32, description="Labels of the VhdImport.", json_schema_extra=_rules(*_KEY_RULES, _VALUE_RULE)
        ),
    ] = {}
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]],
        Field(max_length=32, description="Annotations of the VhdImport.", json_schema_extra=_rules(*_KEY_RULES)),
    ] = {}


class TemplateSpec(ApiModel):
    """The spec of a VhdImport, without what follows from the version: `definitionRef` and `diskRole`.

    Attributes:
        destination: Default: a staging disk beside the gallery, which goes when the version has succeeded.
        deletion_policy: What happens to a disk with a `destination` when the version is deleted.
    """

    source: DiskSource
    prerequisites: Prerequisites = Prerequisites()
    destination: DiskDestination | None = None
    scratch: Scratch = Scratch()
    verification: Verification = Verification()
    job: JobOptions = JobOptions()
    deletion_policy: DeletionPolicy = "Delete"


class ImportTemplate(ApiModel):
    """A VhdImport that the version makes and owns.

    Attributes:
        metadata: Labels and annotations for it.
    """

    metadata: TemplateMetadata = TemplateMetadata()
    spec: TemplateSpec
