"""What each node is sent, and what its answer means."""

from common.challenge import LIFETIME_MAX_S
from common.ids import NodeName
from manager.domain.challenges import (
    ChallengesKept,
    NotKept,
    PlacedChallenge,
    by_node,
    faults_by_token,
    to_send,
)

N1, N2 = NodeName("n1"), NodeName("n2")


def placed(node: NodeName, token: str, expires_s: float) -> PlacedChallenge:
    return PlacedChallenge(node=node, token=token, response=f"{token}.x", expires_s=expires_s)


def test_each_node_has_its_own_and_none_that_has_expired():
    rows = [placed(N1, "a", 10.0), placed(N2, "a", 10.0), placed(N1, "b", 11.0), placed(N2, "over", 5.0)]
    found = by_node(rows, now_s=5.0)
    assert {node: [each.token for each in own] for node, own in found.items()} == {N1: ["a", "b"], N2: ["a"]}
    assert by_node(rows, now_s=11.0) == {}


def test_a_node_is_told_for_how_much_longer_and_never_longer_than_it_can_be():
    sent = to_send([placed(N1, "a", 10.0), placed(N1, "b", 10.0 + LIFETIME_MAX_S)], now_s=4.0)
    assert [each.expires_in_s for each in sent] == [6.0, LIFETIME_MAX_S]
    assert to_send([placed(N1, "a", 3.0)], now_s=4.0)[0].expires_in_s == 0.0
    assert "a.x" not in repr(sent)


def test_what_a_node_says_of_what_it_was_not_sent_concerns_nobody():
    kept = ChallengesKept(
        number=1,
        not_kept=(
            NotKept(token="a", message="no room"),
            NotKept(token="b", message=""),
            NotKept(token="z", message="!"),
        ),
    )
    assert faults_by_token(kept, ["a", "b", "c"]) == {"a": "no room", "b": "it does not say why", "c": ""}
