"""What errors of aiokafka mean to us: the one place where foreign errors become ours.

A test holds that every error class of aiokafka stands here.
"""

from __future__ import annotations

import asyncio
import enum
import ssl
from collections.abc import Mapping

from aiokafka import errors

from crucible.errors import (
    AppendUnknownError,
    CrucibleError,
    LogCorruptError,
    LogError,
    LogRefusedError,
    LogUnreachableError,
)


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
    errors.SaslAuthenticationFailed: "user or password is wrong: see CRUCIBLE_KAFKA_SASL_USERNAME and _SASL_PASSWORD",
    errors.UnsupportedSaslMechanismError: "the brokers take another mechanism: see CRUCIBLE_KAFKA_SASL_MECHANISM",
    errors.IllegalSaslStateError: "the listener takes no passwords: see CRUCIBLE_KAFKA_SECURITY_PROTOCOL",
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
