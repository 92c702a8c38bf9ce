"""The version of this code, as `pyproject.toml` has it.

Here, because asking the installed package for it imports an email parser and an archive reader, 2 MiB of an agent's memory.
"""

from typing import Final

VERSION: Final = "0.1.0"
