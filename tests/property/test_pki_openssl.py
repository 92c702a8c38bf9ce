"""Random hierarchies of purposes, name constraints and path lengths: `openssl verify` is asked about each, and our answers must agree.

OpenSSL tries one path only, so it is handed exactly what we serve: where we call a chain complete, it must accept, and where we call
the only path there is anything else, it must refuse.
"""

import random
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.api.codes import ChainState
from common.pki.certificate import decode
from common.pki.strict import StrictClient
from manager.pki.chain.chain import build_chain
from manager.pki.chain.search import Issuers
from tests.pki import NOW_S, chain_pem, make_intermediate, make_key, make_leaf, make_root
from tests.unit.pki.openssl import accepts

KEYS = [make_key() for _ in range(4)]
USAGES = [
    None,
    None,
    [ExtendedKeyUsageOID.SERVER_AUTH],
    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
    [ExtendedKeyUsageOID.EMAIL_PROTECTION],
    [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE],
]
HOSTS = ["node.example.com", "example.com", "node.other.test"]
SUBTREES = ["example.com", ".example.com", "node.example.com", "other.test", "example"]
ADDRESSES = [None, None, "admin@example.com", "admin@other.test"]


def constraints(draw):
    """Draw name constraints: none most often, of hosts or of email addresses."""

    def subtrees():
        kind = draw.choice([x509.DNSName, x509.DNSName, x509.RFC822Name])
        return [kind(draw.choice(SUBTREES)) for _ in range(draw.randint(1, 2))]

    if draw.random() < 0.6:
        return []
    permitted, excluded = draw.choice([(subtrees(), None), (None, subtrees()), (subtrees(), subtrees())])
    return [(x509.NameConstraints(permitted, excluded), True)]


def hierarchy(seed):
    """Make a root, one to three CAs below each other, and a leaf."""
    draw = random.Random(seed)
    root = make_root(path_length=draw.choice([None, None, 0, 1, 2]), key=KEYS[0])
    cas = [root]
    for floor in range(draw.randint(1, 3)):
        usages = draw.choice(USAGES)
        extensions = [(x509.ExtendedKeyUsage(usages), False)] if usages else []
        cas.append(
            make_intermediate(
                cas[-1],
                f"Floor {floor}",
                key=KEYS[floor],
                path_length=draw.choice([None, None, 0, 1]),
                extensions=[*extensions, *constraints(draw)],
            )
        )
    host, address = draw.choice(HOSTS), draw.choice(ADDRESSES)
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, host)]
    if address:
        subject.append(x509.NameAttribute(NameOID.EMAIL_ADDRESS, address))
    leaf = make_leaf(
        cas[-1],
        [host],
        subject=x509.Name(subject),
        alternatives=draw.random() < 0.8,
        usages=draw.choice([None, [ExtendedKeyUsageOID.SERVER_AUTH]]),
    )
    return root, cas[1:], leaf


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32))
def test_our_answers_are_those_of_openssl(seed):
    root, cas, leaf = hierarchy(seed)
    chain = build_chain(
        decode(leaf.certificate_der),
        Issuers(trusted=[decode(root.certificate_der)]),
        uploaded=[decode(one.certificate_der) for one in cas],
        now_s=NOW_S,
    )
    with tempfile.TemporaryDirectory() as directory:
        accepted = accepts(
            leaf.certificate_pem,
            "-x509_strict",
            trusted=root.certificate_pem,
            sent=chain_pem(*cas),
            cwd=Path(directory),
        )
    assert accepted is (chain.state is ChainState.COMPLETE), chain.explanation
    verdict = StrictClient([decode(root.certificate_der)]).ask(
        decode(leaf.certificate_der), chain.serving, now_s=NOW_S
    )
    if chain.state is not ChainState.COMPLETE:
        assert not verdict.accepted, chain.explanation
    elif not verdict.accepted:
        # the library wants alternative names, and binds a few forms of names more strictly
        assert (
            not decode(leaf.certificate_der).subject_alt_names or "name constraint" in verdict.reason.lower()
        ), verdict.reason
