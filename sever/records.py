"""Our own records: typed, versioned JSON, written whole and read with one sentence for any damage; knows no record.

What is wrong with a file may be anything: not JSON, cut short, of another encoding, a key missing or of another type,
NaN, numbers beyond all bounds, a thousand brackets. Whoever reads a record gets it right, or an InputError.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sever.errors import InputError
from sever.files import write_json
from sever.reading import MOST_JSON_BYTES, read_text

SHOWN_CHARACTERS = 60

# A whole number that counts something: what is beyond double precision was never counted.
Count = Annotated[int, Field(ge=0, le=2**53)]
Epoch = Annotated[int, Field(ge=0, le=1_000_000)]
Probability = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """A part of a record: frozen, nothing unknown in it, no number taken for text, neither NaN nor infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Record(Part):
    """A file of ours. Without a version it was written before records had one: it means the same as version 1."""

    latest: ClassVar[int] = 1
    what_to_do: ClassVar[str]

    version: int = 1

    @field_validator("version")
    @classmethod
    def _is_known(cls, version: int) -> int:
        if version != cls.latest:
            raise ValueError(
                f"another release of sever wrote it (version {version}; this one reads {cls.latest}): take that one"
            )
        return version

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises InputError: which file, what is wrong with it, what to do."""
        try:
            return cls.model_validate_json(read_text(path, MOST_JSON_BYTES))
        except ValidationError as error:
            raise InputError(f"{path} {cls._fault(error)}") from error

    @classmethod
    def parse(cls, text: str | bytes, source: str) -> Self:
        """A record that is part of a file, named `source` in the InputError."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise InputError(f"{source} {cls._fault(error)}") from error

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From plain values, by way of JSON: tuples and lists are alike there."""
        return cls.model_validate_json(json.dumps(values, allow_nan=False))

    def write(self, path: Path) -> None:
        write_json(path, self.as_json())

    def as_json(self) -> dict[str, Any]:
        return {"version": self.latest} | self.model_dump(mode="json", exclude={"version"}, by_alias=True)

    @classmethod
    def _fault(cls, error: ValidationError) -> str:
        faults = error.errors(include_url=False)
        other = next((fault for fault in faults if fault["loc"] == ("version",)), None)
        if other is not None and other["type"] == "value_error":
            return f"can't be read: {other['msg'].removeprefix('Value error, ')}, or else {cls.what_to_do}"
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return f"is damaged: {_explain(faults[0])}{more}; {cls.what_to_do}"


def _explain(fault: Any) -> str:
    """One fault in words, as it lies in the file."""
    where = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "json_invalid":
        return f"it is not JSON ({message.partition(': ')[2]})"
    if fault["type"] == "missing":
        return f"it lacks `{_short(where)}`"
    if fault["type"] == "extra_forbidden":
        return f"`{_short(where)}` is unknown here"
    if not where:
        return f"{message[0].lower()}{message[1:]}"
    return f"`{_short(where)}` is {_short(repr(fault['input']))}: {message[0].lower()}{message[1:]}"


def _short(text: str) -> str:
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
