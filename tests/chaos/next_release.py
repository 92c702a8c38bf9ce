"""A manager of the release after this one, as far as the store's schema goes: `python -m tests.chaos.next_release serve ...`.

Its migrations are those of the directory that `MIGRATIONS` in the environment names, which `make` fills.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from alembic.script import ScriptDirectory

from manager.store import schema

DIRECTORY: Final = "CERTCAST_TEST_MIGRATIONS"

NEXT: Final = '''"""What a next release might add."""

import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {former!r}
branch_labels = None
depends_on = None
{beside}

def upgrade() -> None:
    """Add a column that managers of this release neither write nor read, and a table."""
    op.add_column("node", sa.Column("colour", sa.Text(), nullable=False, server_default="grey"))
    op.create_table("colour", sa.Column("name", sa.Text(), primary_key=True))
'''


def newest() -> str:
    """Return the schema of this release."""
    return str(ScriptDirectory(str(schema.MIGRATIONS)).get_current_head())


def make(directory: Path, *, beside: str | None) -> str:
    """Make the migrations of the next release; return its schema. `beside` is the oldest that its migration says may serve beside it."""
    shutil.copytree(schema.MIGRATIONS, directory, ignore=shutil.ignore_patterns("__pycache__"))
    former = newest()
    revision = f"{int(former) + 1:04}"
    text = NEXT.format(
        revision=revision, former=former, beside="" if beside is None else f"beside = {beside!r}\n"
    )
    (directory / "versions" / f"v{revision}_next.py").write_text(text)
    return revision


def main() -> None:
    vars(schema)["MIGRATIONS"] = Path(os.environ[DIRECTORY])
    from manager.entry import daemon

    sys.argv[0] = "certcast-manager"
    daemon()


if __name__ == "__main__":
    main()
