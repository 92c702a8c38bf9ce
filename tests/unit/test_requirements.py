"""The locked files that README installs from pin the same versions, each with its hashes, and a node gets no more than it needs."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([a-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)", re.MULTILINE)
LOCKS = ("requirements.lock", "requirements-manager.lock", "requirements-node.lock")


def pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / name).read_text()))


@pytest.mark.parametrize("name", LOCKS)
def test_every_version_has_a_hash(name):
    parts = re.split(r"^(?=[a-z0-9])", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]
    assert len(parts) == len(pins(name))
    assert [part.split()[0] for part in parts if "--hash=sha256:" not in part] == []


@pytest.mark.parametrize("share", LOCKS[1:])
def test_a_share_pins_what_the_whole_pins(share):
    whole = pins(LOCKS[0])
    assert pins(share).items() <= whole.items()


def test_a_node_is_pinned_whole_and_has_none_of_the_managers_libraries():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[a-z0-9-]+", each)[0] for each in project["dependencies"]]
    managers = [re.match(r"[a-z0-9-]+", each)[0] for each in project["optional-dependencies"]["manager"]]
    locked = pins("requirements-node.lock")
    assert set(names) <= locked.keys()
    assert not set(managers) & locked.keys()
