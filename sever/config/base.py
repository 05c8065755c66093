"""What every section of the settings has in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator

from sever.names import expand_home

_SQLITE = "sqlite:///"


def _expand_text(text: str) -> str:
    prefix = _SQLITE if text.startswith(_SQLITE) else ""
    path = text.removeprefix(prefix)
    return prefix + str(expand_home(path)) if path.startswith("~") else text


# Text that may be a path, beside other things: a word, an address.
PathText = Annotated[str, AfterValidator(_expand_text)]


class Settings(BaseModel):
    """Base of every section: frozen, a key it doesn't know is an error, and no number is infinite or NaN. In paths `~`
    is the home folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _expand_home(cls, value: Any) -> Any:
        return expand_home(value) if isinstance(value, Path) else value
