"""Objects in S3-compatible storage, asked for with AWS's signature, version 4."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, quote

from awscrt.auth import (
    AwsCredentialsProvider,
    AwsSignatureType,
    AwsSignedBodyHeaderType,
    AwsSignedBodyValue,
    AwsSigningAlgorithm,
    AwsSigningConfig,
    aws_sign_request,
)
from awscrt.http import HttpHeaders, HttpRequest

from gallery_operator.contract import FailureCode, S3Source
from gallery_operator.worker.answers import Advice
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.http import ConnectionLost, Response, check_url
from gallery_operator.worker.place import Origin, Place, base_client, require_proof

_FOLDER = "credentials"
_SIGN_SECONDS = 10.0
_ERROR_BYTES = 64 * 1024
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")
_REGION = re.compile(rb"<Region>([a-z0-9-]{1,32})</Region>")

_KEYS_REFUSED = "Check the keys in the Secret of credentialsSecretRef."
_MEANINGS: Mapping[str, tuple[FailureCode, str]] = {
    "NoSuchKey": (FailureCode.SOURCE_NOT_FOUND, "The bucket has no such object. Correct spec.source.s3.key."),
    "NoSuchBucket": (FailureCode.SOURCE_NOT_FOUND, "There is no such bucket. Correct spec.source.s3.bucket."),
    "NoSuchVersion": (
        FailureCode.SOURCE_NOT_FOUND,
        "The object has no such version. Correct spec.source.s3.versionId.",
    ),
    "InvalidBucketName": (
        FailureCode.BAD_CONFIGURATION,
        "A bucket cannot be named so. Correct spec.source.s3.bucket.",
    ),
    "AccessDenied": (
        FailureCode.SOURCE_FORBIDDEN,
        "The object may not be read: it needs s3:GetObject (with versionId s3:GetObjectVersion), and keys in "
        "credentialsSecretRef unless it is public. Who may not list the bucket (s3:ListBucket) is told so of an "
        "object that does not exist, too.",
    ),
    "InvalidAccessKeyId": (FailureCode.SOURCE_FORBIDDEN, f"The access key is not known there. {_KEYS_REFUSED}"),
    "SignatureDoesNotMatch": (FailureCode.SOURCE_FORBIDDEN, f"The secret key does not fit. {_KEYS_REFUSED}"),
    "InvalidToken": (FailureCode.SOURCE_FORBIDDEN, f"The session token is not accepted. {_KEYS_REFUSED}"),
    "ExpiredToken": (FailureCode.SOURCE_FORBIDDEN, f"The session token has expired. {_KEYS_REFUSED}"),
    "RequestTimeTooSkewed": (
        FailureCode.SOURCE_FORBIDDEN,
        "The clock of the node differs from the server's by more than 15 minutes: set it right.",
    ),
    "InvalidObjectState": (
        FailureCode.SOURCE_FORBIDDEN,
        "The object is archived. Restore it, or put it into a storage class that can be read at once.",
    ),
    "PermanentRedirect": (
        FailureCode.BAD_CONFIGURATION,
        "The bucket is somewhere else. Correct spec.source.s3.region or its endpoint.",
    ),
    "AuthorizationHeaderMalformed": (
        FailureCode.BAD_CONFIGURATION,
        "The request was signed for another region. Correct spec.source.s3.region.",
    ),
}
"""S3's error codes that time does not mend (Amazon S3 API reference, error responses)."""


def locate_object(source: S3Source, secrets: Path) -> Place:
    """Find where an object is.

    Args:
        source: The source.
        secrets: Where its access keys and its CA bundle are mounted.

    Raises:
        WorkerError: ``BadConfiguration``: the endpoint is none, or proves nothing about what it serves; the Secret
            lacks a key.
    """
    url = object_url(source)
    signer = SigV4(source.region, secrets / _FOLDER) if source.has_credentials else None
    if signer is not None:
        signer.credentials()
    client = base_client(source, secrets, signer)
    require_proof(url, source.checksum, client.rule)
    return Place((Origin(url, client),), source.checksum, _ADVICE)


