"""A program that others could change is not run as root."""

import os
import shlex
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from common.errors import Reason
from nodeagent.install import program
from nodeagent.install.reload import ReloadError, reload_consumer
from nodeagent.install.selfcheck import find_faults
from tests.attacks.root_writes.conftest import SERVICE
from tests.integration.agent_parts import (
    script,
)

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


@pytest.fixture
def runtime():
    with TemporaryDirectory(dir="/run", prefix="certcast-") as made:
        yield Path(made)


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
async def test_a_pid_file_a_socket_and_a_certificate_of_the_service_may_be_named(node, line, runtime):
    theirs, own = runtime, node.directory / "own"
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
@pytest.mark.parametrize("name", ["app-ctl", "ctl", "app.control", "link.pid", "service.sock"])
@pytest.mark.parametrize(
    "line", ["/usr/bin/timeout 5 {path} reload", "/bin/sh {path}", "/bin/sh -c '{path}'"]
)
async def test_a_program_is_none_of_those_for_its_name(node, name, line):
    theirs = node.directory / "theirs"
    theirs.mkdir()
    script(theirs / name, f"echo ran >>{node.count}")
    for path in (theirs / name, theirs):
        os.chown(path, SERVICE.pw_uid, SERVICE.pw_gid)
    argv = tuple(shlex.split(line.format(path=theirs / name)))
    with pytest.raises(ReloadError, match="belongs to nobody"):
        await reload_consumer(replace(node.services.consumers[0], reload=argv))
    assert not node.count.exists()


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
