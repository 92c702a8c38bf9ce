"""A program that others could change is not run as root."""

import os
import shlex
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from common.commandpaths import SEPARATORS_MAX
from common.errors import Reason
from common.runtime import trusted_program
from nodeagent.core.servicesfile import ARGV_MAX, PATH_MAX
from nodeagent.install.reload import ReloadError, reload_consumer
from nodeagent.selfcheck import find_faults
from tests.attacks.root_writes.computed import COMPUTED
from tests.attacks.root_writes.conftest import SERVICE
from tests.integration.agent_parts import script

pytestmark = pytest.mark.timeout(120)


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
    await reload_consumer(chosen, node.directory)
    assert node.count.read_text() == "x\n"

    theirs = {"directory": home / "bin", "directory above": home, "link": home / "bin/link"}.get(which, named)
    os.chown(theirs, SERVICE.pw_uid, SERVICE.pw_gid, follow_symlinks=False)
    with pytest.raises(ReloadError) as caught:
        await reload_consumer(chosen, node.directory)
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
    "nice": "/usr/bin/nice -n 5 {script}",
    "wrappers in wrappers": "/usr/bin/nohup /usr/bin/setsid -w /usr/bin/stdbuf -oL /bin/sh {script}",
    "flock": "/usr/bin/flock {own}/lock {script}",
    "xargs": "/usr/bin/xargs {script}",
    "a shell's line": "/bin/sh -c {script}",
    "a shell's line in a shell's line": "/bin/sh -c 'exec sh -c reload-it'",
    "a variable": "/usr/bin/env BASH_ENV={script} /bin/bash -c :",
    "every file of a directory": "/usr/bin/run-parts {directory}",
    "every file below a directory": "/usr/bin/run-parts {above}/opt",
    "another directory": "/usr/bin/env -C {directory} ./reload",
    "another PATH": "/usr/bin/env PATH={directory}:/bin reload",
    "a link of root's": "/bin/sh {own}/link",
    "a link in a directory": "/usr/bin/env -C {own} sh link",
    "an interpreter that is a script": "{own}/interpreted",
    "a shebang's words": "{own}/by-env",
    "a certificate's name": "/bin/sh {directory}/x.pem",
    "a module of a directory": "/usr/bin/env PYTHONPATH={directory} python3 -m module",
    "an editor's command": "/usr/bin/sed 1e{script} {own}/line",
    "an editor's command after an address": "/usr/bin/sed /line/e{script} {own}/line",
}
"""Lines of plain words, each of which runs `reload` in `directory` or what has its text."""


@pytest.mark.services("root")
@pytest.mark.parametrize("whose", ["script", "directory"])
@pytest.mark.parametrize("way", WAYS)
async def test_whatever_a_command_names_is_run_only_if_nobody_else_can_change_it(
    node, way, whose, monkeypatch
):
    directory, own = node.directory / "opt", node.directory / "own"
    directory.mkdir()
    own.mkdir()
    named = {"a certificate's name": "x.pem", "a module of a directory": "module.py"}.get(way, "reload")
    written = directory / named
    if way.startswith(("an option's value", "a library's", "a module")):
        language = "perl" if "perl" in WAYS[way] else "python3"
        code = {"python3": "open({!r}, 'a').write('x\\n')", "perl": "open F, '>>', {!r}; print F qq(x\\n)"}
        written.write_text(f"#!/usr/bin/{language}\n{code[language].format(str(node.count))}\n")
    else:
        script(written, f"echo x >>{node.count}")
    written.chmod(0o755)
    for name, interpreter in (("interpreted", str(written)), ("by-env", f"/usr/bin/env -S sh {written}")):
        (own / name).write_text(f"#!{interpreter}\n")
        (own / name).chmod(0o755)
    (own / "link").symlink_to(written)
    (own / "line").write_text("line\n")
    if way == "a shell's line in a shell's line":
        (own / "reload-it").symlink_to(written)
        monkeypatch.setattr(trusted_program, "SEARCHED", (str(own), *trusted_program.SEARCHED))
    line = WAYS[way].format(script=written, directory=directory, above=node.directory, own=own)
    chosen = replace(node.services.consumers[0], reload=tuple(shlex.split(line)))
    await reload_consumer(chosen, node.directory)
    assert node.count.read_text() == "x\n"

    theirs = written if whose == "script" else directory
    os.chown(theirs, SERVICE.pw_uid, SERVICE.pw_gid)
    with pytest.raises(ReloadError) as caught:
        await reload_consumer(chosen, node.directory)
    assert node.count.read_text() == "x\n"
    assert f"{theirs} belongs to nobody, who could" in caught.value.message


