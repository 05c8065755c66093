"""The forms of what goes in and out as JSON, for the OpenAPI; knows not where it comes from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Box = Annotated[list[int], Field(min_length=4, max_length=4, description="left, top, right, bottom in pixels")]
Role = Literal["viewer", "reviewer", "admin"]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@-]*$")]
Verdict = Literal["new", "accepted", "rejected", "corrected"]


class Given(BaseModel):
    """What a client sends: nothing unknown in it."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


QUERY = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)  # where all is text


class FaultText(BaseModel):
    status: int
    message: str


class Fault(BaseModel):
    error: FaultText


class OipFault(BaseModel):
    error: str


class Defect(BaseModel):
    box: Box
    area: int = Field(description="pixels")
    confidence: Share = Field(description="mean probability of its pixels")


class ClassFound(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    class_: str = Field(alias="class")
    present: bool
    area: int = Field(description="pixels of the mask")
    area_share: Share
    probability: Share = Field(description="of the strongest pixel, before the rules")
    gate: Share | None = Field(description="probability of the class in the image as a whole, where a network says it")
    confidence: Share | None = Field(description="mean probability of the mask's pixels; null where it is empty")
    box: Box | None
    num_defects: int = Field(description="connected parts of the mask")
    defects: list[Defect] = Field(description="the largest of them, at most 200")
    runs: str | None = Field(None, description="run lengths: starts from 1, down each column and on to the next")
    mask_png: str | None = Field(None, description="the mask as a PNG of 0 and 255, base64")


class ImageFacts(BaseModel):
    sha256: str
    height: int
    width: int
    kept: bool = Field(description="whether the original can still be had")


class ModelFacts(BaseModel):
    name: str
    identity: str = Field(description="digest of the weights and of what their probabilities depend on")
    rules: str = Field(description="digest of the decision rules")


class Answer(BaseModel):
    id: str
    name: str
    source: str
    request_key: str | None
    coil: str | None
    position_m: float | None
    across_m: float | None
    created: float = Field(description="seconds since 1970, UTC")
    seconds: float = Field(description="from the request to the answer")
    image: ImageFacts
    model: ModelFacts
    brightness: float = Field(description="mean grey level, 0..255")
    uncertainty: Share = Field(description="0: every class is surely there or not; 1: one is a coin's toss")
    familiarity: float | None = Field(description="how like the training images it is, where the model says it")
    num_defects: int
    verdict: Verdict
    version: int = Field(description="number of people's corrections so far")
    classes: list[ClassFound]


class BatchItem(BaseModel):
    name: str
    answer: Answer | None = None
    error: FaultText | None = None


class Batch(BaseModel):
    answers: list[BatchItem]


class Page(BaseModel):
    answers: list[Answer]
    total: int
    next: str | None = Field(description="give it as `after` for the next page; null at the end")


class Login(Given):
    name: Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")]
    password: Annotated[str, Field(max_length=200)]


class Session(BaseModel):
    name: str
    role: Role
    csrf: str | None = Field(description="to be sent as X-CSRF-Token with every change; null for a key")


class NewUser(Given):
    name: Name
    password: Annotated[str, Field(min_length=10, max_length=200)]
    role: Role


class NewRole(Given):
    role: Role


class NewPassword(Given):
    password: Annotated[str, Field(min_length=10, max_length=200)]


class OwnPassword(NewPassword):
    current: Annotated[str, Field(max_length=200, description="the password so far")]


class NewKey(Given):
    name: Name
    role: Role


class Key(BaseModel):
    name: str
    role: Role
    key: str = Field(description="shown this once")


class Person(BaseModel):
    name: str
    role: Role
    created: float
    ended: float | None


class Entry(BaseModel):
    id: int
    at: float
    actor: str
    action: str
    subject: str
    about: dict[str, Any]
    digest: str


class ModelsState(BaseModel):
    current: dict[str, Any]
    previous: ModelFacts | None
    shadow: ModelFacts | None
    available: list[str]


class ModelChoice(Given):
    name: Annotated[str, Field(max_length=200, description="one of `available`")]


class ShadowChoice(Given):
    name: Annotated[str, Field(max_length=200)] | None = Field(description="one of `available`, or null for none")


class Difference(BaseModel):
    answer: str
    created: float
    differs: bool
    classes: list[dict[str, Any]]


class ShadowReport(BaseModel):
    compared: int
    differing: int
    differences: list[Difference]


class Health(BaseModel):
    status: Literal["live", "ready"]
