"""What an installation costs a node, in calls: a processor's time depends on who else wants it."""

import os
from collections import Counter

import pytest

from common.bundle import verify
from common.runtime import durable, handshake, trusted_program
from tests.integration.agent_parts import NEW, OLD, install, real_bundle

WALKS_MAX = 20
"""From the root directory to one that is worked in. Each file had one of its own once, and there were 34."""

FILES = 10
"""Six of a slot, three of the trust store, and the manifest."""

DIRECTORIES = 3
NAMES = 3
"""The generation's, `current` and `previous`, each made durable in the directory that it stands in."""

JOURNALS = 2
"""Before the switch, and with the outcome; each is a file and its name."""


class Calls:
    """What is called, in its order."""

    def __init__(self, monkeypatch) -> None:
        self.order: list[str] = []
        self.of = Counter[str]()
        self._patch = monkeypatch
        self._walks()
        self._watch(os, "write")
        self._watch(os, "fsync")
        self._watch(verify, "decode")
        self._watch(trusted_program, "_is_trusted")
        self._watch(handshake, "read_frame")

    def _walks(self) -> None:
        opens = os.open

        def counted(path, *args, **kwargs):
            self.of["walk"] += str(path) == "/"
            self.of["open"] += 1
            return opens(path, *args, **kwargs)

        self._patch.setattr(os, "open", counted)

    def _watch(self, where, name) -> None:
        call = getattr(where, name)

        def counted(*args, **kwargs):
            self.of[name] += 1
            self.order.append(name)
            return call(*args, **kwargs)

        self._patch.setattr(where, name, counted)


@pytest.fixture
async def calls(node, monkeypatch, record_property):
    """Those of one installation of a new leaf over an old one."""
    found = Calls(monkeypatch)
    outcome = await install(node, real_bundle(NEW, 2))
    monkeypatch.undo()
    assert (outcome.result, outcome.reloads) == ("applied", 1)
    record_property("calls", dict(found.of))
    print(dict(found.of))  # noqa: T201 - what was measured
    return found


async def test_an_installation_walks_to_a_directory_for_all_that_it_does_there(calls):
    assert calls.of["walk"] <= WALKS_MAX


async def test_an_installation_syncs_each_file_and_each_name_once(calls):
    assert calls.of["fsync"] == FILES + DIRECTORIES + NAMES + 2 * JOURNALS


async def test_files_of_a_generation_are_all_written_before_the_first_is_synced(tmp_path, monkeypatch):
    calls = Calls(monkeypatch)
    files = [
        durable.NewFile(path=path, data=b"x", mode=0o600, uid=-1, gid=-1)
        for path in ("a", "b/c", "b/d", "e/f")
    ]
    durable.create_tree(tmp_path / "tree", files, mode=0o700)
    monkeypatch.undo()

    assert calls.order == ["write"] * 4 + ["fsync"] * (4 + DIRECTORIES)
    assert {str(path.relative_to(tmp_path / "tree")): path.read_bytes() for path in (tmp_path / "tree").rglob("?/?")} == {
        "b/c": b"x", "b/d": b"x", "e/f": b"x",
    }  # fmt: skip


async def test_a_leaf_is_decoded_once_and_its_chain_is_only_looked_at(calls):
    assert calls.of["decode"] == 1


async def test_directories_of_programs_are_looked_at_once_for_a_reload(calls):
    assert calls.of["_is_trusted"] == len(trusted_program.SEARCHED)


async def test_what_a_port_shows_again_is_not_read_again(calls):
    assert calls.of["read_frame"] <= len({OLD, NEW})
