"""What starts slowly, once for all tests of a run."""

import asyncio

import pytest

from manager.usecases.workers import Workers


@pytest.fixture(scope="session")
def workers():
    """One pool for all tests of a process: starting its processes takes a second."""
    made = Workers()
    yield made
    asyncio.run(made.__aexit__(None, None, None))
