"""Errors of this node alone, which its command words: they carry what is wrong, and no command or flag that puts it right."""

from pathlib import Path

from common.errors import ConflictError, NotFoundError


class NotJoinedError(NotFoundError):
    """The `data` directory holds no identity, so this node has not joined a manager."""

    def __init__(self, data: Path) -> None:
        super().__init__("this node has not joined a manager")
        self.data = data


class DataInUseError(ConflictError):
    """Another agent holds the lock of the data directory."""

    def __init__(self, data: Path) -> None:
        super().__init__(f"another nodeagent runs on {data}")