@pytest.mark.services("root")
@pytest.mark.parametrize("way", COMPUTED)
async def test_a_line_that_computes_what_it_runs_is_refused_by_the_word_with_what_to_do(node, way):
    place = node.directory / "theirs"
    (place / "sub").mkdir(parents=True)
    script(place / "reload", f"echo x >>{node.count}")
    os.chown(place / "reload", SERVICE.pw_uid, SERVICE.pw_gid)
    line = COMPUTED[way].replace("\\\\", "\\").format(place=place, above=node.directory)
    argv = tuple(shlex.split(line))
    with pytest.raises(ReloadError) as caught:
        await reload_consumer(replace(node.services.consumers[0], reload=argv), place)
    assert "put the command into a script that only root can change, and name that" in caught.value.message
    assert any(f"{word[:40]!r}"[:-1] in caught.value.message for word in argv), caught.value.message
    assert not node.count.exists()


@pytest.mark.services("root")
@pytest.mark.parametrize(
    "line",
    [
        "/usr/bin/python3 -m {name}.reload",
        "/usr/bin/python3 -c 'import {name}.reload'",
        "/bin/sh {name}/reload.py",
        "/bin/sh ./{name}/reload.py",
        "/usr/bin/run-parts {name}",
    ],
)
async def test_a_name_without_its_directory_is_looked_for_below_the_agents_own(node, line):
    """In root's directory there may be one of others, and `a.b` is a path to some: commands do not begin there."""
    await node.installed()
    assert {path.lstat().st_uid for path in (node.data, *node.data.rglob("*"))} == {os.geteuid()}
    with TemporaryDirectory(dir="/", prefix="certcast") as theirs:
        (Path(theirs) / "reload.py").write_text(f"open({str(node.count)!r}, 'a').write('ran')")
        (Path(theirs) / "reload").write_text(f"#!/bin/sh\necho ran >>{node.count}\n")
        for path in map(Path, (theirs, f"{theirs}/reload", f"{theirs}/reload.py")):
            path.chmod(0o755)
            os.chown(path, SERVICE.pw_uid, SERVICE.pw_gid)
        argv = tuple(shlex.split(line.format(name=Path(theirs).name)))
        with pytest.raises(ReloadError, match="failed with exit status"):
            await reload_consumer(replace(node.services.consumers[0], reload=argv), node.data)
    assert "ran" not in node.count.read_text()


@pytest.mark.services("root")
async def test_a_directory_stands_for_all_that_is_below_it(node):
    place = node.directory / "many/below"
    place.mkdir(parents=True)
    chosen = replace(node.services.consumers[0], reload=("/bin/sh", "-c", ":", str(place.parent)))
    for number in range(trusted_program.LOOKED_AT_MAX - 50):
        (place / str(number)).touch()
    await reload_consumer(chosen, node.directory)
    os.chown(place / "17", SERVICE.pw_uid, SERVICE.pw_gid)
    with pytest.raises(ReloadError, match="many/below/17 belongs to nobody, who could change it"):
        await reload_consumer(chosen, node.directory)
    os.chown(place / "17", 0, 0)
    for number in range(50):
        (place / f"more{number}").touch()
    with pytest.raises(ReloadError, match=r"/many names more than 1000 files; put the command into"):
        await reload_consumer(chosen, node.directory)


