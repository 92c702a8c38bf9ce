import pytest

from manager.shares import WANTED, share


@pytest.mark.parametrize("limit", [256, 512, 1024, 4096, WANTED])
def test_the_shares_stay_below_the_limit_and_each_is_of_use(limit: int):
    shares = share(limit)
    assert shares.own + shares.https + shares.ahead + shares.channel == limit
    assert shares.own >= 64
    assert shares.https >= 64
    assert shares.ahead >= 16
    assert 32 <= shares.strangers < shares.channel
