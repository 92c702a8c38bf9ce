"""Challenges as files for a web server: what is shown, for how long, and what is never touched."""

import errno
import os
import stat
from pathlib import Path

import pytest

from common.errors import InstallError
from common.runtime import durable
from nodeagent.core.services import ChallengePlace
from nodeagent.install import challenges as module
from nodeagent.install.challengefiles import LEDGER, ChallengeFiles, check_place
from nodeagent.install.challenges import NO_PLACE
from tests.integration.nodeagent.challenge_parts import files, in_files, running, so


async def test_a_set_is_files_that_everybody_can_read_and_nobody_else_can_change(home, clock):
    async with running(home, clock, in_files(home)) as agent:
        assert await agent.show(1, ["a", "b"]) == {}
        assert files(home) == {"a": "a.thumb", "b": "b.thumb"}
        assert stat.S_IMODE((home / "challenges").stat().st_mode) == 0o755
        assert {stat.S_IMODE(each.stat().st_mode) for each in (home / "challenges").iterdir()} == {0o644}
        assert agent.shown.held == 2


async def test_a_newer_set_takes_the_place_of_the_one_before(home, clock):
    async with running(home, clock, in_files(home)) as agent:
        await agent.show(1, ["a", "b"])
        await agent.show(2, ["b", "c"])
        assert files(home).keys() == {"b", "c"}
        await agent.show(3, [])
        assert files(home) == {}
        assert agent.shown.held == 0


async def test_nothing_but_its_own_files_is_touched(home, clock):
    directory = home / "challenges"
    directory.mkdir(mode=0o755)
    (directory / "of-certbot").write_text("of-certbot.other")
    (directory / "a").write_text("of somebody else")
    (directory / "index.html").write_text("x")
    async with running(home, clock, in_files(home)) as agent:
        assert await agent.show(1, ["a", "b"]) == {
            "a": "a file of this name is there already, and is not the agent's"
        }
        await agent.show(2, [])
    assert files(home) == {"of-certbot": "of-certbot.other", "a": "of somebody else", "index.html": "x"}


async def test_what_lies_there_already_as_it_should_be_is_taken_over(home, clock):
    (home / "challenges").mkdir(mode=0o755)
    (home / "challenges/a").write_text("a.thumb")
    async with running(home, clock, in_files(home)) as agent:
        assert await agent.show(1, ["a"]) == {}
        await agent.show(2, [])
    assert files(home) == {}


async def test_a_link_is_neither_followed_nor_replaced(home, clock):
    (home / "challenges").mkdir(mode=0o755)
    (home / "secret").write_text("secret")
    (home / "challenges/a").symlink_to(home / "secret")
    async with running(home, clock, in_files(home)) as agent:
        assert "is not the agent's" in (await agent.show(1, ["a"]))["a"]
    assert (home / "secret").read_text() == "secret"
    assert (home / "challenges/a").is_symlink()


async def test_what_has_expired_is_removed_without_a_word_of_the_manager(home, clock, monkeypatch):
    monkeypatch.setattr(module, "TURN_S", 0.01)
    async with running(home, clock, in_files(home)) as agent:
        await agent.show(1, ["a"], for_s=60)
        clock.now_s += 61
        await so(lambda: not files(home))
        await so(lambda: (home / "data" / LEDGER).read_bytes() == b"{}")


async def test_an_agent_that_was_killed_removes_at_its_start_what_has_expired_and_keeps_the_rest(home, clock):
    async with running(home, clock, in_files(home)) as agent:
        await agent.show(1, ["a"], for_s=60)
    clock.now_s += 59
    async with running(home, clock, in_files(home)) as agent:
        assert agent.shown.held == 1
        assert files(home).keys() == {"a"}
    clock.now_s += 1
    async with running(home, clock, in_files(home)) as agent:
        assert agent.shown.held == 0
    assert files(home) == {}


async def test_what_a_kill_left_half_written_is_removed(home, clock):
    async with running(home, clock, in_files(home)) as agent:
        await agent.show(1, ["a"])
    (home / "challenges/.a.00112233.tmp").write_text("a.th")
    (home / "challenges/.b.00112233.tmp").write_text("of somebody else")
    ChallengeFiles(home / "data", clock=clock).begin()
    assert files(home).keys() == {"a", ".b.00112233.tmp"}


