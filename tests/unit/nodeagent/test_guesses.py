"""What `certcast-nodeagent` answers to a command that it does not have."""

import pytest

from nodeagent.cli import main


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("restart", "systemctl restart certcast-nodeagent"),
        ("logs", "journalctl -u certcast-nodeagent"),
        ("leave", "certcast node remove NAME"),
        ("enrol", "certcast-nodeagent join TOKEN"),
        ("sync", "certcast push NAME"),
        ("something", "choose from"),
    ],
)
def test_a_guess_is_told_what_to_type(typed, shown, capsys):
    with pytest.raises(SystemExit) as ended:
        main([typed])
    assert ended.value.code == 2
    assert shown in capsys.readouterr().err
