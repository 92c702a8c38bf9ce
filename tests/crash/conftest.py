"""Where the sweeps work."""

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from tests.crash.sweep import Sweeper

MEMORY = Path("/dev/shm")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of installations need not be rendered for people."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def sweeper() -> Iterator[Sweeper]:
    """The processes that inject faults, one for each processor."""
    yield from _sweeper(os.cpu_count() or 1)


@pytest.fixture(scope="session")
def patient_sweeper() -> Iterator[Sweeper]:
    """More of them, for trials that wait more than they work."""
    yield from _sweeper(2 * (os.cpu_count() or 1))


def _sweeper(workers: int) -> Iterator[Sweeper]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        sweeper = Sweeper(Path(directory), workers)
        yield sweeper
        sweeper.close()


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory, if there is one."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        yield Path(directory)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str, float], None]:
    """Print a result, and how long it took."""

    def print_it(result: str, started_s: float) -> None:
        with capsys.disabled():
            print(f"\n  {result}, in {time.monotonic() - started_s:.0f} s")  # noqa: T201 - the count is what a sweep is read for

    return print_it
