"""The table `[challenges]` of services.toml."""

import pytest

from nodeagent.core.services import ChallengePlace
from nodeagent.core.servicesfile import parse_services, salvage_services
from tests.unit.nodeagent.core.test_services import ACCOUNTS, findings


def read(text: str) -> ChallengePlace | None:
    return parse_services(text, ACCOUNTS).challenges


def test_a_file_without_it_answers_no_ca():
    assert read("") is None


def test_a_directory_or_a_port_is_where_challenges_are_shown():
    directory = "/var/lib/certcast/challenges"
    assert read(f'[challenges]\ndirectory = "{directory}"') == ChallengePlace(directory=directory)
    assert read('[challenges]\nlisten = "0.0.0.0:80"') == ChallengePlace(listen=("0.0.0.0", 80))
    assert read('[challenges]\nlisten = "[::]:8080"') == ChallengePlace(listen=("::", 8080))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("challenges = 1", "must be a table"),
        ("[challenges]", "must have one of directory and listen"),
        ('[challenges]\ndirectory = "/a"\nlisten = "h:80"', "and not both"),
        (
            '[challenges]\ndirectory = "a"',
            "line 2: challenges.directory: 'a' must be a directory's absolute path",
        ),
        ('[challenges]\ndirectory = "/a/../b"', "absolute path without '..'"),
        ("[challenges]\ndirectory = 1", "challenges.directory: 1 must"),
        ('[challenges]\ndirectori = "/a"', "did you mean 'directory'?"),
        ('[challenges]\nlisten = "80"', "line 2: challenges.listen: '80' must be an address and a port"),
        ('[challenges]\nlisten = "h:0"', "must be an address and a port"),
        ('[challenges]\nlisten = "h:65536"', "must be an address and a port"),
        ('[challenges]\nlisten = "h:٨٠"', "must be an address and a port"),
        ('[challenges]\nlisten = "::1:80"', "must be an address and a port"),
        ("[challenges]\nlisten = 80", "must be an address and a port"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, what: str):
    assert what in findings(text)


def test_a_mistake_elsewhere_leaves_it_in_use():
    text = '[challenges]\ndirectory = "/a"\n[[consumer]]\nname = "web"\nreload = "x"\n'
    services, lost = salvage_services(text, ACCOUNTS)
    assert services.challenges == ChallengePlace(directory="/a")
    assert len(lost) == 1
