from typing import get_args

from manager.domain.view import State
from manager.web.standing import tiles
from manager.web.words import STATES


def test_every_state_of_a_node_has_words_and_is_in_exactly_one_tile():
    states = get_args(State)
    assert set(STATES) == set(states)
    told = [state for tile in tiles(dict.fromkeys(states, 1)) for state in tile.states]
    assert sorted(told) == sorted(states)
