"""Root writes, reads and runs nothing through a path that somebody else can redirect."""

import ast
import contextlib
import ctypes
import errno
import mmap
import os
import pwd
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import CertcastError, InstallError, InvalidInputError, Reason
from common.runtime import durable, trusted
from manager import account
from manager.settings import Settings
from nodeagent.app import only_one
from nodeagent.channel import identity
from nodeagent.core.services import Copy
from nodeagent.core.servicesfile import ServicesError
from nodeagent.install import program
from nodeagent.install.installer import Installer
from nodeagent.install.journalfile import load_journal
from nodeagent.install.lastgood import read_last_good
from nodeagent.install.reload import ReloadError, reload_consumer
from nodeagent.install.selfcheck import find_faults
from nodeagent.install.start import open_state
from nodeagent.install.state import ignore_progress
from nodeagent.install.treewatch import TreeWatch
from nodeagent.install.upkeep import Upkeep
from nodeagent.settings import load_services, real_directory
from tests import pki
from tests.integration.agent_parts import (
    OWNERS,
    ROOT,
    consumer,
    install,
    open_node,
    real_bundle,
    script,
    services,
)
from tests.patience import PATIENCE_S, exit_code

pytestmark = pytest.mark.timeout(120)

SERVICE = pwd.getpwnam("nobody")
LEAVES = [pki.make_leaf(ROOT, [f"{name}.example.com"]) for name in ("one", "two")]
SWAPS_MIN = 5000
AT_CWD, RENAME_EXCHANGE = -100, 2
COUNT = struct.Struct("=Q")
MEMORY = Path("/dev/shm")
REPOSITORY = Path(__file__).parents[2]


class Node:
    """A node whose one service has a copy below `srv`, and a directory of root's that an attacker wants to write to."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data, self.outside = directory / "data", directory / "outside"
        self.home = directory / "srv"
        self.place = self.home / "tls"
        self.place.mkdir(parents=True)
        self.outside.mkdir(mode=0o700)
        (self.outside / "kept").write_text("kept")
        self.target = self.place / "service.pem"
        self.copy = Copy(
            path="server/combined.pem",
            to=str(self.target),
            uid=os.geteuid(),
            gid=os.getegid(),
            mode=0o400,
        )
        self.count = directory / "count"
        reload = script(directory / "reload", f"echo x >>{self.count}")
        self.services = services(replace(consumer(reload), copies=(self.copy,)))

    async def open(self):
        return await open_node(self.data, self.services)

    async def installed(self):
        state = await self.open()
        assert (await install(state, real_bundle(LEAVES[0], 1))).result == "applied"
        return state

    def redirect(self, place: Path) -> None:
        """What a service can do in a directory of its own: put a link in the place of what is in it."""
        place.rename(place.with_name(f"{place.name}.away"))
        place.symlink_to(self.outside)

    def is_outside_untouched(self) -> bool:
        return [path.name for path in self.outside.iterdir()] == ["kept"] and (
            self.outside / "kept"
        ).read_text() == "kept"


@pytest.fixture
def node():
    """In memory, where a disk that others load does not slow a race down."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        yield Node(Path(directory))


@pytest.fixture
def say(capsys):
    """Print what was measured."""

    def print_it(measured: str) -> None:
        with capsys.disabled():
            print(f"\n  {measured}")

    return print_it


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


# -- reads


@pytest.mark.parametrize("kind", ["fifo", "link", "directory", "socket", "link to a fifo"])
async def test_nothing_but_a_plain_file_is_read_and_nothing_waits_for_the_other_end_of_a_pipe(node, kind):
    state = await node.installed()
    identity.ensure_key(node.data)
    directory = node.data / "generations" / state.file.journal.directory
    readers = {
        node.data / "journal.json": lambda: load_journal(node.data),
        node.data / "services.last-good": lambda: read_last_good(node.data),
        node.data / "agent.lock": lambda: only_one(node.data).__enter__(),
        node.data / "identity/node_key": lambda: identity.ensure_key(node.data),
        node.data / "identity/manager.json": lambda: identity.load(node.data),
        node.directory / "services.toml": lambda: load_services(node.directory / "services.toml"),
        directory / "manifest.json": lambda: state.tree.manifest(directory.name),
        directory / "server/combined.pem": lambda: state.tree.body(directory.name, "server/combined.pem"),
        node.target: lambda: drift(state),
    }

    async def drift(state):
        with contextlib.suppress(CertcastError):
            await Upkeep(state).turn()

    (node.outside / "fifo").unlink(missing_ok=True)
    os.mkfifo(node.outside / "fifo")
    for path, read in readers.items():
        before = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
        make_odd(path, kind, node)
        with contextlib.suppress(CertcastError):
            answer = read()
            answer = await answer if hasattr(answer, "__await__") else answer
            assert answer is None or path == node.data / "agent.lock", path
        remove_odd(path)
        if before is not None:
            path.write_bytes(before)
    (node.outside / "fifo").unlink()
    assert node.is_outside_untouched()


