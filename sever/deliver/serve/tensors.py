"""Tensors of the Open Inference Protocol v2, as JSON or as bytes behind it (binary extension); knows no model.

https://github.com/kserve/open-inference-protocol and Triton's extension_binary_data.md. Nothing of a request is
believed: shapes, sizes and types are checked before anything is made of them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sever.counted import counted
from sever.deliver.serve.refusal import Refusal
from sever.errors import InputError
from sever.reading import parse_json

DTYPES: dict[str, np.dtype[Any]] = {
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "INT64": np.dtype("<i8"),
    "FP32": np.dtype("<f4"),
}
BYTES = "BYTES"
# No database takes a NUL, or half of a surrogate pair, as text.
_ID = re.compile(r"[^\x00\ud800-\udfff]{0,200}")
MOST_TENSORS, MOST_AXES, MOST_LENGTH = 16, 6, 2**31


@dataclass(frozen=True)
class Tensor:
    """`values`: an array, or for BYTES a list of byte strings in the order of the shape."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Any


@dataclass(frozen=True)
class InferRequest:
    inputs: dict[str, Tensor]
    # Names of the outputs that are asked for, and whether each is to be bytes; empty: all.
    outputs: dict[str, bool] = field(default_factory=dict)
    id: str | None = None
    all_binary: bool = False


def read_request(body: bytes, header_length: str | None) -> InferRequest:
    """Raises Refusal (400) for what is no request of the protocol."""
    head, tail = _split(body, header_length)
    about = _object(head)
    inputs = about.get("inputs")
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= MOST_TENSORS:
        raise _bad(f"`inputs` is a list of 1 to {MOST_TENSORS} tensors")
    found: dict[str, Tensor] = {}
    for each in inputs:
        tensor, tail = _read_tensor(each, tail)
        if tensor.name in found:
            raise _bad(f"input {tensor.name!r} appears twice")
        found[tensor.name] = tensor
    if tail:
        raise _bad(f"{counted(len(tail), 'byte')} too many follow the tensors")
    identity = about.get("id")
    if identity is not None and not (isinstance(identity, str) and _ID.fullmatch(identity)):
        raise _bad("`id` is a text of at most 200 characters, without NUL")
    return InferRequest(found, _read_outputs(about), identity, _flag(about, "binary_data_output"))


def write_response(head: Mapping[str, Any], outputs: Sequence[tuple[Tensor, bool]]) -> tuple[bytes, int | None]:
    """The body, and the length of its JSON where bytes follow it."""
    described, parts = [], []
    for tensor, binary in outputs:
        entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if binary:
            parts.append(_to_bytes(tensor))
            entry["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            entry["data"] = _to_list(tensor)
        described.append(entry)
    text = json.dumps({**head, "outputs": described}).encode()
    return b"".join((text, *parts)), len(text) if parts else None


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not header_length.isascii() or not header_length.isdigit() or int(header_length[:20]) > len(body):
        raise _bad("Inference-Header-Content-Length is not the length of the JSON at the body's beginning")
    return body[: int(header_length)], body[int(header_length) :]


def _object(head: bytes) -> dict[str, Any]:
    try:
        about = parse_json(head.decode(), "the request", most_lists=10_000_000)
    except UnicodeDecodeError as error:
        raise _bad(f"the JSON of the request is not UTF-8: {error}") from error
    except InputError as error:
        raise _bad(str(error)) from error
    if not isinstance(about, dict):
        raise _bad("the request is a JSON object")
    return about


def _read_tensor(about: Any, tail: bytes) -> tuple[Tensor, bytes]:
    """One input and what is left of the bytes."""
    if not isinstance(about, dict) or not isinstance(about.get("name"), str):
        raise _bad("an input is an object with `name`, `datatype`, `shape` and `data`")
    name, datatype, shape = about["name"][:100], about.get("datatype"), _shape(about)
    if not isinstance(datatype, str) or datatype not in (BYTES, *DTYPES):
        raise _bad(
            f"input {name!r} has the datatype {str(datatype)[:20]!r}; choose one of {', '.join((*DTYPES, BYTES))}"
        )
    size = about.get("parameters", {}).get("binary_data_size") if isinstance(about.get("parameters", {}), dict) else -1
    if size is None:
        return Tensor(name, datatype, shape, _from_list(name, datatype, shape, about.get("data"))), tail
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(tail):
        raise _bad(f"input {name!r}: binary_data_size is not the number of bytes that follow")
    return Tensor(name, datatype, shape, _from_bytes(name, datatype, shape, tail[:size])), tail[size:]


def _shape(about: Mapping[str, Any]) -> tuple[int, ...]:
    shape = about.get("shape")
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= MOST_AXES
        or not all(type(length) is int and 1 <= length <= MOST_LENGTH for length in shape)
        or math.prod(shape) > MOST_LENGTH
    ):
        raise _bad(f"the shape of input {about['name'][:100]!r} is a list of 1 to {MOST_AXES} lengths, each at least 1")
    return tuple(shape)


