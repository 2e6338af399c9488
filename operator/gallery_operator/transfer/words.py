"""The worker's messages in the words of a command line: what is a field of a spec there is an option here. Pure."""

from typing import Final

REPLACED: Final = (
    ("The file on the claim", "The file"),
    (" on the claim", ""),
    ("Correct spec.source.url.url.", "Correct the URL."),
    ("Correct source.url.checksums.url.", "Correct --checksums."),
    ("Correct source.url.checksums.signature.url.", "Correct --signature."),
    ("Correct checksums.file or url.", "Correct --checksums or --checksums-file."),
    ("The signing key of checksums.signature cannot", "The file of --signing-key cannot"),
    ("use https for checksums.url, or give its signature", "use https for --checksums, or give --signing-key"),
    ("name the file of its signature (signature.url)", "give --signature"),
    ("Check the Secret of headersSecretRef.", "Fetch it by another tool, and name the file."),
    ("has user info; put credentials into the Secret of headersSecretRef", "has user info, which is a secret"),
    ("name its bundle in the source's caBundleRef", "name its PEM file in SSL_CERT_FILE"),
    ("set azure.caBundle", "name its PEM file in SSL_CERT_FILE"),
    ("Correct source.url.checksum or the file.", "Correct --checksum or the file."),
    ("Correct source.pvc.checksum or the file.", "Correct --checksum or the file."),
    ("Correct spec.source.", "Correct --format."),
    ("name what you accept in spec.prerequisites.ignore", "name what you accept with --ignore"),
    ("See the log, or set spec.prerequisites.onUnknown: Allow.", "--on-unknown Allow goes on anyway."),
    ("The scratch volume is too small", "The volume of the state folder is too small"),
    ("Make spec.scratch.size larger.", "Give another --state-dir."),
    ("the scratch volume holds", "the state folder holds"),
    ("The operator issues another for the next attempt.", "Get a fresh one and give the command again: it goes on."),
    (
        "Import it anew; nothing may write to it meanwhile.",
        "Give the command again; nothing may write to it meanwhile.",
    ),
    ("nothing may write to it during an import", "nothing may write to it meanwhile; give the command again"),
    (
        "nothing may write to the source during an import.",
        "nothing may write to it meanwhile. Remove what was sent by --abort, then give the command again.",
    ),
    (
        "delete it, or choose another blob name.",
        "delete it (--abort removes an unfinished upload), or choose another name.",
    ),
    ("Nothing to do: the operator looks again.", "Give the command again: it goes on."),
    ("Nothing to do: the operator tries again.", "Give the command again: it goes on."),
    ("Use a managed disk.", "Name a managed disk as DESTINATION."),
)
"""Words of the worker and of the Azure gateway, and what they are here; a test sees that they are still said there."""


def said_here(message: str) -> str:
    """Return a message in the words of the command line."""
    for theirs, ours in REPLACED:
        message = message.replace(theirs, ours)
    return message
