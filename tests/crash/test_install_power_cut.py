"""Cut the power at every system call that changes an agent's directory; nothing that was acknowledged is lost."""

import time

import pytest

from tests.crash.power import CUTS, LOG_FLUSHED, MAKE, cuts
from tests.crash.scenarios import SCENARIOS
from tests.crash.sweep import SHARE_S, turn_of

KINDS = [(filesystem, cut) for filesystem in MAKE for cut in CUTS]

pytestmark = [
    pytest.mark.services("x86-64", "root", "mkfs.ext4", "mkfs.xfs", "mount", "umount"),
    pytest.mark.parametrize(("filesystem", "cut"), KINDS),
    pytest.mark.timeout(2 * SHARE_S),
]


def test_a_power_cut_at_any_call_leaves_old_or_new_whole_and_loses_nothing_acknowledged(
    patient_sweeper, say, filesystem, cut
):
    started_s = time.monotonic()
    turn = turn_of((filesystem, cut), KINDS)
    total = patient_sweeper.sweep([one.name for one in SCENARIOS], cut, cuts(filesystem), turn=turn)
    say(f"{cut}, {filesystem}: {total}", started_s)
    assert total.losses == []
    assert total.tried.total() > 200


def test_the_sweep_finds_an_installer_without_fsync(patient_sweeper, filesystem, cut):
    losses = patient_sweeper.sweep(
        ["second installation"], cut, cuts(filesystem), plant="no fsync", last=16
    ).losses
    if CUTS[cut] == LOG_FLUSHED:
        assert any("current shows a mixture" in loss for loss in losses)
    else:
        assert any("was acknowledged" in loss for loss in losses)
