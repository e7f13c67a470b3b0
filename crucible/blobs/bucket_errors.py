"""What S3 and the libraries on the way to it say, in our words: the one seam for all of it.

s3fs turns what a server answers into errors of the system and keeps the answer as their cause; what never reached a
server comes as errors of botocore, aiohttp or asyncio.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from crucible.errors import StorageError

MESSAGE_CHARACTERS_MAX: Final = 200
RIGHTS: Final = "ListBucket, GetObject, PutObject, DeleteObject, AbortMultipartUpload, ListMultipartUploadParts"

_NOT_THERE = frozenset({"404", "NoSuchKey", "NoSuchUpload"})
_ANSWERS: Final = (
    (
        {"NoSuchBucket"},
        "there is no bucket {bucket}; make it (aws s3 mb s3://{bucket}), or choose another one with CRUCIBLE_BLOBS",
    ),
    (
        {"403", "405", "AccessDenied", "AccountProblem", "AllAccessDisabled", "CrossLocationLoggingProhibited"}
        | {"InvalidObjectState", "InvalidPayer", "MethodNotAllowed"},
        f"access denied ({{code}}); these keys need {RIGHTS} on it",
    ),
    (
        {"CredentialsNotSupported", "ExpiredToken", "InvalidAccessKeyId", "InvalidSecurity", "InvalidToken"}
        | {"NotSignedUp", "SignatureDoesNotMatch", "TokenRefreshRequired", "XAdminUserNotFound"},
        "the keys were refused ({code}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    ),
    (
        {"301", "307", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"},
        "the bucket is in another region ({code}); set AWS_DEFAULT_REGION",
    ),
    (
        {"409", "500", "502", "503", "504", "InternalError", "OperationAborted", "RequestTimeout"}
        | {"ServiceUnavailable", "SlowDown", "ThrottlingException", "TooManyRequests"},
        "the server fails or is overloaded ({code}); try again",
    ),
    (
        {"BadDigest", "IncompleteBody", "InvalidDigest", "XAmzContentSHA256Mismatch"},
        "content was changed on its way ({code}); try again",
    ),
    (
        {"507", "EntityTooLarge", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"},
        "the server has no room for it ({code})",
    ),
    ({"RequestTimeTooSkewed"}, "this machine's clock is wrong ({code}); set it"),
)
_KEYS_LACKING = frozenset(
    {"CredentialRetrievalError", "NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError"}
    | {"UnauthorizedSSOTokenError", "SSOTokenLoadError", "RefreshWithMFAUnsupportedError", "LoginRefreshRequired"}
)
_SETUP = frozenset(
    {"ConfigNotFound", "ConfigParseError", "InvalidConfigError", "InvalidRegionError", "NoRegionError"}
    | {"ProfileNotFound", "ParamValidationError", "UnknownEndpointError", "InvalidRetryModeError", "ValueError"}
)


class NotThereError(StorageError):
    """An object, or an upload, that is not there."""


class RefusedError(StorageError):
    """A server refuses for a reason that is not one of S3's usual ones."""


@contextlib.contextmanager
def explaining(location: str, bucket: str, endpoint: str | None) -> Iterator[None]:
    """Raise whatever goes wrong on the way to a bucket as ``StorageError``; ``NotThereError`` for what is not there."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        raise explained(error, location=location, bucket=bucket, endpoint=endpoint) from error


def explained(error: BaseException, *, location: str, bucket: str, endpoint: str | None) -> StorageError:
    """Our error for one of theirs: what failed, where, and what to do."""
    code = _code(error)
    server = without_login(endpoint) if endpoint else "its default endpoint"
    if code is None:
        return StorageError(f"blobs at {location}, {server}: {_unanswered(error)}")
    if code in _NOT_THERE:
        return NotThereError(f"{location} has no such object ({code})")
    answer = next((text.format(code=code, bucket=bucket) for codes, text in _ANSWERS if code in codes), None)
    if answer is None:
        return RefusedError(f"blobs at {location}, {server}: the server refuses ({code}: {_line(error)})")
    return StorageError(f"blobs at {location}, {server}: {answer}")


def without_login(endpoint: str) -> str:
    """An endpoint without user and password."""
    parts = urlsplit(endpoint)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _code(error: BaseException) -> str | None:
    """The code that a server has answered with, wherever it stands in the chain of causes."""
    cause: BaseException | None = error
    while cause is not None:
        answer: Any = getattr(cause, "response", None)
        if isinstance(answer, dict) and "Error" in answer:
            return str(answer["Error"].get("Code") or "") or None
        cause = cause.__cause__
    return None


def _unanswered(error: BaseException) -> str:
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _KEYS_LACKING:
        return f"there are no keys ({_line(error)}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    if names & _SETUP:
        return f"the settings for it are wrong: {_line(error)}"
    if "SSLError" in names:
        return f"no safe connection: {_line(error)}; AWS_CA_BUNDLE names the certificates to trust"
    return f"no answer ({type(error).__name__}: {_line(error)}); is AWS_ENDPOINT_URL right, and is the server there?"


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())[:MESSAGE_CHARACTERS_MAX]
    return text or type(error).__name__
