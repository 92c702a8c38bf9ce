"""Own node: the name of this manager's management node, stored in its directory.

A directory without a name belongs to the first manager of a store, in most stores the only one. Invariant: a
returned name is well-formed, and only root and the store's owner could have written it.
"""

from pathlib import Path
from typing import Final

from common.errors import InvalidInputError, StorageError
from common.ids import MANAGEMENT_NODE, NODE_NAME_MAX, NodeName, node_name
from common.runtime import durable, trusted

NODE_FILE: Final = "node"
"""The file in the directory of every manager but a store's first."""

READ_BYTES: Final = NODE_NAME_MAX + 2
"""A name and its newline; one more byte reveals a longer file."""


def own_node(directory: Path) -> NodeName:
    """Return the management node of this directory's manager. Raises StorageError."""
    path = directory / NODE_FILE
    try:
        return node_name(trusted.read_own_file(path, READ_BYTES).decode().removesuffix("\n"))
    except FileNotFoundError:
        return MANAGEMENT_NODE
    except (InvalidInputError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} is damaged: it must contain the name of this manager's node") from error
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error


def write_own_node(directory: Path, name: NodeName) -> None:
    """Set the management node of this directory's manager. Raises OSError."""
    durable.write_file(directory / NODE_FILE, f"{name}\n".encode(), mode=0o600)
