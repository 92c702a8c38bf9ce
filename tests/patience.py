"""How long a test waits for what must happen: far longer than it takes, since a loaded machine only makes it later."""

from typing import Final

PATIENCE_S: Final = 60.0
