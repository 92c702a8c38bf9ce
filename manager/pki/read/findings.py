"""Errors that carry everything that is wrong with one input, not just the first finding.

Decides how several findings become one error; readers make the findings.
Invariant: such an error has at least one finding, and no finding quotes key material.
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
        """Support pickling, so that the error can leave a worker process with its findings."""
        return type(self), (self.findings,)


def locate(finding: PkiError) -> str:
    """Return the finding as one sentence that begins with its place, as far as known."""
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
