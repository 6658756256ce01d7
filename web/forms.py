"""What a browser may send: one strict model for each route. What does not fit is refused in one line.

Strict means that no value is converted: `true` is no number, and `1.0` is no version. Unknown fields are refused.
"""

import json
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from data.errors import Refused
from data.escape import shown, valid_utf8

MOST_CHARACTERS = 2_000
LINE_CHARACTERS = {"\n", "\r", "\t"}


def _without_half_characters(value: object) -> object:
    """Replace half surrogate pairs, which JSON can write and files cannot hold."""
    return valid_utf8(value) if isinstance(value, str) else value


def _without_control_characters(text: str) -> str:
    for character in text:
        if unicodedata.category(character) == "Cc" and character not in LINE_CHARACTERS:
            raise ValueError(f"it contains the control character U+{ord(character):04X}; remove it")
    return text


Words = Annotated[
    str,
    BeforeValidator(_without_half_characters),
    Field(max_length=MOST_CHARACTERS),
    AfterValidator(_without_control_characters),
]
Reason = Annotated[str, BeforeValidator(_without_half_characters)]
Name = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9._:/-]*$")]
Token = Annotated[str, BeforeValidator(_without_half_characters), Field(max_length=500)]
Position = Annotated[int, Field(ge=0, lt=100)]
Place = Annotated[int, Field(ge=1, le=100)]


class Form(BaseModel):
    """A body without surprises."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class SignInForm(Form):
    token: Token


class AnswerForm(Form):
    """One answer; the question's kind decides which of `choice` and `given` it needs."""

    question_id: Name
    ticket: Annotated[str, Field(max_length=100)] = ""  # proves that this labeler was shown the question
    version: Annotated[int, Field(ge=1, le=100_000)]
    choice: Position | Literal["tie", "skip"] | None = None
    given: Annotated[dict[Name, Annotated[list[Place | None], Field(max_length=100)]], Field(max_length=20)] = {}
    seconds: float | None = None
    confidence: float | None = None
    note: Words = ""
    critique: Words = ""
    correction: Words = ""
    flags: Annotated[list[Literal["broken_question"]], Field(max_length=1)] = []


class PullForm(Form):
    """A pull is refused for as little as possible: a long reason is cut by the cord."""

    reason: Reason
    scope: Name = "everything"


class ReleaseForm(Form):
    pull: Name
    reason: Reason


class SignOutForm(Form):
    pass


AnyForm = TypeVar("AnyForm", bound=Form)


def parse_object(body: bytes) -> Mapping[str, Any]:
    """Read a JSON object as the standard has it: no NaN, no Infinity; raise ValueError for anything else."""
    parsed = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    if not isinstance(parsed, dict):
        raise ValueError("not an object")
    return parsed


def fill(form: type[AnyForm], body: Mapping[str, Any]) -> AnyForm:
    """Return the form that a body fills; raise Refused with the first field that does not fit."""
    try:
        return form.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(shown(part)[1:-1] if isinstance(part, str) else str(part) for part in first["loc"][:3])
        problem = first["msg"].removeprefix("Value error, ")
        problem = problem[:1].lower() + problem[1:]
        raise Refused(f"The field {field} is not valid: {problem}. Load the page again and repeat it.") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
