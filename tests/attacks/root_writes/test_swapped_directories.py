"""Directories that are swapped for links while the agent writes: nothing is written or removed elsewhere."""

import contextlib
import ctypes
import mmap
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import CertcastError, InstallError, Reason
from common.runtime import durable
from nodeagent.install.installer import Installer
from nodeagent.install.start import open_state
from nodeagent.install.state import ignore_progress
from nodeagent.install.tree_watch import TreeWatch
from nodeagent.install.upkeep import Upkeep
from nodeagent.selfcheck import find_faults
from tests.attacks.root_writes.conftest import LEAVES, REPOSITORY, SERVICE
from tests.integration.agent_parts import (
    OWNERS,
    install,
    real_bundle,
)
from tests.patience import PATIENCE_S, exit_code

pytestmark = pytest.mark.timeout(120)
SWAPS_MIN = 5000
AT_CWD, RENAME_EXCHANGE = -100, 2
COUNT = struct.Struct("=Q")


@contextlib.contextmanager
def swapping(place: Path, outside: Path):
    """Let another process exchange a directory for a link and back, again and again; yields what tells how often it did.

    Each exchange is one step, so that there is something by that name at every moment.
    """
    link, count = place.with_name(f"{place.name}.link"), mmap.mmap(-1, COUNT.size)
    link.symlink_to(outside)
    exchange = ctypes.CDLL(None, use_errno=True).renameat2
    names = (AT_CWD, os.fsencode(place), AT_CWD, os.fsencode(link), RENAME_EXCHANGE)
    pid = os.fork()
    if pid == 0:
        try:
            stop: list[int] = []
            signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
            done = 0
            while not stop and exchange(*names) == 0 and exchange(*names) == 0:
                done += 1
                count[:] = COUNT.pack(done)
            os._exit(0 if stop else 1)
        finally:
            os._exit(2)
    try:
        yield lambda: COUNT.unpack(count[:])[0]
    finally:
        os.kill(pid, signal.SIGTERM)
        # by the signal itself if it comes before the first exchange
        assert exit_code(pid) in {0, -signal.SIGTERM}
        link.unlink()


# -- writes


async def test_a_copys_directory_that_is_swapped_for_a_link_after_the_installation_is_not_written_through(
    node,
):
    state = await node.installed()
    node.redirect(node.place)

    with pytest.raises(InstallError) as caught:
        await Upkeep(state).turn()
    assert node.is_outside_untouched()
    assert str(node.place) in caught.value.message
    assert caught.value.reason == Reason.TARGET_MISSING


@pytest.mark.parametrize("where", ["srv", "srv/tls"])
@pytest.mark.parametrize(
    "whose", ["group", "everybody", pytest.param("service", marks=pytest.mark.services("root"))]
)
async def test_a_directory_that_others_could_redirect_takes_no_copy_and_is_named_with_what_to_do(
    node, where, whose
):
    state = await node.installed()
    before = node.target.read_bytes()
    place = node.directory / where
    if whose == "service":
        os.chown(place, SERVICE.pw_uid, SERVICE.pw_gid)
    else:
        place.chmod(0o775 if whose == "group" else 0o777)

    outcome = await install(state, real_bundle(LEAVES[1], 2))
    assert outcome.result == "applied", "the node's other services go on"
    (waiting,) = outcome.report.waiting
    assert (waiting.consumer, waiting.reason) == ("web", "service")
    assert f"{place} " in waiting.message
    assert "choose another directory" in waiting.message
    assert ("belongs to nobody" if whose == "service" else "chmod go-w") in waiting.message
    assert node.target.read_bytes() == before
    text = '[[consumer]]\nname = "web"\nreload = ["/bin/true"]\n[[consumer.copy]]\nfile = "server/combined.pem"\n'
    text += f'to = "{node.copy.to}"\nowner = "root"\ngroup = "root"\nmode = "0400"\n'
    (node.directory / "services.toml").write_text(text)
    faults = await find_faults(services_file=node.directory / "services.toml", data=node.data)
    assert [one.code for one in faults if str(place) in one.message] == ["copy_target"]

    os.chown(place, os.geteuid(), os.getegid())
    place.chmod(0o755)
    await Upkeep(state).turn()
    assert node.target.read_bytes() == (node.data / "current/server/combined.pem").read_bytes()


async def test_a_sticky_directory_of_roots_takes_a_copy_although_everybody_may_write_there(node):
    node.place.chmod(0o1777)
    await node.installed()
    assert node.target.read_bytes() == (node.data / "current/server/combined.pem").read_bytes()