def _from_bytes(name: str, datatype: str, shape: tuple[int, ...], data: bytes) -> Any:
    if datatype == BYTES:
        return _split_strings(name, math.prod(shape), data)
    expected = math.prod(shape) * DTYPES[datatype].itemsize
    if len(data) != expected:
        raise _bad(f"input {name!r}: {datatype} {list(shape)} is {expected:,} bytes, but {len(data):,} came")
    return np.frombuffer(data, DTYPES[datatype]).reshape(shape)


def _split_strings(name: str, count: int, data: bytes) -> list[bytes]:
    """Each string follows its length, four bytes little-endian."""
    found: list[bytes] = []
    at = 0
    while at < len(data) and len(found) < count:
        length = int.from_bytes(data[at : at + 4], "little")
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    if len(found) != count or at != len(data):
        raise _bad(f"input {name!r}: its bytes are not {counted(count, 'string')}, each behind its length")
    return found


def _from_list(name: str, datatype: str, shape: tuple[int, ...], data: Any) -> Any:
    if not isinstance(data, list):
        raise _bad(f"input {name!r} has neither `data` nor binary_data_size")
    flat = _flatten(data, math.prod(shape))
    if len(flat) != math.prod(shape):
        raise _bad(f"input {name!r}: {list(shape)} is {math.prod(shape)} values, but `data` holds another number")
    if datatype == BYTES:
        if not all(isinstance(value, str) for value in flat):
            raise _bad(f"input {name!r}: BYTES as JSON are texts")
        return [value.encode() for value in flat]
    if not all(type(value) in (int, float) for value in flat):
        raise _bad(f"input {name!r}: `data` holds something that is not a number")
    return _exact(name, datatype, flat).reshape(shape)


def _exact(name: str, datatype: str, flat: list[Any]) -> np.ndarray:
    dtype = DTYPES[datatype]
    if dtype.kind == "f":
        return np.array(flat, dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if not all(type(value) is int and low <= value <= high for value in flat):
        raise _bad(f"input {name!r}: {datatype} holds whole numbers from {low} to {high}")
    return np.array(flat, dtype)


def _flatten(data: list[Any], most: int) -> list[Any]:
    """Row-major, whether nested or not; stops where there are more values than the shape has."""
    flat: list[Any] = []
    waiting: list[Any] = [iter(data)]
    while waiting and len(flat) <= most:
        value = next(waiting[-1], waiting)
        if value is waiting:
            waiting.pop()
        elif isinstance(value, list):
            waiting.append(iter(value))
        else:
            flat.append(value)
    return flat


def _read_outputs(about: Mapping[str, Any]) -> dict[str, bool]:
    outputs = about.get("outputs", [])
    if not isinstance(outputs, list) or len(outputs) > MOST_TENSORS:
        raise _bad(f"`outputs` is a list of at most {MOST_TENSORS} objects with a `name`")
    if not all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in outputs):
        raise _bad("an output that is asked for is an object with a `name`")
    return {each["name"]: _flag(each, "binary_data") for each in outputs}


def _flag(about: Mapping[str, Any], name: str) -> bool:
    parameters = about.get("parameters", {})
    return isinstance(parameters, dict) and parameters.get(name) is True


def _to_bytes(tensor: Tensor) -> bytes:
    if tensor.datatype == BYTES:
        return b"".join(len(value).to_bytes(4, "little") + value for value in tensor.values)
    return np.ascontiguousarray(tensor.values, DTYPES[tensor.datatype]).tobytes()


def _to_list(tensor: Tensor) -> list[Any]:
    if tensor.datatype == BYTES:
        return [value.decode() for value in tensor.values]
    flat: list[Any] = np.asarray(tensor.values).ravel().tolist()
    return flat


def _bad(message: str) -> Refusal:
    return Refusal(400, message)
