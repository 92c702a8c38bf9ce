"""Work done where it is asked for."""

from typing import Any

from manager.pki.write.selfsigned import make_temporary


class InPlace:
    """Does a worker's work at once; keys for temporary certificates are small, so that a test takes no seconds."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def run(self, timeout_s: float, function: Any, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(function.__name__)
        small = {"key_bits": 2048} if function is make_temporary else {}
        return function(*args, **kwargs, **small)
