"""Strangers at the HTTPS port: whatever they open, trickle or never read, honest pages and nodes are served."""

from tests.attacks.ground import STRANGERS, Ground, ground_of_module, holds

pytestmark = STRANGERS
there = ground_of_module(descriptors=4096)


async def test_idle_tls_connections_cost_little_and_it_is_given_back(there: Ground):
    await holds(there, "idle_tls", 200, addresses=40)


async def test_connections_that_begin_nothing_keep_no_honest_page_out(there: Ground):
    await holds(there, "no_hello+idle_tls", 600, addresses=8)


async def test_slow_headers_and_requests_whose_answers_are_not_read_keep_nobody_out(there: Ground):
    await holds(there, "slow_headers+pipelining", 40, addresses=10)
