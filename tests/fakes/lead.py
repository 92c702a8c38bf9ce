"""A manager that leads, or does not, as a test says. Implements `manager.usecases.ports.Lead`."""

from contextlib import AbstractContextManager, nullcontext


class FakeLead:
    def __init__(self, *, is_ours: bool = True) -> None:
        self.is_ours = is_ours

    def enforced(self) -> AbstractContextManager[None]:
        return nullcontext()
