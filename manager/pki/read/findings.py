"""Errors that carry everything found wrong with one input, not just the first thing.

Decides how several findings become one error. Leaves to the reader which findings there are.
Invariant: an error of this kind has at least one finding, and no finding quotes key material.
"""

from collections.abc import Iterable

from common.errors import CertcastError, PkiError


class PkiFindingsError(CertcastError):
    """An input was refused as a whole; nothing of it was taken.

    Attributes:
        findings: every reason, in the order of the input; `reason` is the first one's.
    """

    def __init__(self, findings: Iterable[PkiError]) -> None:
        self.findings = tuple(findings)
        if not self.findings:
            raise ValueError("an error needs at least one finding")
        super().__init__(
            "; ".join(locate(finding) for finding in self.findings), reason=self.findings[0].reason
        )

    def __reduce__(self) -> tuple[type["PkiFindingsError"], tuple[tuple[PkiError, ...]]]:
        """Let the error cross from a worker process: the default would pass the message as the findings."""
        return type(self), (self.findings,)


def locate(finding: PkiError) -> str:
    """Return the finding as one sentence that begins with its place, as far as that is known."""
    place = [
        text
        for text, known in (
            (f"{finding.file}", finding.file),
            (f"block {finding.block}", finding.block),
            (f"line {finding.line}", finding.line),
        )
        if known is not None
    ]
    return f"{', '.join(place)}: {finding.message}" if place else finding.message


def raise_findings(findings: Iterable[PkiError]) -> None:
    """Raise PkiFindingsError if there is any finding."""
    found = tuple(findings)
    if found:
        raise PkiFindingsError(found)
