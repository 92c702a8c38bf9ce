"""Inject a fault at every system call of an agent that changes its directory, in everything that it does with its disk.

Each kill is real and exact; afterwards another agent starts. Each error is the kernel's answer to the agent, which lives on.
What a kill cannot show, that data was synced, is read from the order of the calls here, and shown in
`test_install_power_cut.py`.
"""

import time

import pytest

from tests.crash.node import PARTIAL, copied
from tests.crash.scenarios import BY_NAME, SCENARIOS, act_in_child, make_template
from tests.crash.sweep import ERRORS, KILL, ON_WRITES, SHARE_S, Series, errors, kills, run_through, turn_of
from tests.crash.synced import find_unsynced

pytestmark = [pytest.mark.services("x86-64"), pytest.mark.timeout(2 * SHARE_S)]

ALL = [scenario.name for scenario in SCENARIOS]
STRUCK_LIVE = [scenario for scenario in ALL if "installation" in scenario]
"""Those that install, whether it ends well or in a rollback."""

SECOND = ["second installation"]

AT_ANY_CALL = [error for error in ERRORS if error not in ON_WRITES]


def test_a_kill_at_any_call_leaves_old_or_new_whole_and_converges(sweeper, say):
    started_s = time.monotonic()
    total = sweeper.sweep(ALL, KILL, kills)
    say(f"kill: {total}", started_s)
    assert total.losses == []
    assert min(total.tried[scenario] for scenario in ALL) > 5
    assert min(total.tried[scenario] for scenario in STRUCK_LIVE) > 60
    assert {
        "openat",
        "write",
        "fsync",
        "fchmod",
        "renameat",
        "symlinkat",
        "mkdirat",
        "unlinkat",
    } <= total.calls.keys()


@pytest.mark.parametrize("error", AT_ANY_CALL)
def test_an_error_of_the_disk_at_any_call_is_outlived(sweeper, say, error):
    started_s = time.monotonic()
    total = sweeper.sweep(ALL, error, errors, turn=turn_of(error, AT_ANY_CALL))
    say(f"{error}: {total}", started_s)
    assert total.losses == []
    assert total.tried.total() > 200


@pytest.mark.parametrize("error", sorted(ON_WRITES))
def test_an_error_of_the_disk_at_any_write_is_outlived(sweeper, say, error):
    started_s = time.monotonic()
    total = sweeper.sweep(ALL, error, errors)
    say(f"{error}: {total}", started_s)
    assert total.losses == []


@pytest.mark.parametrize("name", [one.name for one in SCENARIOS if PARTIAL in one.may_show])
def test_an_installation_in_part_ends_with_the_good_part_live(tmp_path, name):
    node = copied(make_template(BY_NAME[name], tmp_path / "template"), tmp_path / "node")
    messages = []
    act_in_child(BY_NAME[name], node, messages.append, is_healed=False, plant="")
    assert messages == ["applied 2", "done"]
    assert node.shown() == PARTIAL


def unsynced(scenario, directory, plant=""):
    series = Series(scenario, KILL, directory, plant)
    calls = run_through(series)
    return find_unsynced(calls, str(series.directory / "through/data"))


@pytest.mark.parametrize("scenario", ALL)
def test_everything_is_synced_before_it_gets_its_name_and_before_it_is_reported(scenario, tmp_path):
    assert unsynced(scenario, tmp_path) == []


def test_the_sweep_finds_an_installer_that_removes_the_link_first(sweeper):
    losses = sweeper.sweep(SECOND, KILL, kills, plant="link removed first").losses
    assert any("symlink of" in loss for loss in losses)


def test_an_installer_without_fsync_survives_each_kill_but_not_the_look_at_its_calls(sweeper, tmp_path):
    assert sweeper.sweep(SECOND, KILL, kills, plant="no fsync", last=16).losses == []
    found = unsynced(*SECOND, tmp_path, plant="no fsync")
    assert any("privkey.pem was not synced when" in line for line in found)
    assert any(
        "journal.json was not synced when" in line or "data was never synced" in line for line in found
    )
