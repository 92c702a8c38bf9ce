"""Settings and fixtures of all tests: how missing services are treated, and a PostgreSQL server."""

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
"""Attacks, sweeps and searches: each takes seconds, and together they take most of the time of all tests."""

IN_MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 * 2**30
"""Twice the most that directories of tests occupy."""

LOGGED: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]|\{")
"""Matches the beginning of a log line."""

SHOWN_LINES: Final = 6

settings.register_profile("search", max_examples=2000, deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the run: fixed examples for the profile "repeatable" unless a seed is given, and a strict umask.

    The agent refuses group-writable directories, which tests would create with some users' umask.
    """
    os.umask(0o022)
    # hundreds of daemons and commands are started, and each would compile its sources again
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    _put_directories_into_memory()
    config.addinivalue_line(
        "markers",
        "slow: takes more than five seconds; `make test` runs it, `make test-fast` does not, nor attacks, sweeps and searches",
    )
    repeatable = config.getoption("--hypothesis-seed", None) is None
    settings.register_profile("repeatable", derandomize=repeatable, deadline=None)


def _put_directories_into_memory() -> None:
    """Put directories of tests into memory if there is room: on disk, many tests mostly wait for syncs."""
    if not IN_MEMORY.is_dir():
        return
    found = os.statvfs(IN_MEMORY)
    if found.f_bavail * found.f_frsize >= ROOM_BYTES and not found.f_flag & os.ST_NOEXEC:
        # pytest's own name for where its directories go, and the name that all other programs know
        for name in ("PYTEST_DEBUG_TEMPROOT", "TMPDIR"):
            os.environ.setdefault(name, str(IN_MEMORY))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the measurements of attacks, which pytest does not show for passed tests."""
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
    """Keep the garbage collector away from ten thousand tests and their imports, now and later."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked `services("nginx", ...)` if one of these is missing; fail if services are required.

    "root" stands for root's rights, "x86-64" for Linux on such a machine, whose system calls the tests know.
    This runs before all fixtures, because shared fixtures would be set up before another fixture could skip
    the test.
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
    """A PostgreSQL server for this run, or for this worker of it; no test stops it."""
    with made_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def store_template(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with a new store, without connections to it."""
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
