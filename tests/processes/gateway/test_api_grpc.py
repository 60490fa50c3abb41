"""Open Inference Protocol v2 over real gRPC: by Triton's own client, and by messages that it would not send."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

import ncs_cluster
from ncs_cluster.messages import Failed, FromGateway, OpenGateway, OpenIntake, Served
from ncs_cluster.processes.gateway.apis import models
from ncs_cluster.processes.gateway.apis.asked import BadTensors
from ncs_cluster.processes.gateway.apis.bodies import FORM_BYTES
from ncs_cluster.processes.intake import NoStick, Overloaded, TimedOut, Unanswered
from ncs_cluster.specs import GatewaySpec
from ncs_cluster.testing.children import running
from ncs_cluster.testing.gateway import GATEWAY, TOKEN, site
from ncs_cluster.types import IntakeClient
from tests.needs import need_module
from tests.processes.gateway.api_site import CLASSIFIER, DETECTOR, HEIGHT, WIDTH, ApiSite, grpc_site

grpc = need_module("grpc")
triton = need_module("tritonclient.grpc")

from ncs_cluster.processes.gateway.apis import grpc_messages, grpc_port, grpc_tensors  # noqa: E402

PICTURE = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
SHAPE = [1, HEIGHT, WIDTH, 3]
BEARER = (("authorization", f"Bearer {TOKEN}"),)
Status = grpc.StatusCode


@pytest.fixture(scope="module")
def module_site() -> Iterator[ApiSite]:
    with grpc_site() as opened:
        yield opened


@pytest.fixture
def oip(module_site: ApiSite) -> ApiSite:
    """Without a token; its sticks as new."""
    module_site.intake.__init__()  # type: ignore[misc]
    return module_site


@pytest.fixture
def client(oip: ApiSite) -> Iterator[Any]:
    """Triton's."""
    made = triton.InferenceServerClient(f"127.0.0.1:{oip.port}")
    yield made
    made.close()


def sent(picture: np.ndarray = PICTURE) -> Any:
    made = triton.InferInput("input", [1, *picture.shape], "UINT8")
    made.set_data_from_numpy(picture[None])
    return made


def request(**changes: Any) -> Any:
    """A ModelInferRequest with the picture as raw contents; `changes` are fields of its one input."""
    described = {"name": "input", "datatype": "UINT8", "shape": SHAPE, **changes}
    made = grpc_messages.made("ModelInferRequest", {"model_name": "Finder", "inputs": [described]})
    made.raw_input_contents.append(PICTURE.tobytes())
    return made


def typed(values: list[int]) -> Any:
    made = request(contents={"uint_contents": values})
    del made.raw_input_contents[:]
    return made


def connection(port: int) -> Any:
    """One of its own: channels of a process share one otherwise."""
    return grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)])


def call(site: ApiSite | int, data: bytes, name: str = "ModelInfer", **more: Any) -> bytes:
    """The response of a site, or of a port, to these bytes as a message. Raises grpc.RpcError."""
    with connection(site if isinstance(site, int) else site.port) as channel:
        answer: bytes = channel.unary_unary(f"/inference.GRPCInferenceService/{name}")(data, **{"timeout": 20, **more})
        return answer


def refused(ask: Callable[[], Any]) -> Any:
    with pytest.raises(grpc.RpcError) as error:
        ask()
    return error.value


def expected() -> list[float]:
    """The output "out" of the sticks of these tests."""
    return [PICTURE.min(), PICTURE.max(), np.float32(PICTURE.mean()), 0.5]


def fields_of(descriptor: Any) -> dict[int, tuple[Any, ...]]:
    """By number: name, type, label, whether it is a map, and the fields of what it holds."""
    from google.protobuf.descriptor_pb2 import DescriptorProto

    written = DescriptorProto()
    descriptor.CopyToProto(written)
    found = {}
    for field in written.field:
        inner = descriptor.fields_by_number[field.number].message_type
        is_map = inner is not None and inner.GetOptions().map_entry
        found[field.number] = (field.name, field.type, field.label, is_map, None if inner is None else fields_of(inner))
    return found


