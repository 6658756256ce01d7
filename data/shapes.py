"""Stored documents are checked against their type when they are read.

The hash of a sealed document says that nobody changed it since it was written. It does not say who wrote it. Another
version, or a person with access to the store, may have written a document with other fields.
"""

import json
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from data.canonical import Document, unseal
from data.errors import Refused
from data.escape import shown

Shape = TypeVar("Shape")
Settings = TypeVar("Settings", bound=BaseModel)


def _is_a_time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Time = Annotated[str, AfterValidator(_is_a_time)]  # ISO 8601


def checked_shape(
    document: Document,
    shape: type[Shape],
    where: str,
    today: Callable[[Document], Any] = lambda stored: stored,
    complete: bool = True,
) -> Shape:
    """Return a document as the typed dictionary that it is; raise Refused if a field is missing or has another type.

    `where` names the document for the message; `today` makes today's shape of an older one. Fields that the type does
    not have are allowed, because later versions add some. Without `complete`, fields of the document itself may also be
    missing: the facts of older stores lack some.
    """
    try:
        document = today(document)
        _adapter(cast(Any, shape)).validate_json(json.dumps(document), strict=True)
    except (KeyError, TypeError, AttributeError) as error:
        raise Refused(f"{where} cannot be read: no version of Andon writes it. Restore it from a backup.") from error
    except ValidationError as error:
        every = error.errors(include_url=False)
        faults = [fault for fault in every if complete or fault["type"] != "missing" or len(fault["loc"]) > 1]
        if not faults:
            return cast(Shape, document)
        raise _unreadable(where, faults[0]) from error
    return cast(Shape, document)


def checked_settings(document: object, settings: type[Settings], where: str) -> Settings:
    """Return stored settings as their class; raise Refused if they are none. `where` names their document."""
    try:
        return settings.model_validate(document)
    except ValidationError as error:
        raise _unreadable(where, error.errors(include_url=False)[0]) from error


def _unreadable(where: str, first: ErrorDetails) -> Refused:
    """Return the refusal of a document for its first fault."""
    field = ".".join(map(str, first["loc"])) or "the document"
    if first["type"] == "missing":
        fault = f"it has no field {field}"
    else:
        fault = f"its field {field} is {shown(first['input'])}, which Andon does not write there"
    return Refused(f"{where} cannot be read: {fault}. Restore it from a backup.")


def unsealed(data: bytes, shape: type[Shape], where: str) -> Shape:
    """Read a sealed document that has a type; raise Refused if it is damaged or is not of this type."""
    return checked_shape(unseal(data, where), shape, where)


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)
