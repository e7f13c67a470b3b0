"""What errors of aiokafka mean to us: the one place where foreign errors become ours.

A test holds that every error class of aiokafka stands here.
"""

from __future__ import annotations

import asyncio
import enum
import socket
import ssl
from collections.abc import Mapping, Sequence

from aiokafka import errors

from crucible.errors import (
    AppendUnknownError,
    CrucibleError,
    LogCorruptError,
    LogError,
    LogRefusedError,
    LogUnreachableError,
)
from crucible.log.kafka.options import VARIABLE


class Kind(enum.Enum):
    """What can be done about an error."""

    UNREACHABLE = "it may pass: brokers, leaders and connections come and go"
    REFUSED = "the cluster says no, and will say no again: somebody has to change something"
    CORRUPT = "what came is not what was written"
    FAULT = "the client was used wrongly, or is broken: another one may do"


_BY_KIND: Mapping[Kind, str] = {
    Kind.UNREACHABLE: """
        KafkaError BrokerResponseError UnknownError NoBrokersAvailable NodeNotReadyError StaleMetadata KafkaTimeoutError
        MetadataEmptyBrokerList KafkaUnavailableError KafkaConnectionError UnknownTopicOrPartitionError
        LeaderNotAvailableError NotLeaderForPartitionError RequestTimedOutError BrokerNotAvailableError
        ReplicaNotAvailableError NotControllerError NotEnoughReplicasError NotEnoughReplicasAfterAppendError
        ReassignmentInProgress KafkaStorageError QuotaViolationError StaleControllerEpochError StaleLeaderEpochCodeError
        GroupLoadInProgressError GroupCoordinatorNotAvailableError NotCoordinatorForGroupError ListenerNotFound
        LogDirNotFound
    """,
    Kind.REFUSED: """
        UnrecognizedBrokerVersion IncompatibleBrokerVersion AuthenticationMethodNotSupported AuthenticationFailedError
        UnsupportedCodecError KafkaConfigurationError RecordTooLargeError MessageSizeTooLargeError InvalidTopicError
        RecordListTooLargeError InvalidRequiredAcksError TopicAuthorizationFailedError GroupAuthorizationFailedError
        ClusterAuthorizationFailedError InvalidTimestampError UnsupportedSaslMechanismError IllegalSaslStateError
        UnsupportedVersionError TopicAlreadyExistsError InvalidPartitionsError InvalidReplicationFactorError
        InvalidReplicationAssignmentError InvalidConfigurationError UnsupportedForMessageFormatError
        PolicyViolationError TransactionalIdAuthorizationFailed SecurityDisabled SaslAuthenticationFailed
        DelegationTokenAuthDisabled DelegationTokenNotFound DelegationTokenOwnerMismatch
        DelegationTokenRequestNotAllowed DelegationTokenAuthorizationFailed DelegationTokenExpired InvalidPrincipalType
        OffsetOutOfRangeError NoOffsetForPartitionError
    """,
    Kind.CORRUPT: "CorruptRecordException",
    Kind.FAULT: """
        NoError IllegalStateError IllegalArgumentError KafkaProtocolError CorrelationIdError Cancelled
        TooManyInFlightRequests CommitFailedError ConsumerStoppedError IllegalOperation ProducerClosed ProducerFenced
        InvalidFetchRequestError OffsetMetadataTooLargeError IllegalGenerationError InconsistentGroupProtocolError
        InvalidGroupIdError UnknownMemberIdError InvalidSessionTimeoutError RebalanceInProgressError
        InvalidCommitOffsetSizeError InvalidRequestError OutOfOrderSequenceNumber DuplicateSequenceNumber
        InvalidProducerEpoch InvalidTxnState InvalidProducerIdMapping InvalidTransactionTimeout ConcurrentTransactions
        TransactionCoordinatorFenced OperationNotAttempted UnknownProducerId NonEmptyGroup GroupIdNotFound
        FetchSessionIdNotFound InvalidFetchSessionEpoch MemberIdRequired
    """,
}
KINDS: Mapping[type[BaseException], Kind] = {
    getattr(errors, name): kind for kind, names in _BY_KIND.items() for name in names.split()
}
ADVICE: Mapping[type[BaseException], str] = {
    errors.SaslAuthenticationFailed: f"wrong user or password: see {VARIABLE}SASL_USERNAME and {VARIABLE}SASL_PASSWORD",
    errors.UnsupportedSaslMechanismError: f"the brokers take another mechanism: see {VARIABLE}SASL_MECHANISM",
    errors.IllegalSaslStateError: f"the listener takes no passwords: see {VARIABLE}SECURITY_PROTOCOL",
    errors.TopicAuthorizationFailedError: "this user has no right to do that with this topic: ask who runs the cluster",
    errors.ClusterAuthorizationFailedError: "this user may write to no topic: ask who runs the cluster",
    errors.MessageSizeTooLargeError: "the topic's max.message.bytes is too small: see `crucible topics check`",
    errors.OffsetOutOfRangeError: "the topic holds no such offset: it was truncated, made anew, or its retention ended",
}
CERTAIN: frozenset[type[BaseException]] = frozenset(
    {
        errors.MessageSizeTooLargeError,
        errors.RecordListTooLargeError,
        errors.InvalidTopicError,
        errors.InvalidRequiredAcksError,
        errors.TopicAuthorizationFailedError,
        errors.ClusterAuthorizationFailedError,
        errors.InvalidTimestampError,
        errors.UnsupportedForMessageFormatError,
        errors.PolicyViolationError,
    }
)
"""What a broker says before it writes anything: nothing was appended."""
Failure = (errors.KafkaError, errors.ConsumerStoppedError, errors.IllegalOperation, OSError, asyncio.TimeoutError)
"""What calls of the client may raise because of the world outside."""


