"""What would keep the manager from starting again is found while it runs."""

import pytest

from manager.selfcheck import find_faults
from manager.settings import Settings
from manager.store.sealing import KEK_FILE, create_kek


@pytest.fixture
def again(tmp_path):
    """Read the settings as the next start will, from a file in which all is right."""
    create_kek(tmp_path)
    config = tmp_path / "manager.toml"
    config.write_text("token_days = 2\n")
    return lambda: Settings.load(config=config, data=tmp_path)


def test_a_manager_that_could_start_again_has_no_fault(again):
    assert find_faults(again) == []


@pytest.mark.parametrize(
    ("spoil", "code", "part"),
    [
        (lambda at: (at / "manager.toml").write_text("htps = '1'"), "settings_invalid", "htps"),
        (lambda at: (at / "manager.toml").write_text("token_days = 99"), "settings_invalid", "token_days"),
        (lambda at: (at / "manager.toml").write_text("= ="), "settings_invalid", "manager.toml"),
        (lambda at: (at / "manager.toml").unlink(), "settings_invalid", "there is no file"),
        (lambda at: (at / KEK_FILE).chmod(0o644), "store_key", "can be read by others"),
        (lambda at: (at / KEK_FILE).write_bytes(b"short"), "store_key", KEK_FILE),
        (lambda at: (at / KEK_FILE).unlink(), "store_key", "no key-encryption key"),
    ],
)
def test_what_would_keep_it_from_starting_again_is_a_fault(again, tmp_path, spoil, code, part):
    spoil(tmp_path)
    (found,) = find_faults(again)
    assert found.code == code
    assert part in found.message
