"""Reference table of every finding, status and chain state: what it means, who refuses it, by which standard, what to do.

The only place where this is written down (findings in `findings`): pages, the command and docs/findings.md all show it.
Invariant: every LintCode, StatusCode and ChainState has exactly one row.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from common.codes import ChainState, StatusCode
from common.explained.explanation import ALL, ClientFamily, Explanation
from common.explained.findings import FINDINGS
from common.pki.finding import LintCode, Severity

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
        meaning="It is due to expire within the next 60 days; one that lives for less than 90 days, in the last two thirds of its "
        "life. The alarm is raised within 30 days; for such a short life in its last third, below 10 days in its last half.",
        remark="Accepted until it expires.",
        standard="The specification, 'Viewing or modifying existing TLS certificates'",
        remedy="Make a request to replace it.",
    ),
    Explanation(
        code=StatusCode.TEMPORARY,
        severity=Severity.WARNING,
        title="Temporary",
        meaning="It is self-signed.",
        refused_by=ALL,
        remark="Unless they were told to trust this very certificate.",
        standard="RFC 5280 6.1",
        remedy="Replace it with a CA's certificate.",
    ),
    Explanation(
        code=StatusCode.WEAK_SIGNATURE,
        severity=Severity.ERROR,
        title="Weak signature",
        meaning="It is signed with SHA-1 or an older hash.",
        refused_by=(
            ClientFamily.OPENSSL,
            ClientFamily.CHROME,
            ClientFamily.FIREFOX,
            ClientFamily.APPLE,
            ClientFamily.GO,
            ClientFamily.GNUTLS,
            ClientFamily.RUSTLS,
        ),
        remark="OpenSSL 3 at security level 1 and above. Java and Windows refuse SHA-1 only under CAs of their built-in lists; Java refuses MD5 under all.",
        standard="RFC 8446 4.4.2.4; CA/Browser Forum baseline requirements 7.1.3.2; Apple support 103769",
        remedy="Have it reissued with SHA-256.",
    ),
    Explanation(
        code=StatusCode.EMPTY_SUBJECT,
        severity=Severity.WARNING,
        title="Empty subject",
        meaning="Its only names are subject alternative names. That is valid, but older clients do not accept it.",
        refused_by=(ClientFamily.CHROME, ClientFamily.JAVA),
        remark="Only where the subject alternative name is not marked critical, as the standard then demands. OpenSSL does so with -x509_strict.",
        standard="RFC 5280 4.1.2.6 and 4.2.1.6",
        remedy="Ask for a Common Name if older clients must connect.",
    ),
    Explanation(
        code=StatusCode.UNREADABLE,
        severity=Severity.ERROR,
        title="Validity unreadable",
        meaning="When its validity begins or ends is written in a way that tells no date, so it is neither expired nor valid.",
        refused_by=ALL,
        standard="RFC 5280 4.1.2.5; ITU-T X.690 11.7 and 11.8",
        remedy="Ask the CA for a correctly encoded certificate.",
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
        refused_by=(
            ClientFamily.OPENSSL,
            ClientFamily.CHROME,
            ClientFamily.FIREFOX,
            ClientFamily.APPLE,
            ClientFamily.GO,
            ClientFamily.GNUTLS,
            ClientFamily.RUSTLS,
        ),
        remark="SHA-1 as for a certificate's own weak signature. A CA key of RSA below 2048 bits is refused by OpenSSL at security level 2, Apple and rustls; Chrome, Firefox, Go, Java and GnuTLS accept 1024 bits under a private root. A root's signature on itself does not count.",
        standard="RFC 8446 4.4.2.4; NIST SP 800-57 part 1, 5.6; Apple support 103769",
        remedy="Get a chain from the CA that is signed with SHA-256 and has keys of RSA 2048 or more, P-256 or P-384.",
    ),
    Explanation(
        code=ChainState.NOT_YET_VALID,
        severity=Severity.ERROR,
        title="Chain not valid yet",
        meaning="The validity of a link begins in the future.",
        refused_by=ALL,
        remark="Java and rustls do not look at a root's dates.",
        standard="RFC 5280 6.1.3 (a) (2)",
        remedy="Check the clocks, or wait.",
    ),
    Explanation(
        code=ChainState.EXPIRED,
        severity=Severity.ERROR,
        title="Chain expired",
        meaning="A link of the chain has expired.",
        refused_by=ALL,
        remark="Java and rustls do not look at a root's dates.",
        standard="RFC 5280 6.1.3 (a) (2)",
        remedy="Add the CA's current certificate, to the upload or to the trusted CAs.",
    ),
    Explanation(
        code=ChainState.INVALID,
        severity=Severity.ERROR,
        title="Chain not valid",
        meaning="A link breaks a rule of path validation; the problems listed beside each link say which.",
        refused_by=ALL,
        remark="Exceptions: rustls does not look at an issuer's key usage, Java not at a CA's extended key usage; OpenSSL and Firefox accept it where a CA demands a policy.",
        standard="RFC 5280 6.1.3 to 6.1.5",
        remedy="Get the right intermediate from the CA; upload it with the certificate or add it to the trusted CAs.",
    ),
    Explanation(
        code=ChainState.UNTRUSTED,
        severity=Severity.ERROR,
        title="Untrusted root",
        meaning="The chain ends at a root that is not among the trusted CAs.",
        refused_by=ALL,
        remark="Unless they were told to trust the root.",
        standard="RFC 5280 6.1.1 (d)",
        remedy="If your clients know the root, add it to the trusted CAs.",
    ),
    Explanation(
        code=ChainState.INCOMPLETE,
        severity=Severity.ERROR,
        title="Chain incomplete",
        meaning="An issuer's certificate is missing, so clients that know only the root cannot follow the chain.",
        refused_by=(
            ClientFamily.OPENSSL,
            ClientFamily.CHROME,
            ClientFamily.FIREFOX,
            ClientFamily.GO,
            ClientFamily.JAVA,
            ClientFamily.GNUTLS,
            ClientFamily.RUSTLS,
        ),
        remark="Chrome, Apple and Windows fetch a missing intermediate where the certificate says from where and it can be reached; Firefox knows those of public CAs.",
        standard="RFC 8446 4.4.2; RFC 5280 6.1",
        remedy="Upload the missing intermediate with the certificate, or add it to the trusted CAs.",
    ),
    Explanation(
        code=ChainState.UNDETERMINED,
        severity=Severity.WARNING,
        title="Chain not determined",
        meaning="So many CA certificates share the name of an issuer, or sign each other, that the search for a chain reached its limit. There may be a good one.",
        remark="Clients have limits of their own; some of them will not find a chain either.",
        standard="RFC 5280 6.1; RFC 4158",
        remedy="Upload the right intermediates with the certificate, and delete trusted CAs that are no longer needed.",
    ),
    Explanation(
        code=ChainState.SELF_SIGNED,
        severity=Severity.WARNING,
        title="Self-signed",
        meaning="The certificate is signed with its own key.",
        refused_by=ALL,
        remark="Unless they were told to trust this very certificate.",
        standard="RFC 5280 6.1",
        remedy="Replace it with a CA's certificate.",
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
    """Return a code's row. Codes of different kinds may have the same spelling, so the type counts."""
    match code:
        case LintCode():
            return _FINDINGS[code]
        case StatusCode():
            return _STATUSES[code]
        case ChainState():
            return _STATES[code]
