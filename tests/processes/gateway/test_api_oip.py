"""Open Inference Protocol v2 over real HTTP, as its specification has it; then by Triton's own client."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from msgspec.structs import replace

from ncs_cluster.messages import Served
from ncs_cluster.processes.gateway.apis import tensors
from ncs_cluster.processes.gateway.apis.asked import Asked, BadTensors
from ncs_cluster.processes.gateway.apis.tensors import HEADER_LENGTH
from ncs_cluster.processes.intake import Overloaded, TimedOut, Unanswered
from ncs_cluster.testing.gateway import TOKEN
from tests.needs import need_module
from tests.processes.gateway.api_site import DETECTOR, HEIGHT, WIDTH, ApiSite, Response, api_site

PICTURE = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
SHAPE = [1, HEIGHT, WIDTH, 3]
MODEL = "/v2/models/Finder"


@pytest.fixture(scope="module")
def module_site() -> Iterator[ApiSite]:
    with api_site("oip") as opened:
        yield opened


@pytest.fixture
def oip(module_site: ApiSite) -> ApiSite:
    """Without a token; its sticks as new."""
    module_site.intake.__init__()  # type: ignore[misc]
    return module_site


def request(**changes: Any) -> dict[str, Any]:
    """The JSON of a request with the picture as data."""
    given = {"name": "input", "shape": SHAPE, "datatype": "UINT8", "data": PICTURE.reshape(-1).tolist()}
    return {"inputs": [{**given, **changes}]}


def binary(behind: bytes = PICTURE.tobytes(), **more: Any) -> tuple[bytes, str]:
    """A body with a binary tensor, and the length of its JSON."""
    given = {"name": "input", "shape": SHAPE, "datatype": "UINT8", "parameters": {"binary_data_size": len(behind)}}
    text = json.dumps({"inputs": [given], **more}).encode()
    return text + behind, str(len(text))


def infer(site: ApiSite, body: Any, path: str = MODEL, **headers: str) -> Response:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return site.request("POST", f"{path}/infer", sent, **headers)


def expected() -> list[float]:
    """The output "out" of the sticks of these tests."""
    return [PICTURE.min(), PICTURE.max(), np.float32(PICTURE.mean()), 0.5]


def test_a_server_and_its_models_describe_themselves(oip: ApiSite) -> None:
    assert oip.request("GET", "/v2").json["name"] == "ncs_cluster"
    for path in (MODEL, f"{MODEL}/versions/1"):
        assert oip.request("GET", path).json == {
            "name": "Finder",
            "versions": ["1"],
            "platform": "ncs_cluster",
            "inputs": [{"name": "input", "datatype": "UINT8", "shape": SHAPE}],
            "outputs": [
                {"name": "out", "datatype": "FP32", "shape": [1, 4]},
                {"name": "more", "datatype": "FP32", "shape": [2]},
            ],
        }
    config = oip.request("GET", f"{MODEL}/config").json
    assert (config["max_batch_size"], config["input"][0]["dims"], config["output"][1]["data_type"]) == (0, SHAPE, "TYPE_FP32")
    index = oip.request("POST", "/v2/repository/index", b"{}").json
    assert index == [{"name": name, "version": "1", "state": "READY"} for name in ("namer", "Finder")]


def test_the_data_of_json_reaches_the_sticks_flat_or_nested(oip: ApiSite) -> None:
    for data in (PICTURE.reshape(-1).tolist(), PICTURE[None].tolist()):
        answer = infer(oip, {**request(data=data), "id": "seven"})
        assert answer.json == {
            "model_name": "Finder",
            "model_version": "1",
            "id": "seven",
            "outputs": [
                {"name": "out", "datatype": "FP32", "shape": [1, 4], "data": pytest.approx(expected())},
                {"name": "more", "datatype": "FP32", "shape": [2], "data": PICTURE[0, 0, :2].tolist()},
            ],
        }
    for graph, picture, raw in oip.intake.pictures:
        assert (graph, raw) == ("Finder", True)
        np.testing.assert_array_equal(picture, PICTURE)


def test_binary_tensors_go_both_ways(oip: ApiSite) -> None:
    outputs = [{"name": "more", "parameters": {"binary_data": True}}, {"name": "out", "parameters": {"binary_data": False}}]
    body, length = binary(outputs=outputs)
    answer = infer(oip, body, f"{MODEL}/versions/1", **{HEADER_LENGTH: length})
    text = json.loads(answer.body[: int(answer.headers[HEADER_LENGTH.lower()])])
    assert [each["name"] for each in text["outputs"]] == ["more", "out"]
    assert text["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert text["outputs"][1]["data"] == pytest.approx(expected())
    assert struct.unpack("<2f", answer.body[-8:]) == tuple(PICTURE[0, 0, :2])
    np.testing.assert_array_equal(oip.intake.pictures[0][1], PICTURE)
    body, length = binary(parameters={"binary_data_output": True})
    assert infer(oip, body, **{HEADER_LENGTH: length}).body.endswith(struct.pack("<2f", *PICTURE[0, 0, :2]))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not as the protocol has it"),
        (b"[" * 5000, "not as the protocol has it"),
        ({"inputs": []}, "1 input"),
        (request(name="data"), "no input 'data'"),
        (request(datatype="FP32"), "is UINT8, not FP32"),
        (request(shape=[1, 3, HEIGHT, WIDTH]), f"the shape [1, {HEIGHT}, {WIDTH}, 3]"),
        (request(data=[1, 2, 3]), "the request 3"),
        (request(data=[256] * PICTURE.size), "from 0 to 255"),
        (request(data=[2**63] * PICTURE.size), "whole numbers"),
        (request(data=["a"] * PICTURE.size), "whole numbers"),
        (request(data=[[[[1, 2], [3]]]]), "no tensor"),
        (request(parameters={"shared_memory_region": "x"}), "shared memory"),
        ({**request(), "outputs": [{"name": "nothing"}]}, "no output 'nothing': it has out, more"),
        ({**request(), "outputs": [{"name": "out", "parameters": {"classification": 3}}]}, "classification"),
        ({**request(), "outputs": [{"name": "out"}, {"name": "more"}] * 2}, "output 'out' is asked for twice"),
        (json.dumps(request()).encode() + b" " * 200_000, "more than a tensor of 30x40x3 numbers needs"),
        (json.dumps(request()).encode() + b"behind", "not as the protocol has it"),
        (binary()[0], "not as the protocol has it"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong_with_it(oip: ApiSite, body: Any, why: str) -> None:
    answer = infer(oip, body)
    assert answer.status == 400
    assert why in answer.json["error"]
    assert oip.intake.pictures == []


def test_the_largest_timeout_is_no_error(oip: ApiSite) -> None:
    assert infer(oip, {**request(), "parameters": {"timeout": 10**400}}).status == 200


def test_a_reason_is_short_however_long_the_wrong_value_is(oip: ApiSite) -> None:
    answer = infer(oip, request(shape=[10**4000]))
    assert (answer.status, len(answer.json["error"]) <= 300) == (400, True)


@pytest.mark.parametrize("length", ["-1", "x", "9" * 30, "99999999"])
def test_a_wrong_length_of_the_json_is_refused(oip: ApiSite, length: str) -> None:
    assert infer(oip, binary()[0], **{HEADER_LENGTH: length}).status == 400


def test_a_binary_tensor_of_another_size_is_refused(oip: ApiSite) -> None:
    for behind in (PICTURE.tobytes()[:-1], PICTURE.tobytes() + b"x", b""):
        body, length = binary(behind)
        answer = infer(oip, body, **{HEADER_LENGTH: length})
        assert (answer.status, f"has {PICTURE.size} bytes" in answer.json["error"]) == (400, True)


def test_unknown_models_versions_and_endpoints_are_404(oip: ApiSite) -> None:
    for method, path in (
        ("GET", "/v2/models/nobody"),
        ("POST", "/v2/models/nobody/infer"),
        ("GET", f"{MODEL}/versions/2"),
        ("POST", "/v2/repository/models/Finder/load"),
        ("GET", "/v2/systemsharedmemory/status"),
    ):
        answer = oip.request(method, path)
        assert (answer.status, list(answer.json)) == (404, ["error"])


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_another_method_than_post_is_refused_as_such(oip: ApiSite, method: str) -> None:
    answer = oip.request(method, f"{MODEL}/infer")
    assert (answer.status, answer.headers["allow"], list(answer.json)) == (405, "POST", ["error"])


def test_shedding_is_503_with_the_time_to_ask_again(oip: ApiSite) -> None:
    for error, status, retry in (
        (Overloaded("64 pictures wait already", 3), 503, "3"),
        (TimedOut("no answer in 10 s"), 503, "1"),
        (Unanswered("given up"), 500, None),
    ):
        oip.intake.error = error
        answer = infer(oip, request())
        assert (answer.status, answer.headers.get("retry-after"), answer.json) == (status, retry, {"error": str(error)})


def test_a_model_is_ready_while_a_stick_can_work_and_its_size_is_known(oip: ApiSite) -> None:
    paths = ("/v2/health/ready", f"{MODEL}/ready")
    assert [oip.request("GET", path).status for path in paths] == [200, 200]
    oip.intake.served = Served([replace(DETECTOR, width=0, height=0)], 2)
    assert [oip.request("GET", path).status for path in paths] == [400, 400]
    assert oip.request("GET", MODEL).json["inputs"][0]["shape"] == [1, -1, -1, 3]
    assert infer(oip, request()).status == 503
    oip.intake.served = Served([DETECTOR], 0)
    assert [oip.request("GET", path).status for path in paths] == [400, 400]
    assert infer(oip, request()).headers["retry-after"] == "10"
    assert oip.request("GET", "/v2/health/live").status == 200


def test_statistics_count_what_was_answered_and_what_failed(oip: ApiSite) -> None:
    def counted() -> tuple[int, int, int]:
        (of_model,) = oip.request("GET", f"{MODEL}/stats").json["model_stats"]
        parts = of_model["inference_stats"]
        return of_model["inference_count"], parts["fail"]["count"], parts["compute_infer"]["ns"]

    before = counted()
    infer(oip, request())
    infer(oip, request(name="other"))
    assert counted() == (before[0] + 1, before[1] + 1, pytest.approx(before[2] + 50_000_000, abs=2))


def test_a_token_is_asked_for(oip: ApiSite) -> None:
    with api_site("oip", token=TOKEN) as guarded:
        for refused in (
            infer(guarded, request()),
            guarded.request("GET", MODEL),
            infer(guarded, request(), Authorization="Bearer x"),
        ):
            assert refused.status == 401
        assert guarded.intake.pictures == []
        assert infer(guarded, request(), Authorization=f"Bearer {TOKEN}").status == 200


@given(st.binary(max_size=200), st.none() | st.text("0123456789", max_size=4))
def test_garbage_is_a_bad_request_and_nothing_else(body: bytes, length: str | None) -> None:
    with pytest.raises(BadTensors):
        tensors.read(body, length, WIDTH, HEIGHT)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "shape", "datatype", "data", "parameters"), JSON_VALUES)))
def test_any_json_in_the_place_of_an_input_is_judged(changes: dict[str, Any]) -> None:
    body = json.dumps(
        {"inputs": [{"name": "input", "shape": [1, 1, 1, 3], "datatype": "UINT8", "data": [1, 2, 3], **changes}]}
    ).encode()
    try:
        asked = tensors.read(body, None, 1, 1)
    except BadTensors:
        return
    assert (asked.tensor.shape, asked.tensor.dtype) == ((1, 1, 3), np.uint8)


@given(arrays.arrays(np.float32, arrays.array_shapes(max_dims=4, max_side=4)))
def test_a_binary_output_is_the_tensor_bit_by_bit(tensor: np.ndarray) -> None:
    asked = Asked(None, np.zeros((1, 1, 3), np.uint8), None, True, None)
    body, headers = tensors.write("m", asked, {"out": tensor})
    text = json.loads(body[: int(headers[HEADER_LENGTH])])
    assert text["outputs"][0]["shape"] == list(tensor.shape)
    assert body[int(headers[HEADER_LENGTH]) :] == tensor.tobytes()


def test_tritons_client_gets_the_same_by_each_form(oip: ApiSite) -> None:
    triton = need_module("tritonclient.http")
    client = triton.InferenceServerClient(f"127.0.0.1:{oip.port}")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("Finder")
    assert client.get_model_metadata("Finder")["inputs"][0]["shape"] == SHAPE
    assert client.get_model_config("Finder")["max_batch_size"] == 0
    for binary_in in (True, False):
        for binary_out in (True, False):
            sent = triton.InferInput("input", SHAPE, "UINT8")
            sent.set_data_from_numpy(PICTURE[None], binary_data=binary_in)
            wanted = [triton.InferRequestedOutput("out", binary_data=binary_out)]
            answer = client.infer("Finder", [sent], request_id="7", outputs=wanted)
            np.testing.assert_allclose(answer.as_numpy("out"), [expected()], rtol=1e-6)
            assert answer.get_response()["id"] == "7"
            np.testing.assert_array_equal(oip.intake.pictures[-1][1], PICTURE)
    with pytest.raises(triton.InferenceServerException, match="there is no model"):
        client.infer("nobody", [sent])
    assert client.get_inference_statistics("Finder")["model_stats"][0]["inference_count"] >= 4
    client.close()
