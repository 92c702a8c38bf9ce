"""Form refusals: the status, and the problems shown when the form is drawn again."""

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
    """A refusal. `problems` are sentences, `asked` is a change that needs confirmation.

    `theirs` are the differences from another user's concurrent edit, None for none.
    """

    status: int
    problems: Sequence[str] = ()
    asked: ConfirmationNeededError | None = None
    theirs: Sequence[FieldDifference] | None = None


NOT_REFUSED: Final = FormRefusal(status=200)
"""For a form that was not sent yet."""


def refusal_of(error: CertcastError | None) -> FormRefusal:
    """Return the refusal for an error; None for none."""
    match error:
        case None:
            return NOT_REFUSED
        case ConfirmationNeededError():
            return FormRefusal(status=status_of(error), asked=error)
        case _:
            return FormRefusal(status=status_of(error), problems=findings_of(error))


def refusal_for(problems: Sequence[str], status: int = 400) -> FormRefusal:
    """Return the refusal for problems the page has found."""
    return FormRefusal(status=status, problems=problems) if problems else NOT_REFUSED


def changed_meanwhile(theirs: Sequence[FieldDifference]) -> FormRefusal:
    """Return the refusal after another user's concurrent edit."""
    return FormRefusal(status=409, theirs=theirs)
