"""Settings of a recipe for a blend: which experiments, how many copies, how they are combined, which gate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from sever.config.base import Settings
from sever.config.rules import RuleSettings


class MemberSettings(Settings):
    """One experiment in a blend: its newest cross-validations under saved/NAME, one a seed."""

    experiment: str = Field(description="Name of the experiment, as in its folder under saved/.")
    copies: PositiveInt = Field(1, description="Number of its cross-validations, each with another training seed.")
    weight: NonNegativeFloat = Field(1.0, description="Weight of each copy.")


class BlendSettings(Settings):
    """How the members' maps become one."""

    kind: Literal["mean", "rms", "power", "geometric", "median", "maximum", "vote", "rank"] = Field(
        "mean", description="How members are combined, pixel by pixel (docs/howto.md)."
    )
    power: float | None = Field(None, description="The exponent of the kind `power`; not 0.")
    select: Literal["none", "greedy"] = Field(
        "none", description="`greedy` chooses the weights of a mean by forward selection, if that pays off."
    )


class EnsembleSettings(Settings):
    """A recipe for `sever blend --recipe`."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100, description="Name of the blend.")
    members: tuple[MemberSettings, ...] = Field(min_length=1, description="The segmenters.")
    gate: tuple[MemberSettings, ...] = Field(
        (), description="Image classifiers, whose label probabilities gate the masks."
    )
    blend: BlendSettings = BlendSettings()
    rules: RuleSettings = Field(
        RuleSettings(), description="Rules that replace the first member's; those that aren't named are kept."
    )

    @model_validator(mode="after")
    def _experiments_stand_once(self) -> EnsembleSettings:
        names = [member.experiment for member in (*self.members, *self.gate)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the experiment {', '.join(twice)} appears twice; set its `copies`")
        return self
