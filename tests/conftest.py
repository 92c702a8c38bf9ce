"""What all tests share: what a missing service means."""

import os
import platform
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

REQUIRE_SERVICES = bool(os.environ.get("CERTCAST_REQUIRE_SERVICES"))
TESTS = Path(__file__).parent
SLOW_ROOMS = {"attacks", "crash", "property"}
"""Attacks, sweeps and searches: each takes seconds, and they take most of the time of all tests."""

SBIN = "/usr/sbin:/usr/local/sbin:/sbin"

settings.register_profile("search", max_examples=2000, deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    """Let tests of the profile "repeatable" have the same examples in each run, unless a seed asks for others.

    The agent refuses directories that a group may write to, which some people's umask lets tests make.
    """
    os.umask(0o022)
    config.addinivalue_line(
        "markers",
        "slow: takes more than five seconds; `make test` runs it, `make test-fast` does not, nor attacks, sweeps and searches",
    )
    repeatable = config.getoption("--hypothesis-seed", None) is None
    settings.register_profile("repeatable", derandomize=repeatable, deadline=None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(TESTS).parts[0] in SLOW_ROOMS:
            item.add_marker("slow")


def find_program(name: str) -> str | None:
    """Return a program's path, looking where Debian puts servers too."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}")


@pytest.fixture(autouse=True)
def _services(request: pytest.FixtureRequest) -> None:
    """Skip a test marked `services("nginx", ...)` where one of these is missing; fail where they are required.

    "root" stands for the right to do what root does, "x86-64" for Linux on such a machine, whose system calls are known here.
    """
    marker = request.node.get_closest_marker("services")
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
