"""What starts slowly, once for all tests of a module."""

import asyncio

import pytest

from manager.usecases.workers import Workers


@pytest.fixture(scope="module")
def workers():
    """One pool for all tests of a module: starting its processes takes a second."""
    made = Workers()
    yield made
    asyncio.run(made.__aexit__(None, None, None))
