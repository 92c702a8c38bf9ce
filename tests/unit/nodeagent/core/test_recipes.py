import re

import pytest

from common.errors import InvalidInputError
from nodeagent import recipes
from nodeagent.core.servicesfile import UserDatabase, parse_services

EVERYBODY = UserDatabase(uid=lambda name: 100, gid=lambda name: 100)
WANTED = {
    *(
        "nginx",
        "haproxy",
        "apache",
        "kamailio",
        "coturn",
        "freeswitch",
        "asterisk",
        "prosody",
        "exim",
        "postfix",
    ),
    "systemd",
}


def read(name: str):
    text = recipes.read(name).replace("NAME", "some")
    (consumer,) = parse_services(text, EVERYBODY).consumers
    return consumer


def test_there_is_a_recipe_for_each_service_that_a_conferencing_node_has():
    assert set(recipes.names()) == WANTED


@pytest.mark.parametrize("name", sorted(WANTED))
def test_a_recipe_is_a_valid_part_of_the_file_with_a_port_that_proves_it_and_a_unit(name):
    consumer = read(name)
    assert consumer.endpoints
    assert consumer.unit
    assert recipes.summary(name).endswith(".")


@pytest.mark.parametrize("name", sorted(WANTED))
def test_a_recipe_says_what_the_service_must_be_configured_with(name):
    shown = "\n".join(line for line in recipes.read(name).splitlines() if line.startswith("#"))
    for copy in read(name).copies:
        directory = copy.to.rpartition("/")[0]
        assert copy.to in shown or directory in shown
    if not read(name).copies and name != "systemd":
        assert re.search(r"/var/lib/certcast/nodeagent/current/server/\w+\.pem", shown)


def test_all_recipes_together_are_one_valid_file():
    text = "\n".join(recipes.read(name) for name in recipes.names()).replace("NAME", "some")
    assert len(parse_services(text, EVERYBODY).consumers) == len(WANTED)


def test_what_ends_calls_waits_for_a_window():
    assert read("freeswitch").window is not None
    assert read("freeswitch").impact == "drops_calls"


def test_a_recipe_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(InvalidInputError, match="nginx"):
        recipes.read("../secrets")
