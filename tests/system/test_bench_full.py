"""The short form of `make bench-full`: with a few nodes every step happens, and what is measured is what is printed."""

import pytest

from bench.full import floor, run, scale, several
from tests.postgres import NEEDED


async def test_a_few_nodes_go_through_every_step_of_the_measurement(monkeypatch):
    monkeypatch.setattr(scale, "SETTLE_S", 0.5)
    monkeypatch.setattr(scale, "SINGLE", 2)
    monkeypatch.setattr(scale, "PUSHES", 1)
    found = await scale.measure(6, idle_s=1.0)
    assert found.nodes == 6
    assert 1000 < found.push_bytes < 64 * 1024, "a leaf with its key and chain, and no trust store"
    for each in (found.push, found.back, found.meanwhile):
        assert 0 < each.p50_s <= each.p99_s <= each.last_s
    assert found.push.last_s <= found.push_recorded_s
    assert found.back.last_s <= found.back_in_sync_s
    assert found.meanwhile_nodes >= 1
    assert found.single.cpu_s > 0


@NEEDED
async def test_two_managers_over_postgresql_take_a_push_of_all_nodes_together(monkeypatch):
    monkeypatch.setattr(several, "SETTLE_S", 0.5)
    monkeypatch.setattr(several, "PUSHES", 1)
    found = await several.measure(12, managers=2)
    assert found.managers == 2
    assert 0 < found.push.last_s <= found.recorded_s
    assert 0 < found.busiest_cpu_s < found.cpu_s


async def test_both_floors_bring_all_bytes_to_all_and_hear_from_all():
    for kind in ("tcp", "ssh"):
        found = await floor.measure(kind, 4, 6000)
        assert 0 < found.p50_s <= found.p99_s <= found.last_s


def test_a_measurement_that_a_busy_machine_does_not_finish_says_so_without_a_traceback(monkeypatch, capsys):
    def fail(*_given):
        raise TimeoutError

    monkeypatch.setattr(run, "measure_nodes", fail)
    assert run.main(["--only", "nodes", "--nodes", "20"]) == 1
    assert "Given up: a step took longer than" in capsys.readouterr().err


def test_each_option_of_the_measurement_is_explained(capsys):
    with pytest.raises(SystemExit):
        run.main(["--help"])
    assert "numbers of simulated nodes" in capsys.readouterr().out
    assert all(action.help for action in run.make_parser()._actions)