def object_url(source: S3Source) -> str:
    """Return the URL of an object, without anything secret."""
    endpoint = check_url(source.endpoint)
    key = quote(source.key, safe="/-_.~")
    if source.path_style:
        host, path = endpoint.netloc, f"/{source.bucket}/{key}"
    else:
        host, path = f"{source.bucket}.{endpoint.netloc}", f"/{key}"
    query = f"?versionId={quote(source.version_id, safe='-_.~')}" if source.version_id is not None else ""
    return f"{endpoint.scheme}://{host}{path}{query}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Access keys.

    Attributes:
        access_key_id: Says who asks.
        secret_access_key: Proves it.
        session_token: Belongs to keys that were given for a while.
    """

    access_key_id: str
    secret_access_key: str
    session_token: str | None


class SigV4:
    """Signs each request anew, in its headers, with the keys that the Secret holds at that moment.

    Args:
        region: Region that is signed for.
        folder: Where the Secret is mounted; whoever renews session tokens changes it while a download goes on.
    """

    def __init__(self, region: str, folder: Path) -> None:
        self._region = region
        self._folder = folder

    def credentials(self) -> Credentials:
        """Read the keys.

        Raises:
            WorkerError: ``BadConfiguration``: one is missing or cannot be one. Its value is never shown.
        """
        key_id, secret = self._read("AWS_ACCESS_KEY_ID"), self._read("AWS_SECRET_ACCESS_KEY")
        if not key_id or not secret:
            message = "The Secret of credentialsSecretRef needs the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
        return Credentials(key_id, secret, self._read("AWS_SESSION_TOKEN") or None)

    def sign(self, target: SplitResult, headers: Mapping[str, str]) -> tuple[SplitResult, Mapping[str, str]]:
        """Return the URL as it is, and the headers that prove who asks; the range is not part of the proof."""
        keys = self.credentials()
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        request = HttpRequest("GET", path, HttpHeaders([("Host", target.netloc)]))
        provider = AwsCredentialsProvider.new_static(keys.access_key_id, keys.secret_access_key, keys.session_token)
        config = AwsSigningConfig(
            algorithm=AwsSigningAlgorithm.V4,
            signature_type=AwsSignatureType.HTTP_REQUEST_HEADERS,
            credentials_provider=provider,
            region=self._region,
            service="s3",
            # S3 alone signs the path as it is sent.
            use_double_uri_encode=False,
            should_normalize_uri_path=False,
            signed_body_value=AwsSignedBodyValue.EMPTY_SHA256,
            signed_body_header_type=AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
        )
        aws_sign_request(request, config).result(_SIGN_SECONDS)
        # The host header among them: it is signed, so it must be sent as it was signed.
        return target, dict(request.headers)

    def renew(self, response: Response) -> bool:
        """The next request reads the keys anew in any case; there is nothing else to get."""
        return False

    def _read(self, name: str) -> str:
        try:
            text = (self._folder / name).read_text().strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError):
            text = "\n"
        if not (text.isascii() and text.isprintable()):
            message = f"{name} in the Secret of credentialsSecretRef is not a key: it has characters that no key has."
            raise WorkerError(FailureCode.BAD_CONFIGURATION, message)
        return text


def _understand(response: Response) -> WorkerError | None:
    body = _body(response)
    code = _CODE.search(body)
    name = code[1].decode() if code is not None else ""
    if name not in _MEANINGS:
        return None
    failure, meaning = _MEANINGS[name]
    region = response.header("x-amz-bucket-region") or ""
    if not region and (found := _REGION.search(body)) is not None:
        region = found[1].decode()
    right = f" Its region is {region}." if region.replace("-", "").isalnum() else ""
    return WorkerError(failure, f"The server says {response.status} {name}. {meaning}{right}")


def _body(response: Response) -> bytes:
    body = b""
    try:
        while len(body) < _ERROR_BYTES and (data := response.read(_ERROR_BYTES)):
            body += data
    except ConnectionLost:
        pass
    return body


_ADVICE = Advice(
    not_found="Correct spec.source.s3.",
    forbidden=_KEYS_REFUSED,
    mismatch="Correct source.s3.checksum or the object.",
    understand=_understand,
)