def make_odd(path: Path, kind: str, node: Node) -> None:
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "link":
            path.symlink_to(node.outside / "kept")
        case "link to a fifo":
            path.symlink_to(node.outside / "fifo")
        case "directory":
            path.mkdir()
        case "socket":
            os.mknod(path, 0o140600)


def remove_odd(path: Path) -> None:
    durable.remove_tree(path)


def test_a_services_file_that_somebody_else_could_change_is_not_used(tmp_path):
    place = tmp_path / "etc"
    place.mkdir()
    file = place / "services.toml"
    file.write_text("")
    load_services(file)
    for path in (file, place):
        mode = path.stat().st_mode
        path.chmod(mode | 0o020)
        with pytest.raises(ServicesError) as caught:
            load_services(file)
        assert f"{path} can be written by group" in caught.value.message
        path.chmod(mode)
    load_services(file)


@pytest.mark.services("root")
@pytest.mark.parametrize("which", ["file", "directory", "link", "directory of the link"])
def test_a_services_file_of_somebody_else_is_not_used(tmp_path, which):
    real, place = tmp_path / "real.toml", tmp_path / "etc"
    real.write_text("")
    place.mkdir()
    link = place / "services.toml"
    link.symlink_to(real)
    load_services(link)
    theirs = {"file": real, "directory": tmp_path, "link": link, "directory of the link": place}[which]
    os.chown(theirs, SERVICE.pw_uid, SERVICE.pw_gid, follow_symlinks=False)
    with pytest.raises(ServicesError, match="belongs to nobody"):
        load_services(link)