def test_messages_are_those_of_tritons_client_as_far_as_they_go() -> None:
    service_pb2 = need_module("tritonclient.grpc.service_pb2")

    def within(mine: dict[int, Any], theirs: dict[int, Any]) -> bool:
        return all(
            number in theirs
            and field[:4] == theirs[number][:4]
            and ((field[4] is None and theirs[number][4] is None) or within(field[4], theirs[number][4]))
            for number, field in mine.items()
        )

    names = [line for line in grpc_messages.MESSAGES.split("\n") if line.endswith(("Request", "Response"))]
    assert len(names) == 18
    for name in names:
        mine = grpc_messages.read(name, b"").DESCRIPTOR
        theirs = service_pb2.DESCRIPTOR.message_types_by_name[name]
        assert within(fields_of(mine), fields_of(theirs)), name
    config = need_module("tritonclient.grpc.model_config_pb2")
    known = config.DESCRIPTOR.enum_types_by_name["DataType"].values_by_name
    assert {name: known[name].number for name in grpc_messages.DATA_TYPES} == grpc_messages.DATA_TYPES


def test_tritons_client_gets_the_documents_of_rest(oip: ApiSite, client: Any) -> None:
    assert (client.is_server_live(), client.is_server_ready(), client.is_model_ready("Finder", "1")) == (True, True, True)
    assert client.get_server_metadata(as_json=True) == models.server(ncs_cluster.__version__)
    for graph in (DETECTOR, CLASSIFIER):
        told = client.get_model_metadata(graph.name)
        assert as_document(told.inputs) == models.metadata(graph)["inputs"]
        assert as_document(told.outputs) == models.metadata(graph)["outputs"]
        config, known = client.get_model_config(graph.name).config, models.configuration(graph)
        assert (config.name, config.max_batch_size, config.backend) == (known["name"], 0, known["backend"])
        assert [list(each.dims) for each in (*config.input, *config.output)] == [
            each["dims"] for each in (*known["input"], *known["output"])
        ]
        assert config.parameters["colour"].string_value == "BGR"
    index = client.get_model_repository_index().models
    assert [(each.name, each.version, each.state) for each in index] == [(name, "1", "READY") for name in ("namer", "Finder")]


def as_document(tensors: Any) -> list[dict[str, Any]]:
    return [{"name": each.name, "datatype": each.datatype, "shape": list(each.shape)} for each in tensors]


def test_tritons_client_gets_the_tensors(oip: ApiSite, client: Any) -> None:
    answer = client.infer("Finder", [sent()], request_id="seven")
    np.testing.assert_array_equal(answer.as_numpy("out"), np.array([expected()], np.float32))
    np.testing.assert_array_equal(answer.as_numpy("more"), PICTURE[0, 0, :2])
    response = answer.get_response()
    assert (response.id, response.model_name, response.model_version) == ("seven", "Finder", "1")
    wanted = [triton.InferRequestedOutput("more")]
    alone = client.infer("Finder", [sent()], outputs=wanted, model_version="1")
    assert [each.name for each in alone.get_response().outputs] == ["more"]
    assert [(graph, raw) for graph, _, raw in oip.intake.pictures] == [("Finder", True)] * 2
    for _, picture, _ in oip.intake.pictures:
        np.testing.assert_array_equal(picture, PICTURE)


def test_typed_contents_are_answered_with_typed_contents(oip: ApiSite) -> None:
    answer = grpc_messages.read("ModelInferResponse", call(oip, typed(PICTURE.reshape(-1).tolist()).SerializeToString()))
    assert list(answer.raw_output_contents) == []
    assert [list(each.contents.fp32_contents) for each in answer.outputs] == [expected(), PICTURE[0, 0, :2].tolist()]
    assert [list(each.shape) for each in answer.outputs] == [[1, 4], [2]]
    np.testing.assert_array_equal(oip.intake.pictures[0][1], PICTURE)


