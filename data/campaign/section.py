"""What all sections of a campaign's settings have in common: strict types, and which of them may change freely."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Changed(NamedTuple):
    """A setting with its value before and now."""

    name: str
    before: Any
    now: Any


class Settings(BaseModel):
    free: ClassVar[frozenset[str]] = frozenset()  # fields that change neither what people are asked nor what is sampled

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _neither_truths_nor_texts_are_numbers(cls, value: object, info: ValidationInfo) -> object:
        wanted = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and wanted is not bool:
            raise ValueError(f"{str(value).lower()} is no number and no text")  # pydantic would take it for 1 or 0
        if isinstance(value, str) and wanted in (int, float, int | None, float | None):
            raise ValueError(f"{value!r} is text, and must be a number")
        return value

    def changes_since(self, before: Mapping[str, Any]) -> Iterator[Changed]:
        """Yield the fields, but those of `free`, that have another value than in stored settings of this kind.

        A field that older settings do not have is left out: it did not exist then.
        """
        for name in type(self).model_fields:
            if name in self.free or name not in before:
                continue
            value = getattr(self, name)
            if isinstance(value, Settings) and isinstance(before[name], Mapping):
                changes = value.changes_since(before[name])
                yield from (change._replace(name=f"{name}.{change.name}") for change in changes)
                continue
            old, now = before[name], self.model_dump(mode="json")[name]
            if self._comparable(name, old) != self._comparable(name, now):
                yield Changed(name, old, now)

    def _comparable(self, name: str, value: Any) -> Any:
        """Return a stored value of a field as it is compared."""
        return value
