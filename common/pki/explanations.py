"""Reference table of every finding, status and chain state: what it means, who refuses it, by which standard, what to do.

Decides the severity of each finding where its place in the fleet does not. The only place where this is written down: findings,
pages, the command and docs/findings.md all show it.
Invariant: every LintCode, StatusCode and ChainState has exactly one row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from common.pki.chain import ChainState
from common.pki.finding import LintCode, Severity
from common.pki.status import StatusCode


class Client(StrEnum):
    """Those whose documented behaviour the table names."""

    OPENSSL = "OpenSSL"
    CHROME = "Chrome"
    FIREFOX = "Firefox"
    APPLE = "Apple"
    GO = "Go"
    JAVA = "Java"
    WINDOWS = "Windows"


ALL: Final = tuple(Client)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One row. `refused_by` are clients that refuse a server for it in their default settings; `remark` says when, or why not all.

    `title` is at most five words, for where there is room for no more.
    """

    code: LintCode | StatusCode | ChainState
    severity: Severity
    title: str
    meaning: str
    refused_by: tuple[Client, ...] = ()
    remark: str = ""
    standard: str
    remedy: str

    @property
    def anchor(self) -> str:
        """Name the row for links; a code may be both a finding and a chain state."""
        kind = {LintCode: "finding", StatusCode: "status", ChainState: "chain"}[type(self.code)]
        return f"{kind}-{self.code}"


FINDINGS: Final = (
    Explanation(
        code=LintCode.NOT_YET_VALID,
        severity=Severity.ERROR,
        title="Not valid yet",
        meaning="Its validity begins in the future.",
        refused_by=ALL,
        standard="RFC 5280 4.1.2.5",
        remedy="Check the clocks of the CA and of this machine, or wait until it is valid.",
    ),
    Explanation(
        code=LintCode.WEAK_KEY,
        severity=Severity.ERROR,
        title="Weak key",
        meaning="Its key is RSA below 2048 bits, an elliptic curve below 224 bits, or DSA.",
        refused_by=(Client.OPENSSL, Client.CHROME, Client.APPLE, Client.GO, Client.JAVA),
        remark="OpenSSL at security level 2, which Debian sets; Go and Java below 1024 bits; Apple below 2048 bits.",
        standard="NIST SP 800-57 part 1; CA/Browser Forum baseline requirements 6.1.5",
        remedy="Make a new request with RSA 2048 or more, P-256 or P-384.",
    ),
    Explanation(
        code=LintCode.UNLOADABLE,
        severity=Severity.ERROR,
        title="OpenSSL cannot load it",
        meaning="OpenSSL, which the services of the nodes use, cannot load it or a certificate that came with it. It is kept, and held out of "
        "what nodes get; a node keeps what it had.",
        refused_by=(Client.OPENSSL,),
        standard="ITU-T X.690 (DER); RFC 5280 4.1.2.4",
        remedy="Ask the CA for a certificate that is encoded as the standard says, and put it in place of this one.",
    ),
    Explanation(
        code=LintCode.UNDECODABLE,
        severity=Severity.WARNING,
        title="Partly unreadable",
        meaning="Some of its fields cannot be decoded, so what they say is unknown; it is not absent.",
        remark="Strict parsers refuse such certificates; which do depends on the field.",
        standard="RFC 5280 4.1; ITU-T X.690 (DER)",
        remedy="Ask the CA for a certificate that is encoded as the standard says.",
    ),
    Explanation(
        code=LintCode.NO_SAN,
        severity=Severity.ERROR,
        title="No alternative names",
        meaning="It has no subject alternative name, and clients no longer match the Common Name.",
        refused_by=(Client.CHROME, Client.FIREFOX, Client.APPLE, Client.GO),
        remark="OpenSSL and Java fall back to the Common Name.",
        standard="RFC 9525 6.3; RFC 9110 4.3.4; CA/Browser Forum baseline requirements 7.1.2.7.12",
        remedy="Make a new request that repeats the name as a subject alternative name.",
    ),
    Explanation(
        code=LintCode.NAME_NOT_IN_SAN,
        severity=Severity.WARNING,
        title="Name missing among alternatives",
        meaning="Its Common Name is not among its subject alternative names, so it is not valid for that name.",
        refused_by=ALL,
        remark="Only when they connect by that name.",
        standard="RFC 9525 6.3; RFC 6125 6.4.4",
        remedy="Make a new request that repeats the name as a subject alternative name.",
    ),
    Explanation(
        code=LintCode.WILDCARD,
        severity=Severity.WARNING,
        title="Wildcard",
        meaning="It has a wildcard name. SIP does not allow those, and Skype for Business does not support them.",
        remark="SIP peers that follow RFC 5922; browsers accept it.",
        standard="RFC 5922 7.2; RFC 9525 6.3",
        remedy="Use a certificate that lists the nodes' names.",
    ),
    Explanation(
        code=LintCode.NODE_NAME_MISMATCH,
        severity=Severity.ERROR,
        title="Wrong name",
        meaning="It is not valid for a name of a node that it is assigned to.",
        refused_by=ALL,
        remark="When they connect by that name. OpenSSL where the application checks names.",
        standard="RFC 9525 6.3; RFC 6125 6.4",
        remedy="Assign a certificate that lists the node's names, or correct the node's names.",
    ),
    Explanation(
        code=LintCode.NO_SERVER_AUTH,
        severity=Severity.ERROR,
        title="Not for TLS servers",
        meaning="Its extended key usage does not allow TLS servers (serverAuth).",
        refused_by=ALL,
        standard="RFC 5280 4.2.1.12",
        remedy="Make a new request that asks for TLS server use.",
    ),
    Explanation(
        code=LintCode.NO_CLIENT_AUTH,
        severity=Severity.ERROR,
        title="Not for TLS clients",
        meaning="It is in a client slot, and its extended key usage does not allow TLS clients (clientAuth).",
        refused_by=(Client.OPENSSL, Client.GO, Client.JAVA, Client.WINDOWS),
        remark="As servers that verify the certificate which a node shows, such as SIP peers with mutual TLS.",
        standard="RFC 5280 4.2.1.12",
        remedy="Use a certificate with clientAuth in the client slot; public CAs no longer issue those, a private CA does.",
    ),
    Explanation(
        code=LintCode.IS_CA,
        severity=Severity.WARNING,
        title="CA certificate",
        meaning="It is a CA certificate, used as a server's.",
        refused_by=(Client.FIREFOX,),
        remark="Others accept it; Firefox reports MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY.",
        standard="RFC 5280 4.2.1.9; CA/Browser Forum baseline requirements 7.1.2.7.8",
        remedy="Issue a certificate for the server from this CA, and keep the CA's key off the nodes.",
    ),
    Explanation(
        code=LintCode.CHAIN,
        severity=Severity.ERROR,
        title="Chain of trust not good",
        meaning="Its chain of trust does not lead to a trusted root, or a link of it is not good; the chain's state says how.",
        refused_by=ALL,
        remark="Unless they know the missing certificate by other means.",
        standard="RFC 5280 6.1; RFC 8446 4.4.2",
        remedy="See the row of the chain's state.",
    ),
    Explanation(
        code=LintCode.KEY_SHARED,
        severity=Severity.NOTE,
        title="Shared key",
        meaning="Another certificate of the store has the same key: whoever loses one has lost both.",
        standard="NIST SP 800-57 part 1, 5.2",
        remedy="Make a new key with each request.",
    ),
    Explanation(
        code=LintCode.UNASSIGNED,
        severity=Severity.NOTE,
        title="Not assigned",
        meaning="It is not assigned to any node.",
        standard="The specification, 'Uploading a TLS server certificate'",
        remedy="Assign it to a node, or delete it.",
    ),
)