def changed(change: Callable[[Any], Any]) -> Any:
    made = request()
    change(made)
    return made


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (grpc_messages.made("ModelInferRequest", {"model_name": "Finder"}), "1 input"),
        (request(name="data"), "no input 'data'"),
        (request(datatype="FP32"), "is UINT8, not FP32"),
        (request(shape=[1, 3, HEIGHT, WIDTH]), f"the shape [1, {HEIGHT}, {WIDTH}, 3]"),
        (request(shape=[]), "not []"),
        (request(parameters={"shared_memory_region": {"string_param": "x"}}), "shared memory"),
        (request(contents={"uint_contents": [1]}), "both contents and raw"),
        (changed(lambda made: made.raw_input_contents.append(b"x")), "and 2 raw_input_contents"),
        (changed(lambda made: made.raw_input_contents.__setitem__(0, b"x")), "raw_input_contents 1"),
        (changed(lambda made: made.raw_input_contents.pop()), "no data"),
        (typed([1, 2, 3]), "the request 3"),
        (typed([256] * PICTURE.size), "from 0 to 255"),
        (changed(lambda made: made.outputs.add(name="nothing")), "no output 'nothing': it has out, more"),
        (changed(lambda made: [made.outputs.add(name="out") for _ in range(2)]), "asked for twice"),
        (changed(lambda made: made.outputs.add(name="out").parameters["classification"]), "classification"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong_with_it(oip: ApiSite, message: Any, why: str) -> None:
    error = refused(lambda: call(oip, message.SerializeToString()))
    assert error.code() == Status.INVALID_ARGUMENT
    assert why in error.details()
    assert oip.intake.pictures == []


def test_what_is_no_message_of_the_protocol_is_refused(oip: ApiSite) -> None:
    for name in ("ModelInfer", "ModelReady"):
        error = refused(lambda name=name: call(oip, b"\xff" * 9, name))
        assert (error.code(), "of the protocol" in error.details()) == (Status.INVALID_ARGUMENT, True)
    error = refused(lambda: call(oip, b"\x0a" * FORM_BYTES * 2, "ModelReady"))
    assert (error.code(), "is longer than" in error.details()) == (Status.INVALID_ARGUMENT, True)


def test_a_message_of_more_bytes_than_its_tensor_needs_is_refused_unread(oip: ApiSite) -> None:
    empty_inputs = b"\x2a\x00" * (FORM_BYTES // 2 + 3 * HEIGHT * WIDTH + 1)
    error = refused(lambda: call(oip, empty_inputs))
    assert (error.code(), "the largest input needs" in error.details()) == (Status.INVALID_ARGUMENT, True)
    error = refused(lambda: call(oip, bytes(grpc_port.MOST_MESSAGE + 1)))
    assert error.code() == Status.RESOURCE_EXHAUSTED
    oip.intake.served = Served([replace(DETECTOR, width=0, height=0)], 0)
    assert refused(lambda: call(oip, empty_inputs)).code() == Status.UNAVAILABLE


def test_unknown_models_versions_and_procedures_are_told_apart(oip: ApiSite, client: Any) -> None:
    for ask in (
        lambda: client.get_model_metadata("nobody"),
        lambda: client.is_model_ready("nobody"),
        lambda: client.get_model_config("Finder", "2"),
        lambda: client.get_inference_statistics("nobody"),
        lambda: client.infer("nobody", [sent()]),
    ):
        with pytest.raises(triton.InferenceServerException) as error:
            ask()
        assert error.value.status() == "StatusCode.NOT_FOUND"
    with pytest.raises(triton.InferenceServerException, match="UNIMPLEMENTED"):
        client.get_trace_settings("Finder")


def test_shedding_is_told_with_the_time_to_ask_again(oip: ApiSite) -> None:
    for error, code, retry in (
        (Overloaded("64 pictures wait already", 3), Status.RESOURCE_EXHAUSTED, "3"),
        (NoStick("no stick can take a picture now", 7), Status.UNAVAILABLE, "7"),
        (Unanswered("given up"), Status.INTERNAL, None),
        (TimedOut("no answer in 2 s"), Status.DEADLINE_EXCEEDED, "1"),
    ):
        oip.intake.error = error
        got = refused(lambda: call(oip, request().SerializeToString()))
        trailers = {each.key: each.value for each in got.trailing_metadata()}
        assert (got.code(), got.details(), trailers.get("retry-after")) == (code, str(error), retry)
        assert trailers.get("grpc-retry-pushback-ms") == (None if retry is None else f"{retry}000")


def test_the_servers_own_limit_is_no_deadline_of_the_client() -> None:
    assert grpc_port.status_of(TimedOut("no answer in 10 s"), 10.1) == Status.UNAVAILABLE
    assert grpc_port.status_of(TimedOut("no answer in 1 s"), 1.1) == Status.DEADLINE_EXCEEDED


def test_a_model_is_ready_while_a_stick_can_work_and_its_size_is_known(oip: ApiSite, client: Any) -> None:
    for served in (Served([replace(DETECTOR, width=0, height=0)], 2), Served([DETECTOR], 0), None):
        oip.intake.served = served
        assert (client.is_server_live(), client.is_server_ready()) == (True, False)
        if served is not None:
            assert client.is_model_ready("Finder") is False
            assert refused(lambda: call(oip, request().SerializeToString())).code() == Status.UNAVAILABLE


def test_a_picture_whose_client_waits_no_longer_is_withdrawn(oip: ApiSite) -> None:
    oip.intake.hangs = True
    with connection(oip.port) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        assert refused(lambda: infer(request().SerializeToString(), timeout=0.5)).code() == Status.DEADLINE_EXCEEDED
        assert oip.intake.withdrawn.wait(60)
        oip.intake.withdrawn.clear()
        waiting = infer.future(request().SerializeToString())
        while len(oip.intake.pictures) < 2:
            threading.Event().wait(0.01)
        waiting.cancel()
        assert oip.intake.withdrawn.wait(60)


def test_a_client_that_sends_no_message_keeps_nobody_from_the_sticks(oip: ApiSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_port, "REQUEST_S", 4.0)
    silent = threading.Event()
    with connection(oip.port) as channel:
        infer = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")

        def nothing() -> Iterator[bytes]:
            silent.wait(60)
            yield from ()

        waiting = [infer.future(nothing()) for _ in range(2 * grpc_port.READ_AT_ONCE)]
        assert call(oip, request().SerializeToString())
        assert not any(each.done() for each in waiting)
        assert {refused(each.result).code() for each in waiting} == {Status.DEADLINE_EXCEEDED}
        silent.set()


def test_statistics_count_what_was_answered_and_what_failed(oip: ApiSite, client: Any) -> None:
    def counted() -> tuple[int, int, int]:
        (of_model,) = client.get_inference_statistics("Finder").model_stats
        parts = of_model.inference_stats
        return of_model.inference_count, parts.fail.count, parts.compute_infer.ns

    before = counted()
    call(oip, request().SerializeToString())
    refused(lambda: call(oip, request(name="other").SerializeToString()))
    assert counted() == (before[0] + 1, before[1] + 1, pytest.approx(before[2] + 50_000_000, abs=2))
    assert len(client.get_inference_statistics().model_stats) == 2


def test_inferences_are_counted_for_their_client_and_other_questions_are_not() -> None:
    data = request().SerializeToString()
    with grpc_site(token=TOKEN) as counting:
        refused(lambda: call(counting, data))
        assert counting.clients.report(time.monotonic()) == [], "who has no token makes no row"
        call(counting, b"", "ServerLive", metadata=BEARER)
        call(counting, data, metadata=BEARER)
        for error in (Overloaded("64 pictures wait already", 3), TimedOut("no answer in 2 s"), BadTensors("too few values")):
            counting.intake.error = error
            refused(lambda: call(counting, data, metadata=BEARER))
        why = "3 without an answer, the last: too few values"
        assert counting.clients.report(time.monotonic()) == [IntakeClient("127.0.0.1 grpc", 4, 1, 1, 0.0, why, shed=1)]
        counting.intake.error, counting.intake.hangs = None, True
        refused(lambda: call(counting, data, metadata=BEARER, timeout=0.5))
        assert counting.intake.withdrawn.wait(60)
        until_s = time.monotonic() + 60
        while counting.clients.report(time.monotonic())[0].late < 2:
            assert time.monotonic() < until_s
            time.sleep(0.01)


def test_a_token_is_asked_for_before_anything_is_read(oip: ApiSite) -> None:
    data = request().SerializeToString()
    with grpc_site(token=TOKEN) as guarded:
        for metadata in ((), (("authorization", "Bearer x"),), (("authorization", TOKEN),)):
            for name in ("ModelInfer", "ServerLive"):
                error = refused(lambda name=name, metadata=metadata: call(guarded, b"\xff", name, metadata=metadata))
                assert (error.code(), "a token is required" in error.details()) == (Status.UNAUTHENTICATED, True)
        assert guarded.intake.pictures == []
        assert call(guarded, data, metadata=BEARER)
        errors = [refused(lambda: call(guarded, data, metadata=(("authorization", "Bearer wrong"),))) for _ in range(40)]
        assert errors[-1].code() == Status.RESOURCE_EXHAUSTED
        assert "too many wrong tokens" in errors[-1].details()
    with grpc_site(token=TOKEN, clients=("127.0.0.0/8",)) as named:
        assert call(named, data)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.168.1.7:50000", "192.168.1.7"),
        ("ipv6:%5B::1%5D:50000", "::1"),
        ("ipv6:[fe80::1%25eth0]:1", "fe80::1%eth0"),
        ("ipv6:%5B::ffff:10.0.0.1%5D:1", "::ffff:10.0.0.1"),
        ("unix:/run/x", ""),
        ("", ""),
    ],
)
def test_the_address_of_a_peer_is_read_as_the_library_writes_it(peer: str, address: str) -> None:
    assert grpc_port.address_of(peer) == address


