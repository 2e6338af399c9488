"""The digest of a file that a user gives."""

from typing import Annotated

from gallery_operator.api.meta import text

Checksum = Annotated[
    str,
    text(
        r"^(sha256:[0-9a-fA-F]{64}|sha512:[0-9a-fA-F]{128})$",
        "checksum must be `sha256:` and 64 hexadecimal digits, or `sha512:` and 128",
        max_length=135,
        description="`sha256:<hex>` or `sha512:<hex>` of the file as served, before decompression.",
    ),
]