@pytest.mark.parametrize("what", ["srv/tls", "srv", "data/.staging", "data/generations", "data"])
async def test_an_installer_in_a_race_with_whoever_swaps_its_directories_writes_nothing_elsewhere(
    node, what, say
):
    state, installed = await node.installed(), 0
    with swapping(node.directory / what, node.outside) as swaps:
        generation = 2
        while swaps() < SWAPS_MIN or generation < 12:
            bundle = real_bundle(LEAVES[generation % 2], generation)
            with contextlib.suppress(CertcastError):
                installed += (await install(state, bundle, forced=True)).result == "applied"
            with contextlib.suppress(CertcastError):
                await Upkeep(state).turn()
            with contextlib.suppress(CertcastError):
                await open_state(node.data, services=node.services, owners=OWNERS)
            generation += 1
    assert node.is_outside_untouched()
    say(f"{what}: {swaps()} swaps, {installed} of {generation - 2} installations applied, 0 names elsewhere")

    state = await node.open()
    await Installer(state).resume(progress=ignore_progress)
    with contextlib.suppress(CertcastError):
        await Upkeep(state).turn()
    outcome = await install(state, real_bundle(LEAVES[1], generation), forced=True)
    assert outcome.result == "applied", outcome.message


def test_each_durable_act_in_a_race_with_a_swap_stays_in_its_directory(node, say):
    place = node.place
    acts = (
        lambda: durable.write_file(place / "file", b"x", mode=0o644),
        lambda: durable.create_file(place / "new", b"x", mode=0o644),
        lambda: durable.remove_file(place / "new"),
        lambda: durable.make_dir(place / "made", 0o755),
        lambda: durable.make_dirs(place / "made/deep/er", 0o755),
        lambda: durable.publish(place / "made", place / "published"),
        lambda: durable.remove_tree(place / "published"),
        lambda: durable.publish_link(place / "link", "anywhere"),
        lambda: durable.remove_tree(place / "kept"),
        lambda: durable.remove_file(place / "kept"),
        lambda: durable.try_file(place / "file"),
        lambda: os.close(durable.open_lock(place / "lock")),
    )
    done = 0
    with swapping(place, node.outside) as swaps:
        while swaps() < 3 * SWAPS_MIN:
            for act in acts:
                with contextlib.suppress(OSError):
                    act()
                    done += 1
    assert node.is_outside_untouched()
    say(f"{swaps()} swaps, {done} acts done, 0 names elsewhere")


async def test_what_a_kill_left_beside_a_copy_is_not_removed_through_a_link(node):
    await node.installed()
    theirs = node.outside / ".service.pem.0123abcd.tmp"
    theirs.write_text("not ours")
    node.redirect(node.place)
    with contextlib.suppress(CertcastError):
        await node.open()
    assert theirs.read_text() == "not ours"


async def test_a_copy_that_is_a_second_name_of_another_file_leaves_that_file_as_it_is(node):
    state, copy = await node.installed(), node.target
    copy.unlink()
    os.link(node.outside / "kept", copy)
    before = (node.outside / "kept").stat()
    await Upkeep(state).turn()
    after = (node.outside / "kept").stat()
    assert node.is_outside_untouched()
    assert (after.st_mode, after.st_uid, after.st_nlink) == (before.st_mode, before.st_uid, 1)
    assert copy.read_bytes() == (node.data / "current/server/combined.pem").read_bytes()


@pytest.mark.services("root")
async def test_a_key_is_never_taken_from_a_directory_that_a_service_took_over(node):
    """It could have put a link or another's file there, whose content would then go into a copy that it can read."""
    state = await node.installed()
    live = node.data / "current/server"
    os.chown(live, SERVICE.pw_uid, SERVICE.pw_gid)
    (live / "combined.pem").unlink()
    os.link(node.outside / "kept", live / "combined.pem")
    assert state.tree.body(state.file.journal.directory, "server/combined.pem") is None
    node.target.unlink()
    with contextlib.suppress(CertcastError):
        await Upkeep(state).turn()
    copy = node.target
    assert not copy.exists() or b"kept" not in copy.read_bytes()


@pytest.mark.services("root", "unshare")
def test_what_is_mounted_below_a_directory_that_goes_is_left_alone(node):
    (node.place / "old/mounted").mkdir(parents=True)
    code = (
        "from pathlib import Path; from common.runtime import durable\n"
        f"durable.remove_tree(Path({str(node.place / 'old')!r}))"
    )
    mount = f'mount --bind {node.outside} {node.place / "old/mounted"} && exec {sys.executable} -c "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, "sh", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        timeout=PATIENCE_S,
    )
    assert "something is mounted here" in done.stderr
    assert node.is_outside_untouched()


async def test_a_directory_is_watched_through_no_link(node):
    class Loop:
        def add_signal_handler(self, sig, callback):
            pass

    node.redirect(node.place)
    hint = TreeWatch(Loop(), lambda: None)
    hint.watch([node.place])
    assert hint._watched == {}