def kind_of(error: BaseException) -> Kind:
    """What can be done about an error of the client."""
    if isinstance(error, ssl.SSLError):
        return Kind.REFUSED
    for known in type(error).__mro__:
        if known in KINDS:
            return KINDS[known]
    return Kind.UNREACHABLE if isinstance(error, OSError | TimeoutError) else Kind.FAULT


def explain(error: BaseException, doing: str) -> LogError:
    """Our error for one of the client's; ``doing`` says what failed and where."""
    if isinstance(error, LogError):
        return error
    kind = kind_of(error)
    message = f"{doing}: {told(error)}"
    if kind is Kind.CORRUPT:
        return LogCorruptError(message)
    return LogRefusedError(message) if kind is Kind.REFUSED else LogUnreachableError(message)


def explain_connection(error: BaseException, reasons: Sequence[BaseException], doing: str) -> LogError:
    """Our error for a client that could not connect: what it says is less than what it has logged."""
    causes = reasons or [error]
    said = "; ".join(dict.fromkeys(_connection_told(cause) for cause in causes))
    is_refused = any(kind_of(cause) is Kind.REFUSED for cause in causes)
    return (LogRefusedError if is_refused else LogUnreachableError)(f"{doing}: {said}")


def _connection_told(cause: BaseException) -> str:
    said = told(cause)
    if isinstance(cause, ssl.SSLCertVerificationError):
        said = f"the broker's certificate is not trusted ({cause.verify_message}): see {VARIABLE}SSL_CAFILE"
    elif isinstance(cause, ssl.SSLError):
        said = f"TLS fails ({cause.reason}): does that port speak TLS? See {VARIABLE}SECURITY_PROTOCOL"
    elif isinstance(cause, socket.gaierror):
        said = f"the name of the host is not known ({cause.strerror})"
    elif isinstance(cause, TimeoutError):
        said = f"no answer in time: is it a Kafka broker, and is {VARIABLE}SECURITY_PROTOCOL that of this port?"
    elif isinstance(cause, ConnectionRefusedError):
        said = f"nobody listens there ({cause}): is the broker running, and is the port right?"
    elif isinstance(cause, errors.KafkaConnectionError | ConnectionError | EOFError):
        said = f"{said}: the connection was closed, as brokers do if {VARIABLE}SECURITY_PROTOCOL is not theirs"
    return said


def explain_append(error: BaseException, doing: str) -> LogError:
    """Our error for one that came back from an append that was sent."""
    if isinstance(error, LogError):
        return error
    if type(error) in CERTAIN:
        return LogRefusedError(f"{doing}: {told(error)}; nothing was appended")
    return AppendUnknownError(f"{doing}: {told(error)}; it may or may not have happened, send it again")


def told(error: BaseException) -> str:
    """What an error says, with its name and what to do."""
    if isinstance(error, CrucibleError):
        return str(error)
    text = str(error)
    name = type(error).__name__
    said = text if text.startswith(("[Error", name)) else f"{name}: {text}" if text else name
    advice = next((ADVICE[known] for known in type(error).__mro__ if known in ADVICE), None)
    return said if advice is None else f"{said}; {advice}"