@pytest.mark.services("root")
def test_a_link_of_roots_on_the_way_to_the_data_directory_counts_and_anybody_elses_does_not(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "data"
    link.symlink_to(tmp_path / "real")
    assert real_directory(link / "nodeagent") == tmp_path / "real/nodeagent"
    os.chown(link, SERVICE.pw_uid, SERVICE.pw_gid, follow_symlinks=False)
    with pytest.raises(CertcastError, match="belongs to nobody"):
        real_directory(link / "nodeagent")


def test_links_that_lead_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to("a/../a")
    with pytest.raises(OSError, match="symbolic links") as caught:
        trusted.resolve(tmp_path / "a/x")
    assert caught.value.errno == errno.ELOOP


async def test_a_directory_is_watched_through_no_link(node):
    class Loop:
        def add_signal_handler(self, sig, callback):
            pass

    node.redirect(node.place)
    hint = TreeWatch(Loop(), lambda: None)
    hint.watch([node.place])
    assert hint._watched == {}


# -- programs


@pytest.mark.services("root")
@pytest.mark.parametrize("which", ["program", "directory", "directory above", "link", "script"])
async def test_a_program_that_somebody_else_could_change_is_not_run(node, which):
    home = node.directory / "opt"
    (home / "bin").mkdir(parents=True)
    named = script(home / "bin/reload", f"echo x >>{node.count}")
    (home / "bin/link").symlink_to(named)
    argv = {
        "link": (str(home / "bin/link"),),
        "script": ("/bin/sh", "-e", str(named)),
    }.get(which, (str(named),))
    chosen = replace(node.services.consumers[0], reload=argv)
    await reload_consumer(chosen)
    assert node.count.read_text() == "x\n"

    theirs = {"directory": home / "bin", "directory above": home, "link": home / "bin/link"}.get(which, named)
    os.chown(theirs, SERVICE.pw_uid, SERVICE.pw_gid, follow_symlinks=False)
    with pytest.raises(ReloadError) as caught:
        await reload_consumer(chosen)
    assert node.count.read_text() == "x\n"
    assert caught.value.reason == Reason.RELOAD_FAILED
    assert f"{theirs} belongs to nobody, who could" in caught.value.message

    text = f'[[consumer]]\nname = "web"\nreload = {list(argv)!r}\n'
    (node.directory / "services.toml").write_text(text)
    faults = await find_faults(services_file=node.directory / "services.toml", data=node.data)
    assert "program_untrusted" in {one.code for one in faults}


WAYS = {
    "an interpreter's option": "/bin/bash -o pipefail {script}",
    "an option's value is another file": "/usr/bin/python3 -W ignore -X dev {script}",
    "a library's directory": "/usr/bin/perl -I {own} {script}",
    "timeout": "/usr/bin/timeout -k 5 30 {script}",
    "env": "/usr/bin/env -u HOME A=1 {script}",
    "env splits": "/usr/bin/env -S 'nice {script}'",
    "nice": "/usr/bin/nice -n 5 {script}",
    "wrappers in wrappers": "/usr/bin/nohup /usr/bin/setsid -w /usr/bin/stdbuf -oL /bin/sh {script}",
    "flock": "/usr/bin/flock {own}/lock {script}",
    "xargs": "/usr/bin/xargs {script}",
    "find": "/usr/bin/find {own} -maxdepth 0 -exec {script} ;",
    "a shell's line": "/bin/sh -c 'set -e; cd /; {script} now >/dev/null 2>&1'",
    "a shell's line in a shell's line": """/bin/sh -c 'sh -c "sh -c {script}"'""",
    "a shell's line with quotes": """/bin/sh -c '"{directory}"/r"e"load'""",
    "a shell's pattern": "/bin/sh -c '{directory}/reloa?'",
    "a shell's pattern above": "/bin/sh -c '{above}/o[p-q]*/reload'",
    "a pattern below a link": "/bin/sh -c '{own}/li?k'",
    "a shell's variable": "/bin/sh -c 'A={above}; $A/opt/reload'",
    "a shell's variable in braces": "/bin/sh -c 'A={above}; ${{A}}/opt/reload'",
    "a shell's directory": "/bin/sh -c 'cd {own}; ../opt/reload'",
    "a shell's reading": "/bin/sh -c '. {script}'",
    "a shell's input": "/bin/sh -c 'sh <{script}'",
    "a variable": "/usr/bin/env BASH_ENV={script} /bin/bash -c :",
    "another directory": "/usr/bin/env -C {own} ../opt/reload",
    "relative to the working directory": "/bin/sh {relative}",
    "a link of root's": "/bin/sh {own}/link",
    "an interpreter that is a script": "{own}/interpreted",
    "a shebang's words": "{own}/by-env",
}


@pytest.mark.services("root")
@pytest.mark.parametrize("whose", ["script", "directory"])
@pytest.mark.parametrize("way", WAYS)
async def test_whatever_a_command_names_is_run_only_if_nobody_else_can_change_it(node, way, whose):
    directory, own = node.directory / "opt", node.directory / "own"
    directory.mkdir()
    own.mkdir()
    if way.startswith(("an option's value", "a library's")):
        language = "python3" if "python3" in WAYS[way] else "perl"
        code = {"python3": "open({!r}, 'a').write('x\\n')", "perl": "open F, '>>', {!r}; print F qq(x\\n)"}
        body = f"#!/usr/bin/{language}\n{code[language].format(str(node.count))}\n"
        (directory / "reload").write_text(body)
    else:
        script(directory / "reload", f"echo x >>{node.count}")
    (directory / "reload").chmod(0o755)
    for name, interpreter in (
        ("interpreted", str(directory / "reload")),
        ("by-env", f"/usr/bin/env -S sh {directory / 'reload'}"),
    ):
        (own / name).write_text(f"#!{interpreter}\n")
        (own / name).chmod(0o755)
    (own / "link").symlink_to(directory / "reload")
    line = WAYS[way].format(
        script=directory / "reload",
        directory=directory,
        above=node.directory,
        own=own,
        relative=str(directory / "reload").lstrip("/"),
    )
    chosen = replace(node.services.consumers[0], reload=tuple(shlex.split(line)))
    await reload_consumer(chosen)
    assert node.count.read_text() == "x\n"

    theirs = directory / "reload" if whose == "script" else directory
    os.chown(theirs, SERVICE.pw_uid, SERVICE.pw_gid)
    with pytest.raises(ReloadError) as caught:
        await reload_consumer(chosen)
    assert node.count.read_text() == "x\n"
    assert f"{theirs} belongs to nobody, who could" in caught.value.message


@pytest.mark.services("root")
async def test_a_pattern_that_fits_more_than_can_be_looked_at_is_refused(node):
    place = node.directory / "many"
    place.mkdir()
    for number in range(program.FITTING_MAX + 1):
        (place / str(number)).touch()
    chosen = replace(node.services.consumers[0], reload=("/bin/sh", "-c", f": {place}/*"))
    with pytest.raises(ReloadError, match="fits more than 1000 names"):
        await reload_consumer(chosen)
    (place / "0").unlink()
    await reload_consumer(chosen)


@pytest.mark.services("root")
async def test_a_file_that_is_not_there_yet_is_named_where_only_root_can_make_it(node):
    shared = node.directory / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    chosen = replace(node.services.consumers[0], reload=("/bin/sh", str(shared / "reload")))
    with pytest.raises(ReloadError, match=r"everybody may write to .*/shared, who could make it"):
        await reload_consumer(chosen)
    shared.chmod(0o755)
    with pytest.raises(ReloadError, match="exit status"):
        await reload_consumer(chosen)


@pytest.mark.services("root")
@pytest.mark.parametrize(
    "line",
    [
        "/bin/sh -c 'test -f {theirs}/service.pid'",
        "/bin/sh -c 'kill -0 $(cat {theirs}/service.pid)'",
        "/usr/bin/test -S {theirs}/service_ctl",
        "/usr/bin/test unix:{theirs}/service.sock != tcp:127.0.0.1:2049",
        "/usr/bin/test -f {own}/copy.pem",
        "/usr/bin/test -S {own}/odd",
        "/usr/bin/test app@*.service != *",
        "/usr/bin/test s/usr/etc/g != http://127.0.0.1:8080/reload?a=/b",
        "/bin/sh -c 'true >/dev/null 2>&1 </dev/stdin || exec false; : ~nobody ~nobody-there/x *.conf'",
    ],
)
async def test_a_pid_file_a_socket_and_a_certificate_of_the_service_may_be_named(node, line):
    theirs, own = node.directory / "theirs", node.directory / "own"
    theirs.mkdir()
    own.mkdir()
    (theirs / "service.pid").write_text(f"{os.getpid()}\n")
    os.mknod(theirs / "service_ctl", 0o140666)
    os.mknod(own / "odd", 0o140666)
    (own / "copy.pem").write_text("")
    for path in (theirs / "service.pid", theirs / "service_ctl", own / "odd", own / "copy.pem", theirs):
        os.chown(path, SERVICE.pw_uid, SERVICE.pw_gid)
    argv = tuple(shlex.split(line.format(theirs=theirs, own=own)))
    await reload_consumer(replace(node.services.consumers[0], reload=argv))


@pytest.mark.services("root")
async def test_a_certificates_name_is_no_leave_to_write_where_a_service_can_put_a_link(node):
    theirs = node.directory / "theirs"
    theirs.mkdir()
    os.chown(theirs, SERVICE.pw_uid, SERVICE.pw_gid)
    argv = ("/usr/bin/install", "-m", "0600", "/dev/null", str(theirs / "key.pem"))
    with pytest.raises(ReloadError, match="theirs belongs to nobody"):
        await reload_consumer(replace(node.services.consumers[0], reload=argv))
    assert not list(theirs.iterdir())


@pytest.mark.services("root")
async def test_a_command_is_looked_for_in_directories_of_roots_only(node, monkeypatch):
    theirs, own = node.directory / "theirs", node.directory / "own"
    for place in (theirs, own):
        place.mkdir()
        script(place / "reload-it", f"echo {place.name} >>{node.count}")
    os.chown(theirs, SERVICE.pw_uid, SERVICE.pw_gid)
    monkeypatch.setattr(program, "SEARCHED", (str(theirs), str(own), *program.SEARCHED))
    chosen = replace(node.services.consumers[0], reload=("/usr/bin/env", "reload-it"))
    await reload_consumer(chosen)
    assert node.count.read_text() == "own\n"

    os.chown(own / "reload-it", SERVICE.pw_uid, SERVICE.pw_gid)
    with pytest.raises(ReloadError, match="reload-it belongs to nobody, who could change it"):
        await reload_consumer(chosen)
    assert node.count.read_text() == "own\n"


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_to_do_about_a_mode_can_be_typed_as_it_stands(tmp_path, kind):
    theirs = tmp_path / "a b"
    (theirs.mkdir if kind == "directory" else theirs.touch)()
    theirs.chmod(0o777)
    with pytest.raises(trusted.UntrustedPathError) as caught:
        trusted.check_unchangeable(theirs)
    assert f"; run: chmod go-w '{theirs}', or choose another {kind}" in caught.value.strerror


# -- the manager, as root by hand


@pytest.mark.services("root")
def test_root_does_not_take_a_link_in_somebody_elses_directory_for_a_store(tmp_path):
    """Whoever owns it would choose whose account root takes on, and where it writes."""
    theirs, store = tmp_path / "theirs", tmp_path / "store"
    theirs.mkdir()
    store.mkdir()
    os.chown(theirs, SERVICE.pw_uid, SERVICE.pw_gid)
    (theirs / "data").symlink_to(store)
    os.chown(theirs / "data", SERVICE.pw_uid, SERVICE.pw_gid, follow_symlinks=False)
    for command in ("init --name m.test", "fingerprint", "restored", "user list", "serve"):
        done = subprocess.run(
            [sys.executable, "-m", "manager", *command.split(), "--data", str(theirs / "data")],
            capture_output=True,
            text=True,
            check=False,
            cwd=REPOSITORY,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 1, command
        assert f"{theirs} belongs to nobody" in done.stderr
    assert not list(store.iterdir())


@pytest.mark.services("root")
def test_root_makes_no_store_in_a_directory_of_somebody_else(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, SERVICE.pw_uid, SERVICE.pw_gid)
    done = subprocess.run(
        [sys.executable, "-m", "manager", "init", "--name", "m.test", "--data", str(theirs / "data")],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 1
    assert f"{theirs} belongs to nobody" in done.stderr
    assert not list(theirs.iterdir())


@pytest.mark.services("root")
def test_the_stores_directory_is_given_to_the_services_account_and_nothing_that_a_link_leads_to(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(account, "ACCOUNT", "nobody")
    victim, place = tmp_path / "victim", tmp_path / "place"
    victim.mkdir()
    place.mkdir()
    account.give_to_account(place / "store")
    assert (place / "store").stat().st_uid == SERVICE.pw_uid
    (place / "store").rmdir()
    (place / "deep").symlink_to(victim)
    with pytest.raises(CertcastError, match="is a link to"):
        account.give_to_account(place / "deep/store")
    assert victim.stat().st_uid == 0
    assert not list(victim.iterdir())


@pytest.mark.services("root")
def test_the_managers_settings_are_not_read_from_a_file_of_somebody_else(tmp_path):
    file = tmp_path / "manager.toml"
    file.write_text(f'data = "{tmp_path}"\n')
    assert Settings.load(config=file).data == tmp_path
    os.chown(file, SERVICE.pw_uid, SERVICE.pw_gid)
    with pytest.raises(InvalidInputError, match="belongs to nobody, who could change it"):
        Settings.load(config=file)


# -- the class, as code

BY_PATH = {
    "chmod", "chown", "exists", "glob", "hardlink_to", "is_dir", "is_file", "is_symlink", "iterdir", "lchown", "lstat",
    "mkdir", "open", "read_bytes", "read_text", "readlink", "rglob", "rmdir", "rmtree", "stat", "statvfs", "symlink",
    "symlink_to", "touch", "truncate", "unlink", "utime", "write_bytes", "write_text",
}  # fmt: skip
OF_OS = {"link", "remove", "rename", "replace"}
"""Words that other things have methods by, too."""

BY_DESCRIPTOR = {"dir_fd", "src_dir_fd"}
ALLOWED = {
    "common/runtime/trusted.py": {"lstat", "readlink", "open"},  # the walk itself
    "common/runtime/plain.py": {"open", "stat"},  # files of people's choice
    "common/runtime/durable.py": {"open"},  # its own descriptors in /proc
    "common/runtime/command.py": {"open"},  # /dev/null
    "nodeagent/app.py": {"read_text"},  # the boot's number in /proc
    "nodeagent/install/tree.py": {"is_dir", "stat"},  # entries of an open directory
    "nodeagent/recipes/__init__.py": {"iterdir", "read_text"},  # the package's own
}


def calls_by_path(path: Path) -> set[str]:
    found = set()
    for call in ast.walk(ast.parse(path.read_text())):
        if not isinstance(call, ast.Call) or BY_DESCRIPTOR & {word.arg for word in call.keywords}:
            continue
        match call.func:
            case ast.Attribute(attr=name, value=value):
                of = ast.unparse(value)
            case ast.Name(id=name):
                of = ""
            case _:
                continue
        is_a_class = of.lstrip("_")[:1].isupper() and of != "Path"
        if (name in BY_PATH and not is_a_class) or (name in OF_OS and of == "os"):
            found.add(name)
    return found


def test_the_agent_goes_by_descriptors_wherever_it_touches_the_disk():
    modules = [*(REPOSITORY / "nodeagent").rglob("*.py"), *(REPOSITORY / "common/runtime").rglob("*.py")]
    found = {str(module.relative_to(REPOSITORY)): calls_by_path(module) for module in modules}
    assert {name: calls for name, calls in found.items() if calls - ALLOWED.get(name, set())} == {}
