"""The Open Inference Protocol, spoken by Triton's own client; and requests that are no such thing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import given
from hypothesis import strategies as st
from serve_maker import Running, png, running, spots
from tritonclient.utils import InferenceServerException

from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.tensors import BYTES, DTYPES, Tensor, read_request, write_response


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("store"), {"limits": {"max_pixels": 100_000}}) as found:
        yield found


@pytest.fixture
def client(served: Running) -> Iterator[triton.InferenceServerClient]:
    found = triton.InferenceServerClient(served.url.removeprefix("http://"))
    yield found
    found.close()


def headers(served: Running) -> dict[str, str]:
    return {"Authorization": f"Bearer {served.keys['reviewer']}"}


def test_triton_finds_server_and_model(served: Running, client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.is_model_ready("grey", headers=headers(served))
    about = client.get_model_metadata("grey", headers=headers(served))
    assert {each["name"] for each in about["outputs"]} == {"masks", "probabilities", "areas", "answer"}


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("datatype", ["UINT8", "UINT16"])
def test_triton_gets_masks_and_probabilities(
    served: Running, client: triton.InferenceServerClient, binary_in: bool, binary_out: bool, datatype: str
) -> None:
    images = np.stack([spots(), spots(seed=7)])[..., None]
    sent = images if datatype == "UINT8" else images.astype(np.uint16) << 8
    image = triton.InferInput("image", sent.shape, datatype)
    image.set_data_from_numpy(sent, binary_data=binary_in)
    names = ("masks", "probabilities", "areas", "answer")
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in names]
    found = client.infer("grey", [image], outputs=outputs, request_id="7", headers=headers(served))
    assert found.get_response()["id"] == "7"
    assert found.as_numpy("areas").tolist() == [[24, 6], [24, 6]]
    assert np.allclose(found.as_numpy("probabilities")[:, 0], images[..., 0] / 255, atol=1 / 255)
    mask = found.as_numpy("masks")[1, 0]
    assert mask[2:6, 3:9].all()
    assert mask.sum() == 24
    answer = json.loads(found.as_numpy("answer")[0])
    with served.client() as plain:
        kept = plain.get(f"/v1/answers/{answer['id']}").json()
        assert plain.get(f"/v1/answers/{answer['id']}/image").content == sent[0].tobytes()
    assert kept == answer


def test_triton_sends_files_of_different_sizes(served: Running, client: triton.InferenceServerClient) -> None:
    files = triton.InferInput("file", [2], BYTES)
    files.set_data_from_numpy(np.array([png(spots()), png(spots(40, 50))], dtype=np.object_))
    areas = triton.InferRequestedOutput("areas")
    found = client.infer("grey", [files], outputs=[areas], headers=headers(served))
    assert found.as_numpy("areas").tolist() == [[24, 6], [24, 6]]
    with pytest.raises(InferenceServerException, match="different sizes"):
        client.infer("grey", [files], headers=headers(served))


def test_triton_is_told_what_is_wrong(served: Running, client: triton.InferenceServerClient) -> None:
    image = triton.InferInput("image", [1, 4, 4, 2], "UINT8")
    image.set_data_from_numpy(np.zeros((1, 4, 4, 2), np.uint8))
    with pytest.raises(InferenceServerException, match="1 or 3"):
        client.infer("grey", [image], headers=headers(served))
    with pytest.raises(InferenceServerException, match="there is no model 'other'"):
        client.infer("other", [image], headers=headers(served))
    with pytest.raises(InferenceServerException, match="key"):
        client.infer("grey", [image])
    big = triton.InferInput("image", [1, 400, 400, 1], "UINT8")
    big.set_data_from_numpy(np.zeros((1, 400, 400, 1), np.uint8))
    with pytest.raises(InferenceServerException, match="100,000"):
        client.infer("grey", [big], headers=headers(served))


def body(**changes: object) -> bytes:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 1], "data": [0, 1, 2, 3]} | changes
    return json.dumps({"inputs": [tensor]}).encode()


MALFORMED: list[tuple[bytes, str | None, str]] = [
    (b"", None, "cannot read"),
    (b"[]", None, "object"),
    (b"\xff", None, "UTF-8"),
    (b'{"inputs": []}', None, "1 to 16"),
    (b'{"inputs": [1]}', None, "an object"),
    (b"[" * 100_000, None, "nested"),
    (body(datatype="FP64"), None, "choose one of"),
    (body(datatype=["UINT8"]), None, "choose one of"),
    (body(shape=[]), None, "lengths"),
    (body(shape=[1, 2, 2, -1]), None, "lengths"),
    (body(shape=[1, 2, 2, True]), None, "lengths"),
    (body(shape=[2**30, 2**30]), None, "lengths"),
    (body(shape="1"), None, "lengths"),
    (body(data=[0, 1, 2]), None, "another number"),
    (body(data=[0] * 5), None, "another number"),
    (body(data=[0, 1, 2, 256]), None, "0 to 255"),
    (body(data=[0, 1, 2, 1.5]), None, "whole numbers"),
    (body(data=[0, 1, 2, "3"]), None, "not a number"),
    (body(data=None), None, "neither"),
    (body(parameters={"binary_data_size": 4}), None, "number of bytes"),
    (body(parameters={"binary_data_size": -1}), None, "number of bytes"),
    (body(parameters={"binary_data_size": True}), None, "number of bytes"),
    (body(parameters=[]), None, "number of bytes"),
    (body(), "99999", "Inference-Header"),
    (body(), "-1", "Inference-Header"),
    (body(), "9" * 5000, "Inference-Header"),
    (body(), "²", "Inference-Header"),
    (body() + b"xx", str(len(body())), "2 bytes too many"),
    (body()[:-1] + b', "id": "a\\u0000b"}', None, "`id`"),
    (body()[:-1] + b', "id": "\\ud800"}', None, "`id`"),
]


@pytest.mark.parametrize(("sent", "length", "words"), MALFORMED)
def test_malformed_tensors_are_refused_in_words(sent: bytes, length: str | None, words: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_request(sent, length)
    assert refused.value.status == 400
    assert words in refused.value.message


@given(sent=st.binary(max_size=300), length=st.none() | st.text(max_size=5))
def test_any_bytes_are_a_request_or_refused(sent: bytes, length: str | None) -> None:
    with pytest.raises(Refusal):
        read_request(sent, length)


@given(
    datatype=st.sampled_from(sorted(DTYPES)),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    binary=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_tensor_goes_there_and_back(datatype: str, shape: list[int], binary: bool, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 200, shape).astype(DTYPES[datatype])
    made, length = write_response({}, [(Tensor("a", datatype, tuple(shape), values), binary)])
    renamed = made.replace(b'"outputs"', b'"inputs"', 1)
    found = read_request(renamed, None if length is None else str(length - 1)).inputs["a"]
    assert (found.values == values).all()
    assert found.shape == tuple(shape)


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=5))
def test_strings_go_there_and_back(strings: list[bytes]) -> None:
    made, length = write_response({}, [(Tensor("a", BYTES, (len(strings),), strings), True)])
    assert length is not None
    found = read_request(made.replace(b'"outputs"', b'"inputs"', 1), str(length - 1))
    assert found.inputs["a"].values == strings
