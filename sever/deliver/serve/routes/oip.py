"""The Open Inference Protocol v2 with its binary extension: what clients of Triton, KServe and OVMS speak.

The model has one of two inputs: `image`, UINT8 or UINT16 [N, H, W, 1 or 3] (RGB), or `file`, BYTES [N], each an image
file of any size. Answers are kept like all others; a tensor is kept as raw pixels.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from sever import __version__
from sever.deliver.serve.access import Reviewer, TheService, Viewer
from sever.deliver.serve.model import InspectionLike, ServedModel
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.schemas import OipFault
from sever.deliver.serve.service import Service, Upload, take_places
from sever.deliver.serve.storage.answers import Source
from sever.deliver.serve.tensors import BYTES, InferRequest, Tensor, read_request, write_response
from sever.deliver.serve.uploads import RawShape

FAULTS: dict[int | str, dict[str, Any]] = {
    status: {"model": OipFault} for status in (400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503)
}
router = APIRouter(prefix="/v2", responses=FAULTS)
HEADER = "inference-header-content-length"
ANY_OBJECT: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}}


@router.get("")
async def server() -> dict[str, Any]:
    return {"name": "sever", "version": __version__, "extensions": ["binary_tensor_data"]}


@router.get("/health/live")
async def live() -> dict[str, bool]:
    return {"live": True}


@router.get("/health/ready")
async def ready(service: TheService) -> dict[str, bool]:
    if not service.is_ready:
        raise Refusal(503, "the model is being warmed up, or the service is stopping", 1)
    return {"ready": True}


@router.get("/models/{name}")
@router.get("/models/{name}/versions/{version}")
async def metadata(name: str, service: TheService, _: Viewer, version: str = "1") -> dict[str, Any]:
    model = _model(service, name, version)
    count = len(model.class_names)
    outputs = {"masks": ("UINT8", [-1, count, -1, -1]), "probabilities": ("FP32", [-1, count, -1, -1])}
    outputs |= {"areas": ("INT64", [-1, count]), "answer": (BYTES, [-1])}
    inputs = {"image": ("UINT8", [-1, -1, -1, model.channels]), "file": (BYTES, [-1])}
    return {
        "name": model.name,
        "versions": ["1"],
        "platform": "sever",
        "inputs": [_described(*each) for each in inputs.items()],
        "outputs": [_described(*each) for each in outputs.items()],
    }


@router.get("/models/{name}/ready")
@router.get("/models/{name}/versions/{version}/ready")
async def model_ready(name: str, service: TheService, _: Viewer, version: str = "1") -> dict[str, Any]:
    _model(service, name, version)
    return {"name": name, "ready": service.is_ready}


@router.post("/models/{name}/infer", openapi_extra=ANY_OBJECT)
@router.post("/models/{name}/versions/{version}/infer", openapi_extra=ANY_OBJECT)
async def infer(name: str, request: Request, service: TheService, _: Reviewer, version: str = "1") -> Response:
    """`masks`, `probabilities`, `areas` by class, and `answer`: the whole answer as JSON."""
    model = _model(service, name, version)
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refusal(415, "compressed requests are not read; send it without Content-Encoding")
    with take_places(service):
        asked = await asyncio.to_thread(read_request, await request.body(), request.headers.get(HEADER))
        uploads = _uploads(asked)
        with take_places(service, len(uploads), held=1):
            found = await _all(service, uploads)
            outputs = await asyncio.to_thread(_outputs, service, asked, found)
            head = {"model_name": model.name, "model_version": "1"} | ({} if asked.id is None else {"id": asked.id})
            body, header_length = await asyncio.to_thread(write_response, head, outputs)
    if header_length is None:
        return Response(body, media_type="application/json")
    return Response(body, media_type="application/octet-stream", headers={HEADER: str(header_length)})


async def _all(service: Service, uploads: list[Upload]) -> list[tuple[str, InspectionLike]]:
    """Waits for all of them, so that no place is given back early; then raises the first fault, if there is one."""
    done = await asyncio.gather(*(service.inspect_fully(upload) for upload in uploads), return_exceptions=True)
    for each in done:
        if isinstance(each, BaseException):
            raise each
    return [each for each in done if not isinstance(each, BaseException)]


def _model(service: Service, name: str, version: str) -> ServedModel:
    model = service.models.current
    if name != model.name or version != "1":
        raise Refusal(404, f"there is no model {name[:100]!r} with this version; {model.name!r}, version 1, is served")
    return model


def _uploads(asked: InferRequest) -> list[Upload]:
    if set(asked.inputs) == {"file"} and asked.inputs["file"].datatype == BYTES:
        return [Upload(data, Source("oip", asked.id or "")) for data in asked.inputs["file"].values]
    if set(asked.inputs) != {"image"}:
        raise Refusal(400, "give one input: `image`, UINT8 or UINT16 [N, H, W, 1 or 3], or `file`, BYTES [N]")
    image = asked.inputs["image"]
    if image.datatype not in ("UINT8", "UINT16") or len(image.shape) != 4 or image.shape[3] not in (1, 3):
        raise Refusal(400, f"`image` is UINT8 or UINT16 [N, H, W, 1 or 3], not {image.datatype} {list(image.shape)}")
    _, height, width, channels = image.shape
    raw = RawShape(height, width, channels, 8 * image.values.dtype.itemsize)
    return [Upload(each.tobytes(), Source("oip", asked.id or ""), raw) for each in image.values]


def _outputs(
    service: Service, asked: InferRequest, found: list[tuple[str, InspectionLike]]
) -> list[tuple[Tensor, bool]]:
    """Only what is asked for is made. Raises Refusal for an unknown output, and where sizes don't fit one tensor."""
    wanted = asked.outputs or dict.fromkeys(_MAKERS, asked.all_binary)
    unknown = set(wanted) - set(_MAKERS)
    if unknown:
        raise Refusal(400, f"there is no output {min(unknown)[:100]!r}; there are {', '.join(_MAKERS)}")
    return [(_MAKERS[name](service, found), binary or asked.all_binary) for name, binary in wanted.items()]


def _stacked(name: str, datatype: str, arrays: list[np.ndarray]) -> Tensor:
    if len({array.shape for array in arrays}) > 1:
        raise Refusal(
            400, f"images of different sizes have no one tensor `{name}`; ask for `answer`, or send one a request"
        )
    values = np.stack(arrays)
    return Tensor(name, datatype, values.shape, values)


def _answers(service: Service, found: list[tuple[str, InspectionLike]]) -> Tensor:
    return Tensor("answer", BYTES, (len(found),), [json.dumps(service.answer(uid)).encode() for uid, _ in found])


_MAKERS: dict[str, Any] = {
    "masks": lambda _, found: _stacked("masks", "UINT8", [each.masks for _, each in found]),
    "probabilities": lambda _, found: _stacked("probabilities", "FP32", [each.probabilities for _, each in found]),
    "areas": lambda _, found: _stacked(
        "areas", "INT64", [each.masks.sum(axis=(1, 2), dtype=np.int64) for _, each in found]
    ),
    "answer": _answers,
}


def _described(name: str, form: tuple[str, list[int]]) -> dict[str, Any]:
    return {"name": name, "datatype": form[0], "shape": form[1]}
