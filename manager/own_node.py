"""Own node: the name of the management node that this manager is, a fact of its directory.

Decides what a directory that says nothing means: the first manager of a store, and the only one for most. Invariant: a name that was read is
well-formed, and nobody but root and the store's owner could have written it.
"""

from pathlib import Path
from typing import Final

from common.errors import InvalidInputError, StorageError
from common.ids import MANAGEMENT_NODE, NODE_NAME_MAX, NodeName, node_name
from common.runtime import durable, trusted

NODE_FILE: Final = "node"
"""In the directory of every manager but the first of a store."""

READ_BYTES: Final = NODE_NAME_MAX + 2
"""A name and its line's end; one more shows that there is too much."""


def own_node(directory: Path) -> NodeName:
    """Return which management node the manager of this directory is. Raises StorageError."""
    path = directory / NODE_FILE
    try:
        return node_name(trusted.read_own_file(path, READ_BYTES).decode().removesuffix("\n"))
    except FileNotFoundError:
        return MANAGEMENT_NODE
    except (InvalidInputError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} is damaged: it has to hold the name of this manager's node") from error
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error


def write_own_node(directory: Path, name: NodeName) -> None:
    """Say which node the manager of this directory is. Raises OSError."""
    durable.write_file(directory / NODE_FILE, f"{name}\n".encode(), mode=0o600)