@pytest.mark.services("root")
def test_the_longest_command_and_the_fullest_directory_are_looked_at_to_their_end(node, say):
    place = node.directory / "full"
    place.mkdir()
    for number in range(trusted_program.LOOKED_AT_MAX - 50):
        (place / str(number)).write_text("#!/bin/sh\n")
    words = ["-" + "x" * (PATH_MAX - 1), ("a=" * SEPARATORS_MAX)[: PATH_MAX - 1]]
    for what, argv in {
        f"{ARGV_MAX} words of up to {PATH_MAX} characters": ["/bin/true", *words * ((ARGV_MAX - 1) // 2)],
        f"a directory of {trusted_program.LOOKED_AT_MAX - 50} scripts": ["/bin/true", str(place)],
    }.items():
        began_s = time.monotonic()
        trusted_program.check_command(argv)
        say(f"{what}: {1000 * (time.monotonic() - began_s):.0f} ms in a thread")


@pytest.mark.services("root")
async def test_the_root_directory_is_too_much_to_name(node):
    argv = ("/usr/bin/env", "-C", "/", "sh", "opt/reload")
    with pytest.raises(ReloadError, match="could not be run"):
        await reload_consumer(replace(node.services.consumers[0], reload=argv), node.directory)


@pytest.mark.services("root")
async def test_a_directory_into_which_everybody_may_put_a_file_is_refused(node):
    shared = node.directory / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(ReloadError, match=r"everybody may put a file into .*/shared"):
        await reload_consumer(
            replace(node.services.consumers[0], reload=("/usr/bin/run-parts", str(shared))), node.directory
        )


@pytest.mark.services("root")
async def test_a_file_that_is_not_there_yet_is_named_where_only_root_can_make_it(node):
    shared = node.directory / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    chosen = replace(node.services.consumers[0], reload=("/bin/sh", str(shared / "reload")))
    with pytest.raises(ReloadError, match=r"everybody may write to .*/shared, who could make it"):
        await reload_consumer(chosen, node.directory)
    shared.chmod(0o755)
    with pytest.raises(ReloadError, match="exit status"):
        await reload_consumer(chosen, node.directory)


@pytest.fixture
def runtime():
    with TemporaryDirectory(dir="/run", prefix="certcast-") as made:
        yield Path(made)


@pytest.mark.services("root")
@pytest.mark.parametrize("name", ["service.pid", "service_ctl", "service.sock", "app.control", "copy.pem"])
@pytest.mark.parametrize(
    "line", ["/usr/bin/timeout 5 {path} reload", "/bin/sh {path}", "/bin/sh -c {path}", "/usr/bin/cat {path}"]
)
async def test_no_file_of_a_service_may_be_named_for_its_name_or_place(node, name, line, runtime):
    script(runtime / name, f"echo ran >>{node.count}")
    os.chown(runtime / name, SERVICE.pw_uid, SERVICE.pw_gid)
    with pytest.raises(ReloadError, match=f"{name} belongs to nobody"):
        await reload_consumer(
            replace(node.services.consumers[0], reload=tuple(shlex.split(line.format(path=runtime / name)))),
            node.directory,
        )
    assert not node.count.exists()


@pytest.mark.services("root")
@pytest.mark.parametrize(
    "kind", ["FIFO", "device", "/proc/self/mountinfo", "/proc/self/exe", "/sys/kernel/uevent_seqnum"]
)
async def test_what_can_be_read_as_others_filled_it_may_not_be_named(node, kind):
    path = Path(kind) if kind.startswith("/") else node.directory / "odd"
    if kind == "FIFO":
        os.mkfifo(path)
        os.chown(path, SERVICE.pw_uid, SERVICE.pw_gid)
    elif kind == "device":
        os.mknod(path, 0o020666, os.makedev(1, 5))
        path.chmod(0o666)
    with pytest.raises(ReloadError, match=r"belongs to nobody|written by everybody|may show what others say"):
        await reload_consumer(
            replace(node.services.consumers[0], reload=("/bin/sh", str(path))), node.directory
        )


@pytest.mark.services("root")
@pytest.mark.parametrize(
    "line",
    [
        "/usr/bin/test -S {own}/service_ctl",
        "/usr/bin/echo unix:{own}/service.sock tcp:127.0.0.1:2049",
        "/usr/bin/test -f {own}/root.pem",
        "/usr/bin/test -c /dev/null",
        "/usr/bin/echo s/usr/etc/g http://127.0.0.1:8080/reload",
        "/usr/bin/echo 'sofia profile internal restart' app@1.service --signal=HUP",
    ],
)
async def test_a_socket_in_a_directory_of_roots_and_words_that_name_nothing_may_stand_there(node, line):
    own = node.directory / "own"
    own.mkdir()
    for name in ("service_ctl", "service.sock"):
        os.mknod(own / name, 0o140666)
        os.chown(own / name, SERVICE.pw_uid, SERVICE.pw_gid)
    (own / "root.pem").write_text("")
    argv = tuple(shlex.split(line.format(own=own)))
    await reload_consumer(replace(node.services.consumers[0], reload=argv), node.directory)


@pytest.mark.services("root")
async def test_a_certificates_name_is_no_leave_to_write_where_a_service_can_put_a_link(node):
    theirs = node.directory / "theirs"
    theirs.mkdir()
    os.chown(theirs, SERVICE.pw_uid, SERVICE.pw_gid)
    argv = ("/usr/bin/install", "-m", "0600", "/dev/null", str(theirs / "key.pem"))
    with pytest.raises(ReloadError, match="theirs belongs to nobody"):
        await reload_consumer(replace(node.services.consumers[0], reload=argv), node.directory)
    assert not list(theirs.iterdir())


@pytest.mark.services("root")
async def test_a_command_is_looked_for_in_directories_of_roots_only(node, monkeypatch):
    theirs, own = node.directory / "theirs", node.directory / "own"
    for place in (theirs, own):
        place.mkdir()
        script(place / "reload-it", f"echo {place.name} >>{node.count}")
    os.chown(theirs, SERVICE.pw_uid, SERVICE.pw_gid)
    monkeypatch.setattr(trusted_program, "SEARCHED", (str(theirs), str(own), *trusted_program.SEARCHED))
    chosen = replace(node.services.consumers[0], reload=("/usr/bin/env", "reload-it"))
    await reload_consumer(chosen, node.directory)
    assert node.count.read_text() == "own\n"

    os.chown(own / "reload-it", SERVICE.pw_uid, SERVICE.pw_gid)
    with pytest.raises(ReloadError, match="reload-it belongs to nobody, who could change it"):
        await reload_consumer(chosen, node.directory)
    assert node.count.read_text() == "own\n"
