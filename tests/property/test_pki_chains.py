"""Random tangles of CAs: our search and the library's verifier must agree on which leaves have a good chain.

Within Web PKI rules (ECDSA, SHA-256, alternative names) the two answers differ in nothing but wording, so each checks the other.
"""

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.api.codes import ChainState
from common.pki.certificate import decode
from common.pki.strict import MAX_INTERMEDIATES, StrictClient
from manager.pki.chain.chain import build_chain
from manager.pki.chain.search import Issuers
from tests.pki import DAY_S, NOW_S, Made, _ca_extensions, _make, _name, make_key, make_leaf, make_root

KEYS = [make_key() for _ in range(6)]
EXPIRED = NOW_S - 1
LATER = NOW_S + 1000 * DAY_S


def tangle(seed):
    """Make roots, then CAs whose names, keys and issuers are drawn from few, so that they collide."""
    draw = random.Random(seed)
    roots = [
        make_root(f"Root {number}", key=KEYS[number], not_after_s=draw.choice([LATER, LATER, EXPIRED]))
        for number in range(3)
    ]
    cas: list[Made] = list(roots)
    for _ in range(draw.randint(1, 7)):
        name, key = draw.choice([("A", 3), ("A", 4), ("B", 4), ("C", 5), ("Root 0", 0), ("Root 1", 1)])
        cas.append(
            _make(
                issuer=draw.choice(cas),
                subject=_name(name),
                key=KEYS[key],
                not_before_s=NOW_S - 500 * DAY_S,
                not_after_s=draw.choice([LATER, LATER, LATER, EXPIRED]),
                extensions=_ca_extensions(draw.choice([None, None, None, 0, 1])),
            )
        )
    leaf = make_leaf(draw.choice(cas[1:]), not_after_s=NOW_S + 90 * DAY_S)
    trusted = [root for root in roots if draw.random() < 0.6]
    sent = [one for one in cas[3:] if draw.random() < 0.85]
    draw.shuffle(sent)
    return leaf, trusted, sent[:MAX_INTERMEDIATES]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32))
def test_our_search_and_the_strict_client_agree(seed):
    leaf, trusted, sent = (
        decode(made.certificate_der)
        if isinstance(made, Made)
        else [decode(one.certificate_der) for one in made]
        for made in tangle(seed)
    )
    chain = build_chain(leaf, Issuers(trusted=trusted), uploaded=sent, now_s=NOW_S)
    client = StrictClient(trusted)
    if chain.state is not ChainState.COMPLETE:
        assert not client.ask(leaf, sent, now_s=NOW_S).accepted, chain.explanation
    elif not _has_self_issued_link(chain):
        # asked with what is served: handed everything, the library may give up in a tangle that we get through
        assert client.ask(leaf, chain.serving, now_s=NOW_S).accepted, "what is served must be enough"


def _has_self_issued_link(chain):
    """Tell a CA's key rollover: RFC 5280 4.2.1.9 and OpenSSL do not count it towards a path length, the library does."""
    return any(link.certificate.subject_id == link.certificate.issuer_id for link in chain.links[1:-1])
