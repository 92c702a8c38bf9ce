"""Name constraints: which names a CA may sign for (RFC 5280 4.2.1.10).

Decides for one path whether every name below a constrained CA is within its permitted and outside its excluded subtrees.
Invariant: a limit on comparisons bounds the work; constraints that cannot be read or fully checked count as violated.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence

from cryptography import x509

from common.pki.certificate import Certificate
from common.pki.frame import read_frame
from common.pki.name import canonical_name, library_name
from common.pki.signature import DECODING_ERRORS
from common.pki.typed import typed_extension

_HOST_NAME = re.compile(r"[A-Za-z0-9*_-]+(?:\.[A-Za-z0-9_-]+)+\.?")


class Comparisons:
    """Counts down. Shared by all paths of one search."""

    def __init__(self, allowed: int) -> None:
        self.left = allowed

    def spend(self, count: int) -> bool:
        """Take `count` off; False if that is more than is left."""
        self.left -= count
        return self.left >= 0


def constraints_hold(path: Sequence[Certificate], comparisons: Comparisons) -> bool:
    """Whether all names on a path (leaf first) satisfy the constraints of every CA above them."""
    for place, issuer in enumerate(path[1:], start=1):
        if not issuer.has_name_constraints:
            continue
        try:
            constraints = typed_extension(issuer, x509.NameConstraints)
        except DECODING_ERRORS:
            return False
        if constraints is None:
            continue
        # a self-issued certificate is exempt unless it is the leaf (RFC 5280 6.1.3 b)
        below = [path[0], *(one for one in path[1:place] if one.subject_id != one.issuer_id)]
        if not all(_holds(constraints, certificate, comparisons) for certificate in below):
            return False
    return True


def own_constraints_hold(certificate: Certificate, comparisons: Comparisons) -> bool:
    """Whether a certificate's name constraints, which only a CA should have, allow all of its own names."""
    return constraints_hold([certificate, certificate], comparisons)


def seldom_applied(issuer: Certificate) -> str:
    """Name a CA's name constraints whose form not every client can apply, "" if none."""
    if not issuer.has_name_constraints:
        return ""
    try:
        constraints = typed_extension(issuer, x509.NameConstraints)
    except DECODING_ERRORS:
        return ""
    for subtree in (
        (*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ()))
        if constraints
        else ()
    ):
        if isinstance(subtree, x509.DirectoryName):
            return "directory names"
        if isinstance(subtree, x509.DNSName) and subtree.value.strip(".") != subtree.value:
            return "host names with a dot before or behind them"
    return ""


def comparisons_needed(leaf: Certificate, issuers: Iterable[Certificate]) -> int:
    """Return how many comparisons another verifier would make at most, for a bound on handing these to one."""
    count = 0
    for issuer in issuers:
        if not issuer.has_name_constraints:
            continue
        try:
            constraints = typed_extension(issuer, x509.NameConstraints)
        except DECODING_ERRORS:
            continue
        if constraints is not None:
            count += _subtree_count(constraints) * (len(leaf.subject_alt_names) + 1)
    return count


def _subtree_count(constraints: x509.NameConstraints) -> int:
    return len(constraints.permitted_subtrees or ()) + len(constraints.excluded_subtrees or ())


def _holds(constraints: x509.NameConstraints, certificate: Certificate, comparisons: Comparisons) -> bool:
    try:
        names = _names(certificate)
    except DECODING_ERRORS:
        return False
    if not comparisons.spend(len(names) * _subtree_count(constraints)):
        return False
    permitted = list(constraints.permitted_subtrees or ())
    excluded = list(constraints.excluded_subtrees or ())
    for name in names:
        if any(_within(name, subtree, excluding=True) for subtree in excluded):
            return False
        same_kind = [subtree for subtree in permitted if type(subtree) is type(name)]
        if same_kind and not any(_within(name, subtree, excluding=False) for subtree in same_kind):
            return False
    return True


def _names(certificate: Certificate) -> list[x509.GeneralName]:
    subject = library_name(read_frame(certificate.der).subject)
    alternatives = typed_extension(certificate, x509.SubjectAlternativeName)
    names: list[x509.GeneralName] = list(alternatives) if alternatives else []
    if list(subject):
        names.append(x509.DirectoryName(subject))
    # RFC 5280 4.2.1.10 binds these where there is no alternative name; OpenSSL, NSS and Windows bind them always
    names += [x509.RFC822Name(text) for text in _mail_addresses(subject)]
    named_hosts = alternatives is not None and any(isinstance(name, x509.DNSName) for name in alternatives)
    if not named_hosts and not certificate.is_ca and _HOST_NAME.fullmatch(certificate.subject_name):
        # without alternative host names clients fall back to the Common Name, so it is bound as well (as in OpenSSL)
        names.append(x509.DNSName(certificate.subject_name))
    return names


def _mail_addresses(subject: x509.Name) -> list[str]:
    found = (str(each.value) for each in subject.get_attributes_for_oid(x509.NameOID.EMAIL_ADDRESS))
    return [text for text in found if "@" in text and text.isascii()]


def _within(name: x509.GeneralName, subtree: x509.GeneralName, *, excluding: bool) -> bool:
    match name, subtree:
        case x509.DNSName(), x509.DNSName():
            return _dns_within(name.value, subtree.value, excluding=excluding)
        case x509.IPAddress(), x509.IPAddress():
            return _address_within(name.value, subtree.value)
        case x509.RFC822Name(), x509.RFC822Name():
            return _mail_within(name.value, subtree.value)
        case x509.UniformResourceIdentifier(), x509.UniformResourceIdentifier():
            return _host_within(_host(name.value), subtree.value)
        case x509.DirectoryName(), x509.DirectoryName():
            # canonical names are one element for each part, so a beginning is whole parts
            return canonical_name(name.value.public_bytes()).startswith(
                canonical_name(subtree.value.public_bytes())
            )
        case _:
            # a kind that cannot be compared: outside what is permitted, inside what is excluded, if it is the same kind
            return excluding and type(name) is type(subtree)


def _dns_within(name: str, subtree: str, *, excluding: bool) -> bool:
    name, subtree = name.lower(), subtree.lower()
    if excluding:
        # a dot at the end tells OpenSSL names apart, and others not: what may be excluded is
        name, subtree = name.rstrip("."), subtree.rstrip(".")
    if excluding and name.startswith("*."):
        # a wildcard reaches into an excluded subtree below it
        base = name.removeprefix("*.")
        if subtree.lstrip(".").endswith("." + base) or subtree.lstrip(".") == base:
            return True
    if subtree.startswith("."):
        return name.endswith(subtree)
    return not subtree or name == subtree or name.endswith("." + subtree)


def _address_within(name: object, subtree: object) -> bool:
    match name, subtree:
        case ipaddress.IPv4Address(), ipaddress.IPv4Network():
            return name in subtree
        case ipaddress.IPv6Address(), ipaddress.IPv6Network():
            return name in subtree
        case _:
            return False


def _mail_within(name: str, subtree: str) -> bool:
    if "@" in subtree:
        return name.lower() == subtree.lower()
    return _host_within(name.rpartition("@")[2], subtree)


def _host_within(host: str, subtree: str) -> bool:
    host, subtree = host.lower(), subtree.lower()
    return host.endswith(subtree) if subtree.startswith(".") else host == subtree


def _host(uri: str) -> str:
    rest = uri.partition("://")[2]
    authority = rest.replace("?", "/").replace("#", "/").partition("/")[0]
    return authority.rpartition("@")[2].partition(":")[0]
