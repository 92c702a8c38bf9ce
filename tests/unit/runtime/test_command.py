"""Commands in the states in which shells, services and scheduled jobs start them."""

import os
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S

BIN = Path(sys.executable).parent
COMMANDS = ("certcast", "certcast-manager", "certcast-nodeagent")


def shell(line: str, *, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash with nothing in the environment but these variables."""
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}", **variables}
    return subprocess.run(
        ["/bin/bash", "-c", line],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        check=False,
        timeout=PATIENCE_S,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_the_version_is_said(command):
    assert shell(f"{command} --version").stdout == f"{command} {version('certcast')}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_behind_the_output_is_said_in_a_sentence(command):
    done = shell(f"{command} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == f"{command}: the output: No space left on device\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_goes_away_ends_a_command_quietly(command):
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes) as pipe:
        done = subprocess.run(
            [BIN / command], stdout=pipe, stderr=subprocess.PIPE, check=False, timeout=PATIENCE_S
        )
    assert (done.returncode != 0, done.stderr) == (True, b"")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_fault(command, closed):
    done = shell(f"{command} {closed}")
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_opened_while_output_is_closed_does_not_take_what_is_printed(tmp_path):
    code = (
        "from common.runtime import command\n"
        "def main():\n"
        f"    file = open({str(tmp_path / 'kept')!r}, 'w')\n"
        "    print('printed', flush=True)\n"
        "    file.write('kept')\n"
        "    file.close()\n"
        "command.run('x', main)"
    )
    done = shell(f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} >&- 2>&- <&-", cwd=Path.cwd())
    assert done.returncode == 0
    assert (tmp_path / "kept").read_text() == "kept"


def test_letters_that_the_output_cannot_show_are_written_as_numbers():
    code = "from common.runtime import command; command.run('x', lambda: print('1 \\u2192 2'))"
    done = shell(
        f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}", cwd=Path.cwd(), PYTHONIOENCODING="ascii"
    )
    assert (done.returncode, done.stdout) == (0, "1 \\u2192 2\n")


@pytest.mark.parametrize("command", [*COMMANDS, "python -m manager", "python -m nodeagent"])
@pytest.mark.parametrize("where", ["unreadable", "deleted"])
def test_a_command_starts_wherever_it_is_called(tmp_path, command, where):
    place = tmp_path / "place"
    place.mkdir()
    entered = {
        # root without its capabilities may read no more than anybody else
        "unreadable": f"chmod 0 . && exec {without_override()} {command}",
        "deleted": f"rmdir ../place && {command}",
    }
    done = shell(entered[where], cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def without_override() -> str:
    if os.geteuid() != 0:
        return ""
    less = "-dac_override,-dac_read_search"
    return f"setpriv --bounding-set {less} --inh-caps {less}"


def test_a_table_whose_reader_goes_away_ends_quietly_too():
    reads, writes = os.pipe()
    os.close(reads)
    code = (
        "from common.runtime import command\n"
        "from manager.cli.output import show_table\n"
        "command.run('x', lambda: show_table(('a',), [('1',)] * 9999, nothing=''))"
    )
    with os.fdopen(writes) as pipe:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=pipe, stderr=subprocess.PIPE, check=False, timeout=60
        )
    assert (done.returncode, done.stderr) == (141, b"")
