"""Self-check of the manager: configuration mistakes that would make its next start fail.

Checks the settings as the next start will read them, and the key that opens the store. Changes nothing;
blocking.
"""

from collections.abc import Callable
from typing import Final

from common.codes import ConfigurationCode
from common.errors import CertcastError
from manager.domain.report import ConfigurationFault
from manager.settings import Settings
from manager.store.sealing import load_keyring

FAULT_MAX_CHARS: Final = 300


def find_faults(read_again: Callable[[], Settings]) -> list[ConfigurationFault]:
    """Return the mistakes in the form in which nodes report theirs."""
    try:
        settings = read_again()
    except CertcastError as error:
        return [
            _fault(ConfigurationCode.SETTINGS_INVALID, f"the manager could not start again: {error.message}")
        ]
    try:
        load_keyring(settings.data)
    except (CertcastError, OSError) as error:
        return [_fault(ConfigurationCode.STORE_KEY, f"the manager could not open its store again: {error}")]
    return []


def _fault(code: ConfigurationCode, text: str) -> ConfigurationFault:
    line = " ".join(text.split())
    return ConfigurationFault(
        code=code, message=line if len(line) <= FAULT_MAX_CHARS else line[: FAULT_MAX_CHARS - 1] + "…"
    )
