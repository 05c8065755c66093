"""Settings of what goes to Kaggle: whose account, under which names, on what terms; knows no credentials."""

from __future__ import annotations

from pydantic import Field

from sever.config.base import Settings


class KaggleSettings(Settings):
    """`sever upload`, `kernel` and `submit` read these from kaggle.yml, if it exists; options override them."""

    owner: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="Account or organisation that owns what is uploaded; null means the one signed in.",
    )
    licence: str = Field("other", description="Kaggle's name for the licence of uploaded weights, e.g. CC0-1.0.")
    public: bool = Field(False, description="Whether everybody can see the uploads.")
    competition: str = Field("severstal-steel-defect-detection", description="Name of the competition.")
    minutes: float = Field(
        55.0, gt=0, description="How long a kernel may take (the 2019 competition: 60), less a reserve for its start."
    )
    python: str = Field(
        "3.12",
        pattern=r"^3\.\d+$",
        description="Python of Kaggle's image, on Linux, for which `sever upload --wheel --with-dependencies` fetches "
        "wheels; `!python --version` in a notebook there prints it.",
    )
    overlap_allowed: bool = Field(False, description="Whether a pixel may belong to several classes in a submission.")