STATUSES: Final = (
    Explanation(
        code=StatusCode.EXPIRED,
        severity=Severity.ERROR,
        title="Expired",
        meaning="Its validity has ended.",
        refused_by=ALL,
        standard="RFC 5280 4.1.2.5",
        remedy="Replace it.",
    ),
    Explanation(
        code=StatusCode.EXPIRING,
        severity=Severity.WARNING,
        title="Expires soon",
        meaning="It is due to expire within the next 60 days; one that lives for less than 90 days, in the last two thirds of its life "
        "(half, below 10 days).",
        remark="Accepted until it has expired.",
        standard="The specification, 'Viewing or modifying existing TLS certificates'",
        remedy="Make a request to replace it.",
    ),
    Explanation(
        code=StatusCode.TEMPORARY,
        severity=Severity.WARNING,
        title="Temporary",
        meaning="It is self-signed.",
        refused_by=ALL,
        remark="Unless this very certificate was made known to them as trusted.",
        standard="RFC 5280 6.1",
        remedy="Replace it by a certificate of a CA.",
    ),
    Explanation(
        code=StatusCode.WEAK_SIGNATURE,
        severity=Severity.ERROR,
        title="Weak signature",
        meaning="It is signed with SHA-1 or an older hash.",
        refused_by=ALL,
        remark="OpenSSL 3 at security level 1 and above; Java and Windows for CAs of their built-in lists.",
        standard="RFC 9155; CA/Browser Forum baseline requirements 7.1.3.2",
        remedy="Have it issued anew with SHA-256.",
    ),
    Explanation(
        code=StatusCode.EMPTY_SUBJECT,
        severity=Severity.WARNING,
        title="Empty subject",
        meaning="It has only subject alternative names. It is valid, but older clients do not accept it.",
        standard="RFC 5280 4.1.2.6 and 4.2.1.6",
        remedy="Ask for a Common Name if older clients must connect.",
    ),
    Explanation(
        code=StatusCode.GOOD,
        severity=Severity.NOTE,
        title="Good",
        meaning="It is a good, valid certificate.",
        standard="The specification, 'Viewing or modifying existing TLS certificates'",
        remedy="Nothing to do.",
    ),
)

