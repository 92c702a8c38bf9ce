"""The API's answers, decoded as the contract has them (`common.api`).

Unknown fields are ignored, and those that a later version added have defaults, so that a command works with a
manager of another one.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypedDict, TypeVar

import msgspec

from common.api.errors import FailureAnswer
from common.errors import CertcastError, Hint
from common.schema import finding_text
from manager.cli.failures import ApiRefusedError

T = TypeVar("T")

_LISTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        Hint.LIST_NODES: "node list",
        Hint.LIST_CERTIFICATES: "certificate list",
        Hint.LIST_TRUSTED_CAS: "ca list",
        Hint.LIST_CSRS: "csr list",
        Hint.LIST_ALARMS: "alarm list",
        Hint.LIST_USERS: "user list",
        Hint.LIST_CLIENTS: "oauth-client list",
    }
)
"""The command that lists the possible values, by hint."""


class RawPage(TypedDict):
    """A page of certificates (`CertificatesAnswer`) that are not decoded, for output as JSON."""

    certificates: list[msgspec.Raw]
    total: int


def read(answer: bytes, kind: type[T]) -> T:
    """Decode an answer. Raises CertcastError if it breaks the contract (another service, another version)."""
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.MsgspecError as error:
        raise CertcastError(
            f"the manager's answer was not understood ({finding_text(error)}); do the manager and this command have the same version?"
        ) from error


def refusal(status: int, answer: bytes) -> ApiRefusedError | None:
    """Decode the API's error document; None if it is something else, such as a proxy's page."""
    try:
        error = msgspec.json.decode(answer, type=FailureAnswer).error
    except msgspec.MsgspecError:
        return None
    confirmation, command = error.confirmation or None, _LISTS.get(error.hint or "")
    message = error.message or f"the manager refused with HTTP status {status}"
    return ApiRefusedError(
        f"{message}; 'certcast {command}' lists them" if command else message,
        status=status,
        code=error.reason,
        field=error.field,
        findings=error.findings,
        consequences=confirmation.consequences if confirmation is not None else (),
        token=confirmation.token if confirmation is not None else None,
    )
