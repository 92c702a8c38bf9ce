"""Failures of the operator's command: their wording, and the exit status of each.

Decides wording and exit statuses: 1 the manager refused, 2 the command was asked wrongly, 3 the manager
cannot be reached or is not who it should be. Invariant: nothing secret is in an error, so every error may be
printed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from common.errors import CertcastError, InvalidInputError, UnreachableError

if TYPE_CHECKING:
    from common.api.errors import ConsequenceAnswer, FailureFinding
    from manager.cli.access import Access

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3

_NEEDS_CONFIRMATION: Final = "this needs confirmation, and nothing was changed"
HTTP_UNAUTHENTICATED: Final = 401

LOST: Final = (
    "To replace a lost password, run 'certcast-manager user password NAME' as root on the manager's machine"
)
"""The one way that works even if no administrator can sign in."""


class ApiRefusedError(CertcastError):
    """A refusal by the manager. `code` is its reason as sent, `status` the HTTP status.

    If `token` is not None, the request succeeds once its `consequences` are confirmed with that token.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        field: str = "",
        findings: Sequence["FailureFinding"] = (),
        consequences: Sequence["ConsequenceAnswer"] = (),
        token: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field
        self.findings = tuple(findings)
        self.consequences = tuple(consequences)
        self.token = token

    def with_files(self, files: Mapping[str, str]) -> "ApiRefusedError":
        """Return the same error with findings that name the operator's files instead of the request's fields."""
        from msgspec import structs

        def shown(file: str | None) -> str | None:
            field, slash, member = (file or "").partition("/")
            return f"{files[field]}{slash}{member}" if field in files else file

        return self.with_findings([structs.replace(each, file=shown(each.file)) for each in self.findings])

    def with_hint(self, hint: str) -> "ApiRefusedError":
        """Return the same error with a hint what to do."""
        message = _NEEDS_CONFIRMATION if self.token is not None else self.message
        return ApiRefusedError(
            f"{message}; {hint}",
            status=self.status,
            code=self.code,
            field=self.field,
            findings=self.findings,
            consequences=self.consequences,
        )

    def saying(self, message: str) -> "ApiRefusedError":
        """Return the same error with another message."""
        return ApiRefusedError(
            message,
            status=self.status,
            code=self.code,
            field=self.field,
            findings=self.findings,
            consequences=self.consequences,
            token=self.token,
        )

    def with_findings(self, findings: Sequence["FailureFinding"]) -> "ApiRefusedError":
        """Return the same error with other findings."""
        return ApiRefusedError(
            self.message,
            status=self.status,
            code=self.code,
            field=self.field,
            findings=findings,
            consequences=self.consequences,
            token=self.token,
        )


def explain_refusal(error: ApiRefusedError, access: "Access") -> ApiRefusedError:
    """Return an authentication error that also says whose credentials were refused and what to do next."""
    if error.status == HTTP_UNAUTHENTICATED and access.token:
        return error.saying(
            f"{error.message}. The token is the one in --token or CERTCAST_TOKEN; sign in with --user and make another: certcast token create"
        )
    if error.status == HTTP_UNAUTHENTICATED:
        return error.saying(f"{error.message} (user '{access.user}'). {LOST}")
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
    """Yield an error's lines: one sentence, then each finding on its own line."""
    message, findings = error.message, error.findings if isinstance(error, ApiRefusedError) else ()
    if findings and all(each.message in message for each in findings):  # said once is enough
        if len(findings) == 1:
            message, findings = finding_line(findings[0]), ()
        else:
            message = f"{len(findings)} findings, so nothing was changed:"
    if isinstance(error, ApiRefusedError) and any(each.message in message for each in error.consequences):
        message = _NEEDS_CONFIRMATION  # what asks for it follows
    if isinstance(error, ApiRefusedError) and error.field and error.field not in message:
        message = f"{error.field}: {message}"
    yield f"certcast: {message}"
    for finding in findings:
        yield f"  {finding_line(finding)}"
    if isinstance(error, ApiRefusedError):
        yield from (f"  {consequence_line(each)}" for each in error.consequences)


def finding_line(each: "FailureFinding") -> str:
    """Return a finding with its place as far as known; blocks and lines count from 1."""
    block = f"block {each.block}" if each.block is not None else None
    line = f"line {each.line}" if each.line is not None else None
    place = ", ".join(part for part in (each.file, block, line) if part)
    return f"{place}: {each.message}" if place else each.message


def consequence_line(each: "ConsequenceAnswer") -> str:
    """Return a consequence with its severity."""
    return f"{each.severity}: {each.message}"
