"""What can go wrong for the operator's command, how it is said, and the exit status of each.

Decides wording and exit statuses: 1 the manager refused, 2 the command was asked wrongly, 3 the manager cannot be
reached or is not who it should be. Invariant: nothing secret is in an error, so every error may be printed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from common.errors import CertcastError, Hint, InvalidInputError, UnreachableError

if TYPE_CHECKING:
    from manager.cli.access import Access

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3

_WANTS_CONFIRMATION: Final = "this wants a confirmation, and nothing was changed"
HTTP_UNAUTHENTICATED: Final = 401

_LISTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        Hint.LIST_NODES: "node list",
        Hint.LIST_CERTIFICATES: "certificate list",
        Hint.LIST_TRUSTED_CAS: "ca list",
        Hint.LIST_REQUESTS: "csr list",
        Hint.LIST_ALARMS: "alarm list",
        Hint.LIST_USERS: "user list",
        Hint.LIST_CLIENTS: "oauth-client list",
    }
)
"""Of each hint the command that answers it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with what was sent; each place is None where it is unknown, and counts from 1."""

    message: str
    file: str | None = None
    block: int | None = None
    line: int | None = None

    def __str__(self) -> str:
        block = f"block {self.block}" if self.block is not None else None
        line = f"line {self.line}" if self.line is not None else None
        place = ", ".join(part for part in (self.file, block, line) if part)
        return f"{place}: {self.message}" if place else self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequence:
    """What a change means for nodes, clients or private keys."""

    code: str = ""
    message: str = ""
    severity: str = "warning"


class RefusedError(CertcastError):
    """The manager answered that it will not do it. `code` is its reason as sent, `status` that of HTTP.

    `token` is not None where it would do it once its `consequences` are confirmed with that.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        field: str = "",
        findings: Sequence[Finding] = (),
        consequences: Sequence[Consequence] = (),
        token: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field
        self.findings = tuple(findings)
        self.consequences = tuple(consequences)
        self.token = token

    def named(self, files: Mapping[str, str]) -> "RefusedError":
        """Return the same with findings that name the operator's files instead of the request's fields."""
        found = [
            replace(each, file=files.get(each.file, each.file) if each.file else None)
            for each in self.findings
        ]
        return self.with_findings(found)

    def hinted(self, hint: str) -> "RefusedError":
        """Return the same with what to do about it."""
        message = _WANTS_CONFIRMATION if self.token is not None else self.message
        return RefusedError(
            f"{message}; {hint}",
            status=self.status,
            code=self.code,
            field=self.field,
            findings=self.findings,
            consequences=self.consequences,
        )

    def saying(self, message: str) -> "RefusedError":
        """Return the same in other words."""
        return RefusedError(
            message,
            status=self.status,
            code=self.code,
            field=self.field,
            findings=self.findings,
            consequences=self.consequences,
            token=self.token,
        )

    def with_findings(self, findings: Sequence[Finding]) -> "RefusedError":
        """Return the same with other findings."""
        return RefusedError(
            self.message,
            status=self.status,
            code=self.code,
            field=self.field,
            findings=findings,
            consequences=self.consequences,
            token=self.token,
        )


def is_refusal(answer: object) -> bool:
    """Whether an answer is the API's error document; a proxy's page, say, is none."""
    return isinstance(answer, dict) and isinstance(answer.get("error"), dict)


def refusal(status: int, answer: Any) -> RefusedError:
    """Read the API's error document."""
    error = answer["error"]
    listed, confirmation = error.get("findings"), error.get("confirmation")
    told = confirmation if isinstance(confirmation, dict) else {}
    consequences, command = told.get("consequences"), _LISTS.get(_text(error.get("hint")))
    message = _text(error.get("message")) or f"the manager refused with HTTP status {status}"
    return RefusedError(
        f"{message}; 'certcast {command}' shows those there are" if command else message,
        status=status,
        code=_text(error.get("reason")),
        field=_text(error.get("field")),
        findings=[_finding(each) for each in listed if isinstance(each, dict)]
        if isinstance(listed, list)
        else (),
        consequences=[_consequence(each) for each in consequences if isinstance(each, dict)]
        if isinstance(consequences, list)
        else (),
        token=_text(told.get("token")) or None,
    )


def explained(error: RefusedError, access: "Access") -> RefusedError:
    """Say with whose credentials it was refused, and what to do next."""
    if error.status == HTTP_UNAUTHENTICATED and access.token:
        return error.saying(
            f"{error.message}. It is the one of --token or CERTCAST_TOKEN; sign in with --user and make another: certcast token create"
        )
    if error.status == HTTP_UNAUTHENTICATED:
        return error.saying(f"{error.message} (user '{access.user}')")
    return error


def exit_status(error: CertcastError) -> int:
    """Return the exit status for an error."""
    match error:
        case InvalidInputError():
            return EXIT_USAGE
        case UnreachableError():
            return EXIT_UNREACHABLE
        case _:
            return EXIT_REFUSED


def lines(error: CertcastError) -> Iterator[str]:
    """Yield what to print: one sentence, then each finding on its own line."""
    message, findings = error.message, error.findings if isinstance(error, RefusedError) else ()
    if findings and all(each.message in message for each in findings):  # said once is enough
        if len(findings) == 1:
            message, findings = str(findings[0]), ()
        else:
            message = f"{len(findings)} findings, so nothing was taken:"
    if isinstance(error, RefusedError) and error.field and error.field not in message:
        message = f"{error.field}: {message}"
    yield f"certcast: {message}"
    for finding in findings:
        yield f"  {finding}"
    if isinstance(error, RefusedError):
        yield from (f"  {consequence_line(each)}" for each in error.consequences)


def consequence_line(each: Consequence) -> str:
    """Say a consequence, and how bad it is."""
    return f"{each.severity}: {each.message}"


def _consequence(each: Mapping[str, Any]) -> Consequence:
    return Consequence(
        code=_text(each.get("code")),
        message=_text(each.get("message")),
        severity=_text(each.get("severity")) or "warning",
    )


def _finding(each: Mapping[str, Any]) -> Finding:
    return Finding(
        message=_text(each.get("message")),
        file=_text(each.get("file")) or None,
        block=_number(each.get("block")),
        line=_number(each.get("line")),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
