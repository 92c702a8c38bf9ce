"""Shape of an explanation: what a code means, who refuses it, by which standard, what to do.

Decides how a row of the reference table looks. The rows are in `findings` and `statuses`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from common.codes import ChainState, StatusCode
from common.pki.finding import LintCode, Severity


class ClientFamily(StrEnum):
    """Those whose behaviour the table names, as tried or as documented (Apple, Windows)."""

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
    """One row. `refused_by` are clients that refuse a server for it in their default settings; `remark` says when, or why not all.

    `title` is at most five words, for where there is room for no more.
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
        """Say what the code is one of; a finding and a chain's state may be spelled alike."""
        return {LintCode: "finding", StatusCode: "status", ChainState: "chain"}[type(self.code)]

    @property
    def anchor(self) -> str:
        """Name the row for links."""
        return f"{self.kind}-{self.code}"

    @property
    def refusal(self) -> str:
        """Say who refuses it, and when."""
        if not self.refused_by:
            return self.remark or "Nobody."
        who = "All clients" if len(self.refused_by) == len(ClientFamily) else ", ".join(self.refused_by)
        return f"{who}. {self.remark}".strip()
