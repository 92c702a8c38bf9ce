"""Shape of an explanation: what a code means, who refuses it, by which standard, what to do.

Decides how a row of the reference table looks. The rows are in `findings` and `statuses`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from common.codes import ChainState, StatusCode
from common.pki.finding import LintCode, Severity


class ClientFamily(StrEnum):
    """The clients in the table, judged by tests or by their documentation (Apple, Windows)."""

    OPENSSL = "OpenSSL"
    CHROME = "Chrome"
    FIREFOX = "Firefox"
    APPLE = "Apple"
    GO = "Go"
    JAVA = "Java"
    WINDOWS = "Windows"
    GNUTLS = "GnuTLS"
    RUSTLS = "rustls"


ALL: Final = tuple(ClientFamily)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One row. `refused_by` lists clients that refuse a server for it by default; `remark` says when, or why not all.

    `title` has at most five words, for places with little room.
    """

    code: LintCode | StatusCode | ChainState
    severity: Severity
    title: str
    meaning: str
    refused_by: tuple[ClientFamily, ...] = ()
    remark: str = ""
    standard: str
    remedy: str

    @property
    def kind(self) -> str:
        """Return the kind of the code; a finding and a chain's state may have the same spelling."""
        return {LintCode: "finding", StatusCode: "status", ChainState: "chain"}[type(self.code)]

    @property
    def anchor(self) -> str:
        """Return the row's anchor for links."""
        return f"{self.kind}-{self.code}"

    @property
    def refusal(self) -> str:
        """Return who refuses it, and when."""
        if not self.refused_by:
            return self.remark or "Nobody."
        who = "All clients" if len(self.refused_by) == len(ClientFamily) else ", ".join(self.refused_by)
        return f"{who}. {self.remark}".strip()