CHAIN_STATES: Final = (
    Explanation(
        code=ChainState.COMPLETE,
        severity=Severity.NOTE,
        title="Chain complete",
        meaning="The chain of trust leads to a trusted root, and every link is good.",
        standard="RFC 5280 6.1",
        remedy="Nothing to do.",
    ),
    Explanation(
        code=ChainState.WEAK,
        severity=Severity.ERROR,
        title="Weak chain",
        meaning="A link of the chain is signed with SHA-1 or older, or has a weak key.",
        refused_by=ALL,
        remark="A root's signature on itself is not judged.",
        standard="RFC 9155; NIST SP 800-57 part 1",
        remedy="Get a chain from the CA that is signed with SHA-256.",
    ),
    Explanation(
        code=ChainState.NOT_YET_VALID,
        severity=Severity.ERROR,
        title="Chain not valid yet",
        meaning="The validity of a link begins in the future.",
        refused_by=ALL,
        standard="RFC 5280 6.1.3 (a) (2)",
        remedy="Check the clocks, or wait.",
    ),
    Explanation(
        code=ChainState.EXPIRED,
        severity=Severity.ERROR,
        title="Chain expired",
        meaning="A link of the chain has expired.",
        refused_by=ALL,
        standard="RFC 5280 6.1.3 (a) (2)",
        remedy="Add the CA's current certificate, to the upload or to the trusted CAs.",
    ),
    Explanation(
        code=ChainState.INVALID,
        severity=Severity.ERROR,
        title="Chain not valid",
        meaning="A link breaks a rule of path validation; the problems beside each link say which.",
        refused_by=ALL,
        standard="RFC 5280 6.1.3 to 6.1.5",
        remedy="Get the right intermediate from the CA; upload it with the certificate or add it to the trusted CAs.",
    ),
    Explanation(
        code=ChainState.UNTRUSTED,
        severity=Severity.ERROR,
        title="Untrusted root",
        meaning="The chain ends at a root that is not among the trusted CAs.",
        refused_by=ALL,
        remark="Unless the root was made known to them.",
        standard="RFC 5280 6.1.1 (d)",
        remedy="Add the root to the trusted CAs if your clients know it.",
    ),
    Explanation(
        code=ChainState.INCOMPLETE,
        severity=Severity.ERROR,
        title="Chain incomplete",
        meaning="The certificate of an issuer is missing, so clients that know only the root cannot follow the chain.",
        refused_by=(Client.OPENSSL, Client.FIREFOX, Client.GO, Client.JAVA),
        remark="Chrome, Apple and Windows may fetch or remember a missing intermediate.",
        standard="RFC 8446 4.4.2; RFC 5280 6.1",
        remedy="Upload the missing intermediate with the certificate, or add it to the trusted CAs.",
    ),
    Explanation(
        code=ChainState.UNDETERMINED,
        severity=Severity.WARNING,
        title="Chain not determined",
        meaning="So many CA certificates have the name of an issuer, or sign each other, that the search for a chain met its limit. "
        "There may be a good one.",
        remark="Clients have limits of their own; some of them will not find a chain either.",
        standard="RFC 5280 6.1; RFC 4158",
        remedy="Upload the right intermediates with the certificate, and delete trusted CAs that are no longer needed.",
    ),
    Explanation(
        code=ChainState.SELF_SIGNED,
        severity=Severity.WARNING,
        title="Self-signed",
        meaning="The certificate is signed by its own key.",
        refused_by=ALL,
        remark="Unless this very certificate was made known to them as trusted.",
        standard="RFC 5280 6.1",
        remedy="Replace it by a certificate of a CA.",
    ),
)

_FINDINGS: Final[Mapping[LintCode, Explanation]] = MappingProxyType(
    {code: each for code in LintCode for each in FINDINGS if each.code is code}
)
_STATUSES: Final[Mapping[StatusCode, Explanation]] = MappingProxyType(
    {code: each for code in StatusCode for each in STATUSES if each.code is code}
)
_STATES: Final[Mapping[ChainState, Explanation]] = MappingProxyType(
    {code: each for code in ChainState for each in CHAIN_STATES if each.code is code}
)


def explain(code: LintCode | StatusCode | ChainState) -> Explanation:
    """Return a code's row. Codes of two kinds may be spelled alike, so the kind counts."""
    match code:
        case LintCode():
            return _FINDINGS[code]
        case StatusCode():
            return _STATUSES[code]
        case ChainState():
            return _STATES[code]
