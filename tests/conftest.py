"""What all tests share: what a missing service means, and a PostgreSQL server."""

import gc
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings

from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from tests.postgres import TEMPLATE, Cluster, made_cluster, make_store
from tests.programs import find_program

REQUIRE_SERVICES = bool(os.environ.get("CERTCAST_REQUIRE_SERVICES"))
TESTS = Path(__file__).parent
SLOW_ROOMS = {"attacks", "crash", "property"}
"""Attacks, sweeps and searches: each takes seconds, and they take most of the time of all tests."""

IN_MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 * 2**30
"""What directories of tests take at most, and as much again."""

LOGGED: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]|\{")
"""How a line of the log begins."""

SHOWN_LINES: Final = 6

settings.register_profile("search", max_examples=2000, deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    """Let tests of the profile "repeatable" have the same examples in each run, unless a seed asks for others.

    The agent refuses directories that a group may write to, which some people's umask lets tests make.
    """
    os.umask(0o022)
    # daemons and commands are started by the hundred: each would compile its sources anew
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    _put_directories_into_memory()
    config.addinivalue_line(
        "markers",
        "slow: takes more than five seconds; `make test` runs it, `make test-fast` does not, nor attacks, sweeps and searches",
    )
    repeatable = config.getoption("--hypothesis-seed", None) is None
    settings.register_profile("repeatable", derandomize=repeatable, deadline=None)


def _put_directories_into_memory() -> None:
    """Let directories of tests be in memory where there is room for them: on a disk, many tests wait most of their time for it to sync their stores."""
    if not IN_MEMORY.is_dir():
        return
    found = os.statvfs(IN_MEMORY)
    if found.f_bavail * found.f_frsize >= ROOM_BYTES and not found.f_flag & os.ST_NOEXEC:
        # pytest's own name for where its directories go, and the name that all other programs know
        for name in ("PYTEST_DEBUG_TEMPROOT", "TMPDIR"):
            os.environ.setdefault(name, str(IN_MEMORY))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what the attacks measured: of a test that passed, nobody would see it."""
    measured: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("passed", ()):
        if report.nodeid.startswith("tests/attacks/") and report.when == "call":
            found = [
                line for line in report.capstdout.splitlines() if line.strip() and not LOGGED.match(line)
            ]
            measured.setdefault(report.nodeid, []).extend(found)
    if any(measured.values()):
        terminalreporter.section("what the attacks measured")
    for name, lines in sorted(measured.items()):
        for line in lines[:SHOWN_LINES]:
            terminalreporter.write_line(f"{name.partition('::')[2]}: {line.strip()}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(TESTS).parts[0] in SLOW_ROOMS:
            item.add_marker("slow")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage among ten thousand tests and all that they import, now or later."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked `services("nginx", ...)` where one of these is missing; fail where they are required.

    "root" stands for the right to do what root does, "x86-64" for Linux on such a machine, whose system calls are known here.
    This comes before every fixture: what several tests share would be made before a fixture of one of them could skip it.
    """
    marker = item.get_closest_marker("services")
    if marker is None:
        return
    missing = [name for name in marker.args if not _is_there(name)]
    if not missing:
        return
    sentence = f"{', '.join(missing)} missing; .ci/run installs what the tests need"
    if REQUIRE_SERVICES:
        pytest.fail(sentence)
    pytest.skip(sentence)


def _is_there(name: str) -> bool:
    match name:
        case "root":
            return os.geteuid() == 0
        case "x86-64":
            return platform.system() == "Linux" and platform.machine() == "x86_64"
        case _:
            return find_program(name) is not None


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server of this run (or of this worker of it), which nobody stops."""
    with made_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def store_template(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with a new store in it, which nobody is connected to."""
    cluster.make_database(TEMPLATE)
    make_store(StorePlace(tmp_path_factory.mktemp("template"), cluster.address(TEMPLATE)))
    return TEMPLATE


@pytest.fixture
def database(cluster: Cluster) -> Iterator[ServerAddress]:
    """An empty database."""
    with cluster.lent_database() as address:
        yield address


@pytest.fixture
def store_database(cluster: Cluster, store_template: str) -> Iterator[ServerAddress]:
    """A database with a new store, sealed under `KEK`."""
    with cluster.lent_database(template=store_template) as address:
        yield address
