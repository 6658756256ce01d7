"""What a server of S3, and the way to it, answer instead of doing what they should, in words that say what to do."""

from collections.abc import Mapping

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    SSLError,
    SSOError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE,"
RENEW = f"Set {CREDENTIALS} to credentials that may read, list and create there."
CLOCK = "Set the clock of this machine, for example with NTP."
REGION = "Set AWS_DEFAULT_REGION to the region of the bucket, and check AWS_ENDPOINT_URL_S3."
LATER = "The server is overloaded or fails. Run the same command again later."
SPACE = "Free space there or raise the quota, then run the same command again."
DAMAGED = "The data changed on its way. Check the network and the proxies on it, then run the same command again."
UNSUPPORTED = "This server does not support what Andon needs. andon doctor checks a server."
KEY = "The encryption key of the bucket cannot be used. Allow its use to these credentials."

# By the codes of Amazon S3, MinIO, Ceph and SeaweedFS, and by the status if an answer has no body.
ADVICE: Mapping[str, str] = {
    code: advice
    for advice, codes in {
        RENEW: "AccessDenied AllAccessDisabled AccountProblem InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken "
        "ExpiredTokenException InvalidToken TokenRefreshRequired InvalidSecurity NotSignedUp 401 403",
        CLOCK: "RequestTimeTooSkewed RequestExpired RequestInTheFuture",
        REGION: "PermanentRedirect TemporaryRedirect Redirect AuthorizationHeaderMalformed IncorrectEndpoint "
        "IllegalLocationConstraintException InvalidRegion InvalidLocationConstraint 301 307",
        LATER: "SlowDown SlowDownRead SlowDownWrite ServiceUnavailable InternalError RequestTimeout Throttling "
        "ThrottlingException TooManyRequests TooManyRequestsException RequestLimitExceeded BandwidthLimitExceeded Busy "
        "OperationAborted ConditionalRequestConflict XMinioServerNotInitialized 408 409 429 500 502 503 504",
        SPACE: "QuotaExceeded XMinioStorageFull XMinioAdminBucketQuotaExceeded InsufficientStorage 507",
        "The server takes no object of this size. Raise its limit, or that of the proxy in front of it.": (
            "EntityTooLarge MaxMessageLengthExceeded 413"
        ),
        DAMAGED: "BadDigest InvalidDigest IncompleteBody XAmzContentChecksumMismatch XAmzContentSHA256Mismatch",
        UNSUPPORTED: "NotImplemented MethodNotAllowed XNotImplemented InvalidRequest 405 501",
        KEY: "KMS.DisabledException KMS.NotFoundException KMS.KMSInvalidStateException KMSNotConfigured",
        "Correct the bucket in --store.": "InvalidBucketName InvalidBucket",
        "The object is archived. Restore it there, and take the archiving rule from the bucket.": "InvalidObjectState",
    }.items()
    for code in codes.split()
}
OTHER = "Look the code up in the manual of the server; andon doctor checks what Andon needs."
NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    SSOError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)


def code_of(error: ClientError) -> str:
    """Return the code of an answer: a name, or the HTTP status if the answer has no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def refused_request(error: ClientError, where: str) -> str:
    """Return the message for a request that the server at `where` refused."""
    code, reason = code_of(error), str(error.response.get("Error", {}).get("Message", "")).rstrip(". ")
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    advice = ADVICE.get(code) or ADVICE.get(status, OTHER)
    if code == "NoSuchBucket":
        return f"There is no bucket for {where}. Create it, or correct --store."
    if advice == RENEW:
        return f"{where} refuses {error.operation_name} ({code or status}). {advice}"
    return f"{where} answers {error.operation_name} with {code or status}{reason and ': '}{reason}. {advice}"


def failed_request(error: BotoCoreError | Boto3Error, uri: str) -> str:
    """Return the message for a request that did not reach the server, or whose answer did not come back."""
    reason = str(error).rstrip(". ")
    if isinstance(error, NO_CREDENTIALS):
        return f"There are no valid credentials for {uri} ({reason}). Set {CREDENTIALS} to yours, or sign in again."
    if isinstance(error, NoRegionError):
        return f"{uri} cannot be reached: {reason}. {REGION}"
    if isinstance(error, SSLError):
        return f"{uri} cannot be reached: {reason}. Check AWS_ENDPOINT_URL_S3, and set AWS_CA_BUNDLE to its authority."
    return f"{uri} cannot be reached: {reason}. Check the network and AWS_ENDPOINT_URL_S3, then run it again."