def test_compressed_messages_are_refused_and_strangers_leave_no_trace(oip: ApiSite, client: Any) -> None:
    with pytest.raises(triton.InferenceServerException, match="UNIMPLEMENTED"):
        client.infer("Finder", [sent()], compression_algorithm="gzip")
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 4096, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64):
        with socket.create_connection(("127.0.0.1", oip.port), timeout=60) as sock:
            sock.sendall(garbage)
    assert client.infer("Finder", [sent()]).as_numpy("out").shape == (1, 4)


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(data: bytes) -> None:
    from google.protobuf.message import DecodeError

    try:
        message = grpc_messages.read("ModelInferRequest", data)
    except DecodeError:
        return
    with pytest.raises(BadTensors):
        grpc_tensors.read(message, WIDTH, HEIGHT)


def test_the_gateway_serves_it_and_names_its_flag_where_the_port_is_taken(tmp_path: Path) -> None:
    with site(tmp_path, token=TOKEN, grpc_address=("127.0.0.1", 0)) as opened:
        assert opened.grpc_port is not None
        live = call(opened.grpc_port, b"", "ServerLive", metadata=BEARER)
        assert grpc_messages.read("ServerLiveResponse", live).live
        assert opened.get("/v2", Authorization=f"Bearer {TOKEN}").status == 404
        assert any(isinstance(message, OpenIntake) for message in opened.child.received)
        with running(GATEWAY, FromGateway) as child:
            child.send(OpenGateway(GatewaySpec("127.0.0.1", 0, grpc_address=("127.0.0.1", opened.grpc_port)), str(tmp_path), True))
            failed = child.expect(Failed)
            assert failed.permanent
            assert "choose another with --api-grpc" in failed.detail


def test_a_page_without_it_does_not_load_its_library(tmp_path: Path) -> None:
    with site(tmp_path, alone=True, apis=["oip"]) as opened:
        assert opened.get("/v2").status == 200
        assert "cygrpc" not in Path(f"/proc/{opened.child.process.pid}/maps").read_text()
