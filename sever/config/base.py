"""What every section of the settings has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of every section: frozen, and a key it doesn't know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
