import subprocess
import sys

from common.events import EVENTS
from common.runtime.flood import (
    BOUNDED,
    FOREIGN,
    INTERVAL_S,
    LINES_PER_EVENT,
    LINES_PER_KIND,
    STRANGERS_MAX_BYTES_PER_MINUTE,
    Flood,
)
from tests.patience import PATIENCE_S

FLOODING = """
import logging, structlog
from common.runtime import log as logs
logs.configure(style='json')
log = structlog.get_logger('manager.x')
for number in range(3000):
    log.warning('login.refused', address='192.0.2.1', message=f'{number}' * 2000)
    logging.getLogger('asyncio').error('%s', 'x' * 2000)
    try:
        raise ValueError('x' * 20000)
    except ValueError:
        log.exception('http.request_failed', path=f'/{number}')
    log.error('store.failed', reason='timeout', message='PostgreSQL cannot be reached')
log.warning('push.acked', node='n1')
logs._tell(all_of_it=True)
"""


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_first_lines_of_a_kind_are_written_and_the_others_counted():
    clock = Clock()
    flood = Flood(clock)
    admitted = [flood.admits("connection.refused", "too many", "192.0.2.1") for _ in range(1000)]
    assert admitted.count(True) == LINES_PER_KIND
    assert list(flood.held_back()) == []
    clock.now_s = INTERVAL_S
    (held,) = flood.held_back()
    assert (held.event, held.count) == ("connection.refused", 1000 - LINES_PER_KIND)
    assert "from 1 addresses" in held.message()
    assert list(flood.held_back()) == []
    assert flood.admits("connection.refused", "too many")


def test_a_stranger_who_says_something_else_each_time_is_bounded_too():
    flood = Flood(Clock())
    assert sum(flood.admits("login.refused", str(number)) for number in range(1000)) == LINES_PER_EVENT


def test_each_node_of_a_fleet_is_told_when_it_comes():
    flood = Flood(Clock())
    assert all(flood.admits("node.connected", f"n{number}") for number in range(5000))
    assert sum(flood.admits("node.connected", "n1") for _ in range(1000)) == LINES_PER_KIND - 1


def test_where_refusals_come_from_is_counted_up_to_a_bound():
    clock = Clock()
    flood = Flood(clock)
    for number in range(10_000):
        flood.admits("connection.refused", "x", f"192.0.2.{number}")
    (held,) = flood.held_back(all_of_it=True)
    assert "from 64 or more addresses" in held.message()


def test_what_nobody_asks_for_is_not_kept_for_ever():
    clock = Clock()
    flood = Flood(clock)
    for turn in range(1000):
        clock.now_s = turn * INTERVAL_S
        for _ in range(20):
            flood.admits(FOREIGN, "asyncio")
    assert len(flood._due) < 100


def test_every_bounded_event_is_one():
    assert set(EVENTS) >= BOUNDED


def test_whoever_logs_it_a_flood_stays_below_the_ceiling_and_is_counted():
    done = subprocess.run(
        [sys.executable, "-c", FLOODING],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert len(done.stderr) < STRANGERS_MAX_BYTES_PER_MINUTE
    assert '"push.acked"' in done.stderr
    assert f'"count": {3000 - LINES_PER_EVENT}' in done.stderr
    assert '"lines.held_back"' in done.stderr
    assert done.stderr.count("PostgreSQL cannot be reached") == LINES_PER_KIND
    assert f'"count": {3000 - LINES_PER_KIND}' in done.stderr
