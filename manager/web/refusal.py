"""A refused form: its status, and what its page says when it is shown once more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from common.errors import CertcastError
from manager.domain.consequences import ConfirmationNeededError
from manager.http.errors import status_of
from manager.web.difference import FieldDifference
from manager.web.uploads import findings_of


@dataclass(frozen=True, slots=True, kw_only=True)
class FormRefusal:
    """`problems` are sentences; `asked` is a change that wants to be confirmed; `theirs` is how what somebody else saved meanwhile differs, None if nobody did."""

    status: int
    problems: Sequence[str] = ()
    asked: ConfirmationNeededError | None = None
    theirs: Sequence[FieldDifference] | None = None


NOT_REFUSED: Final = FormRefusal(status=200)
"""Of a form that nobody has sent yet."""


def refusal_of(error: CertcastError | None) -> FormRefusal:
    """Return what a page says of an error; None is none."""
    match error:
        case None:
            return NOT_REFUSED
        case ConfirmationNeededError():
            return FormRefusal(status=status_of(error), asked=error)
        case _:
            return FormRefusal(status=status_of(error), problems=findings_of(error))


def refusal_for(problems: Sequence[str], status: int = 400) -> FormRefusal:
    """Return what a page says of problems that it found itself."""
    return FormRefusal(status=status, problems=problems) if problems else NOT_REFUSED


def changed_meanwhile(theirs: Sequence[FieldDifference]) -> FormRefusal:
    """Return what a page says to who comes second."""
    return FormRefusal(status=409, theirs=theirs)