async def test_a_file_is_listed_before_it_is_there_so_a_kill_in_between_leaves_nothing_unknown(
    home, clock, monkeypatch
):
    made = ChallengeFiles(home / "data", clock=clock)
    written = []
    write_file = durable.write_file

    def killed(path, data, **more):
        written.append(path.name)
        write_file(path, data, **more)
        if path.name == "a":
            raise KeyboardInterrupt

    monkeypatch.setattr(durable, "write_file", killed)
    with pytest.raises(KeyboardInterrupt):
        made.show(str(home / "challenges"), {"a": ("a.thumb", clock.now_s + 60)})
    assert written == [LEDGER, "a"]
    clock.now_s += 60
    ChallengeFiles(home / "data", clock=clock).begin()
    assert files(home) == {}


async def test_another_directory_takes_along_what_is_shown(home, clock, monkeypatch):
    monkeypatch.setattr(module, "TURN_S", 0.01)
    async with running(home, clock, in_files(home)) as agent:
        await agent.show(1, ["a"])
        agent.shown.configure(ChallengePlace(directory=str(home / "other")))
        await so((home / "other/a").exists)
        assert files(home) == {}


async def test_a_node_that_shows_none_says_so(home, clock):
    async with running(home, clock, None) as agent:
        assert await agent.show(1, ["a"]) == {"a": NO_PLACE}
        assert files(home) == {}


async def test_what_is_missing_or_changed_is_put_right_again(home, clock, monkeypatch):
    monkeypatch.setattr(module, "TURN_S", 0.01)
    async with running(home, clock, in_files(home)) as agent:
        await agent.show(1, ["a", "b"])
        (home / "challenges/a").unlink()
        (home / "challenges/b").write_text("?")
        await so(lambda: files(home) == {"a": "a.thumb", "b": "b.thumb"})


@pytest.mark.parametrize("spoiled", ["a", LEDGER])
async def test_a_full_disk_is_told_and_tried_again_until_there_is_room(home, clock, monkeypatch, spoiled):
    monkeypatch.setattr(module, "TURN_S", 0.01)
    is_full = True
    write_file = durable.write_file

    def full(path, data, **more):
        if is_full and path.name == spoiled:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write_file(path, data, **more)

    monkeypatch.setattr(durable, "write_file", full)
    async with running(home, clock, in_files(home)) as agent:
        assert "No space left" in (await agent.show(1, ["a"]))["a"]
        is_full = False
        await agent.until(lambda: {} if agent.said[-1] == (1, {}) else None)
    assert files(home) == {"a": "a.thumb"}


async def test_what_cannot_be_removed_now_is_removed_later(home, clock, monkeypatch):
    monkeypatch.setattr(module, "TURN_S", 0.01)
    remove_file = durable.remove_file
    refused = [1, 2, 3]

    def stubborn(path):
        if path.name == "a" and refused:
            refused.pop()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        remove_file(path)

    monkeypatch.setattr(durable, "remove_file", stubborn)
    async with running(home, clock, in_files(home)) as agent:
        await agent.show(1, ["a"])
        await agent.show(2, [])
        await so(lambda: not files(home))


async def test_a_damaged_ledger_and_paths_that_are_no_tokens_are_left_alone(home, clock):
    victim = home / "victim.txt"
    victim.write_text("x")
    (home / "data" / LEDGER).write_text(f'{{"{victim}": 1.0}}')
    ChallengeFiles(home / "data", clock=clock).begin()
    (home / "data" / LEDGER).write_text("{")
    ChallengeFiles(home / "data", clock=clock).begin()
    assert victim.read_text() == "x"


def open_to_all(directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o777)


def closed(directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o700)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (open_to_all, "challenges have no place"),
        (closed, "cannot enter"),
        (lambda directory: directory.write_text(""), "challenges have no place"),
        (lambda directory: directory.symlink_to("/tmp"), "challenges have no place"),
    ],
)
async def test_a_directory_that_will_not_do_is_a_fault_beforehand_and_then(home, clock, spoil, said):
    spoil(home / "challenges")
    with pytest.raises(InstallError, match=said):
        check_place(str(home / "challenges"), home / "data")
    async with running(home, clock, in_files(home)) as agent:
        assert (await agent.show(1, ["a"]))["a"]
    assert not (home / "challenges/a").exists()


def test_a_directory_that_the_agent_makes_itself_is_no_fault_and_one_of_its_own_is(home):
    check_place(str(home / "challenges"), home / "data")
    with pytest.raises(InstallError, match="challenges have no place"):
        check_place(str(home / "missing/challenges"), home / "data")
    with pytest.raises(InstallError, match="the agent's own directory"):
        check_place(str(home / "data/challenges"), home / "data")
