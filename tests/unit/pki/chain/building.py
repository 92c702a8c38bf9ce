"""Chains that are built and judged for tests."""

from common.pki.certificate import decode
from common.pki.strict import StrictClient
from manager.pki.chain.chain import build_chain
from manager.pki.chain.search import Issuers, WorkLimits
from tests.pki import (
    NOW_S,
    make_intermediate,
    make_root,
)

ROOT = make_root()
LOW = make_intermediate(ROOT, "Low")


def decoded(made):
    return [decode(one.certificate_der) for one in made]


def build(leaf, *, trusted=(ROOT,), intermediates=(), uploaded=(), now_s=NOW_S, **limits):
    issuers = Issuers(trusted=decoded(trusted), intermediates=decoded(intermediates))
    return build_chain(
        decode(leaf.certificate_der),
        issuers,
        uploaded=decoded(uploaded),
        now_s=now_s,
        limits=WorkLimits(**limits),
    )


def strict(leaf, *sent, trusted=(ROOT,), now_s=NOW_S, name=None):
    client = StrictClient(decoded(trusted))
    return client.ask(decode(leaf.certificate_der), decoded(sent), now_s=now_s, name=name)


def problems(chain):
    return {problem for link in chain.links for problem in link.problems}
