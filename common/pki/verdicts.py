"""Verdicts of the library's verifier, in words for people.

Decides the sentence for each reason that the verifier gives. It quotes its own objects and counts how it searched; neither says
anything to people. Invariant: no repr, no identifier in dotted form where there is a name, and never an empty text.
"""

import re
from typing import Final

from common.pki.oids import EXTENSIONS, algorithm_name

NO_PATH: Final = "there is no way to a trusted root"
_UNCLEAR: Final = "a strict client refuses it"

QUOTED_MAX_CHARS: Final = 80
"""Of what the verifier says in words of its own; a verdict on a port has room for 120."""

# the first that is found decides; texts of the verifier's rules, as of cryptography 50
_REASONS: Final = (
    ("all candidates exhausted with no interior errors", NO_PATH),
    ("leaf server certificate has no subjectaltname", "it has no subject alternative name"),
    ("invalid domain name", "the name asked for is not a host name"),
    ("no matching subjectaltname", "none of its subject alternative names is the name asked for"),
    (
        "must be critical when subject is empty",
        "its subject is empty, and its subject alternative name is not critical",
    ),
    (
        "must not be critical when subject is nonempty",
        "its subject alternative name is critical although it has a subject",
    ),
    ("not valid at validation time", "it is expired or not yet valid"),
    ("required eku not found", "its extended key usage does not allow TLS servers"),
    ("neither eku nor anyeku", "the extended key usage of a CA does not allow this use"),
    ("must not be asserted in an ee", "it is a CA certificate, which no server may present"),
    ("must not assert keycertsign", "its key usage allows signing certificates, which no server's may"),
    ("keycertsign", "its key usage does not allow signing certificates"),
    ("basicconstraints.ca must be asserted", "it is not a CA certificate"),
    ("path length", "a CA allows fewer intermediates below it than there are"),
    ("chain construction exceeds max depth", "the chain is too long"),
    ("no permitted name constraints matched", "a name is outside what a CA above may sign for"),
    ("excluded name constraint matched", "a name is excluded by a CA above"),
    ("name constraint", "the name constraints of a CA above cannot be applied"),
    ("limit", "the chain takes too much work to verify"),
    ("must be an x509v3", "it is not an X.509 version 3 certificate"),
    (
        "mismatch between signaturealgorithm",
        "its signature algorithm differs between inside and outside of what is signed",
    ),
    ("serial number cannot be negative", "its serial number is negative"),
    ("serial between", "its serial number has more than 20 octets"),
    ("non-empty issuer", "it names no issuer"),
    ("must be utctime", "its dates are not encoded as they must be"),
    ("key is too weak", "its issuer's key is too short"),
    ("malformed public key", "its issuer's key cannot be read"),
    ("specifiedcurve", "its issuer's public key spells out its curve's parameters"),
    ("rsawithsha1", "its signature is made with SHA-1, which strict clients do not accept"),
    ("forbidden public key algorithm", "its issuer's key is of a kind that strict clients do not accept"),
    ("forbidden signature algorithm", "its signature is of a kind that strict clients do not accept"),
    ("signature does not match", "its signature was not made by the issuer that it names"),
    ("unaccounted-for critical", "it has a critical extension that clients do not know"),
    ("incorrect criticality", "it has an extension that must be critical, or must not be"),
    ("missing required extension", "it lacks an extension that strict clients require"),
    ("prohibited extension", "it has an extension that strict clients forbid"),
    ("authoritykeyidentifier must", "its authority key identifier is not valid"),
    ("duplicate extension", "it has an extension twice"),
    ("parse error", "it is not encoded as it must be"),
)
_PROCESSED = re.compile(
    r" \(encountered processing <Certificate\(subject=<Name\((.*)\)>, \.\.\.\)>\)", re.DOTALL
)
_SEARCH = re.compile(r"validation failed: |candidates exhausted: ")
_OBJECT = re.compile(r"<.*>|\{.*\}|\(.*\)", re.DOTALL)
_OID = re.compile(r"\b\d+(?:\.\d+){3,}\b")


def in_words(text: str) -> str:
    """Return the verifier's reason as a sentence without a capital and a full stop, with the certificate that it is about."""
    about = _PROCESSED.search(text)
    inner = _PROCESSED.sub("", text).lower()
    sentence = next((words for key, words in _REASONS if key in inner), _quoted(inner))
    named = _OID.search(inner)
    if named and named[0] in EXTENSIONS:
        sentence += f" ({EXTENSIONS[named[0]]})"
    elif named and algorithm_name(named[0]) != named[0]:
        sentence += f" ({algorithm_name(named[0])})"
    return f"'{about[1]}': {sentence}" if about and about[1] else sentence


def _quoted(inner: str) -> str:
    """Return what the verifier says where there are no words of ours for it, without objects and numbered identifiers."""
    plain = _OID.sub("", _OBJECT.sub("", _SEARCH.sub("", inner)))
    text = " ".join(plain.split()).strip(" .:")
    return f"{_UNCLEAR}: {text[:QUOTED_MAX_CHARS]}" if text else _UNCLEAR
