"""Strict clients' verdicts on the ports' certificates, by the node's trust store.

Decides when to ask again: once an hour per chain, since reading a trust store takes a fifth of a second. Leaves the
answer to `common.pki.strict`. Concerns only the port's clients, not the port's own trust in others.
"""

from collections.abc import Iterable
from typing import Final

from common.errors import PkiError
from common.ids import Digest, digest_of

ASKED_AGAIN_S: Final = 3600.0
KNOWN_MAX: Final = 256
"""Chains by name; 64 endpoints have each seen four."""

ANSWER_MAX_CHARS: Final = 120

Question = tuple[Digest, str | None]
"""A chain's digest and the name asked for; None for the leaf's own first name."""


class Strictness:
    """Remembers answers. `known` never takes time; `ask` is for a thread."""

    def __init__(self) -> None:
        self._asked: dict[Question, tuple[tuple[bytes, ...], str | None]] = {}
        self._answers: dict[Question, tuple[Digest, float, str]] = {}

    def known(self, chain: tuple[bytes, ...], name: str | None) -> str | None:
        """Return the last answer for a chain (DER, leaf first), None if there is none yet; it is then asked next time."""
        question = (digest_of(b"".join(chain)), name)
        if question not in self._asked and len(self._asked) >= KNOWN_MAX:
            self._asked.clear()
            self._answers.clear()
        self._asked[question] = (chain, name)
        answer = self._answers.get(question)
        return answer[2] if answer is not None else None

    def ask(self, trust_pem: bytes, now_s: float) -> bool:
        """Answer what is not answered for this trust store and this hour; return whether an answer changed."""
        trust = digest_of(trust_pem)
        open_questions = {
            question: asked
            for question, asked in self._asked.items()
            if (answer := self._answers.get(question)) is None
            or answer[0] != trust
            or not 0 <= now_s - answer[1] < ASKED_AGAIN_S
        }
        if not open_questions:
            return False
        before = {question: answer[2] for question, answer in self._answers.items()}
        for question, text in _answers(open_questions, trust_pem, now_s):
            self._answers[question] = (trust, now_s, text)
        return before != {question: answer[2] for question, answer in self._answers.items()}


def _answers(
    questions: dict[Question, tuple[tuple[bytes, ...], str | None]], trust_pem: bytes, now_s: float
) -> Iterable[tuple[Question, str]]:
    # an agent that was never asked holds neither these modules nor the roots in memory
    from common.pki.certificate import Certificate, decode
    from common.pki.pem import read_blocks
    from common.pki.strict import StrictClient

    def decoded(ders: Iterable[bytes]) -> Iterable[Certificate]:
        for der in ders:
            try:
                yield decode(der)
            except PkiError:
                continue

    roots = decoded(block.der for block in read_blocks(trust_pem.decode(errors="replace")).blocks)
    client = StrictClient(roots)
    for question, (chain, name) in questions.items():
        certificates = list(decoded(chain))
        if len(certificates) != len(chain):
            yield question, "a certificate that is sent cannot be read"
            continue
        verdict = client.ask(certificates[0], certificates[1:], now_s=int(now_s), name=name)
        yield question, "" if verdict.accepted else verdict.reason[:ANSWER_MAX_CHARS]
