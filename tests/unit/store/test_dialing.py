import pytest

from manager.store.dialing import is_anybodys

STICKY = 0o41777
OWN = 0o42775


@pytest.mark.parametrize(
    ("mode", "account", "expected"),
    [(STICKY, 101, True), (STICKY, 0, False), (STICKY, 500, False), (OWN, 101, False), (0o40755, 101, False)],
)
def test_a_socket_is_anybodys_where_everybody_can_make_one_and_somebody_else_did(mode, account, expected):
    assert is_anybodys(directory_mode=mode, account=account, own=500) is expected
