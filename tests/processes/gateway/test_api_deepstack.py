"""DeepStack's API over real HTTP: what clients send, and what they can rely on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from ncs_cluster import __version__
from ncs_cluster.messages import Served
from ncs_cluster.processes.intake import Overloaded, TimedOut, Unanswered
from ncs_cluster.testing.gateway import TOKEN
from ncs_cluster.types import Classified, Outcome
from tests.processes.gateway.api_site import CLASSIFIER, DETECTOR, ApiSite, api_site, detection, form, jpeg

DETECTION = "/v1/vision/detection"


@pytest.fixture(scope="module")
def module_site() -> Iterator[ApiSite]:
    with api_site("deepstack") as opened:
        yield opened


@pytest.fixture
def deepstack(module_site: ApiSite) -> ApiSite:
    """Without a token; its sticks as new."""
    module_site.intake.__init__()  # type: ignore[misc]
    return module_site


@pytest.fixture(scope="module")
def guarded() -> Iterator[ApiSite]:
    with api_site("deepstack", token=TOKEN) as opened:
        yield opened


def test_boxes_are_pixels_of_the_picture_that_was_sent(deepstack: ApiSite) -> None:
    deepstack.intake.outcome = Outcome([detection("aeroplane", 0.9), detection("Person", 0.95, (0.0, 0.0, 0.1, 0.5))])
    answer = deepstack.form(DETECTION, image=jpeg(4000, 3000))
    assert answer.status == 200
    assert answer.json["predictions"] == [
        {"label": "person", "confidence": 0.95, "x_min": 0, "y_min": 0, "x_max": 400, "y_max": 1500},
        {"label": "airplane", "confidence": 0.9, "x_min": 1000, "y_min": 1500, "x_max": 3000, "y_max": 3000},
    ]
    expected = {"success": True, "count": 2, "message": "Found person, airplane", "inferenceMs": 50}
    assert {name: answer.json[name] for name in expected} == expected
    assert deepstack.intake.pictures[0][0] == "Finder"


def test_the_sticks_get_the_pixels_of_a_png(deepstack: ApiSite) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    assert deepstack.form(DETECTION, image=cv2.imencode(".png", picture)[1].tobytes()).status == 200
    np.testing.assert_array_equal(deepstack.intake.pictures[0][1], picture)


def test_a_real_photograph_arrives_as_its_decoder_has_it(deepstack: ApiSite, test_data: Path) -> None:
    data = (test_data / "media" / "bus.jpg").read_bytes()
    assert deepstack.form(DETECTION, image=data).status == 200
    wanted = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(deepstack.intake.pictures[0][1], wanted)


def test_there_are_20_predictions_at_most_and_the_best_come_first(deepstack: ApiSite) -> None:
    scores = [0.41 + 0.02 * (7 * each % 25) for each in range(25)]
    deepstack.intake.outcome = Outcome([detection("cat", score) for score in scores])
    found = [each["confidence"] for each in deepstack.form(DETECTION, image=jpeg()).json["predictions"]]
    assert found == sorted(scores, reverse=True)[:20]


@pytest.mark.parametrize(("sent", "kept"), [("", 2), ("0.4", 2), ("0,6", 1), ("0.95", 0), ("0", 3)])
def test_min_confidence_leaves_out_what_is_less_sure(deepstack: ApiSite, sent: str, kept: int) -> None:
    deepstack.intake.outcome = Outcome([detection("cat", score) for score in (0.3, 0.5, 0.9)])
    answer = deepstack.form(DETECTION, image=jpeg(), min_confidence=sent).json
    assert [each["confidence"] for each in answer["predictions"]] == [0.9, 0.5, 0.3][:kept]


@pytest.mark.parametrize("sent", ["high", "nan", "-0.1", "40", "1e999", "0.4; drop"])
def test_a_min_confidence_that_is_no_share_is_refused(deepstack: ApiSite, sent: str) -> None:
    answer = deepstack.form(DETECTION, image=jpeg(), min_confidence=sent)
    assert (answer.status, answer.json["success"]) == (400, False)
    assert "min_confidence" in answer.json["error"]


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (b"", "No valid image file found"),
        (b"no picture at all", "is no picture that OpenCV can decode"),
        (jpeg()[:-2], "is truncated"),
        (b"\xff\xd8\xff\xe0", "is corrupt or truncated"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\1\0\0\x08\2\0\0\0IEND", "which take"),
    ],
    ids=["empty", "text", "cut off", "a header alone", "a bomb"],
)
def test_a_broken_picture_is_a_reason_in_json(deepstack: ApiSite, image: bytes, why: str) -> None:
    answer = deepstack.form(DETECTION, image=image)
    assert (answer.status, answer.json["success"]) == (400, False)
    assert why in answer.json["error"]
    assert deepstack.intake.pictures == []


def test_what_is_no_form_is_a_reason_in_json(deepstack: ApiSite) -> None:
    _, body = form(jpeg())
    for content_type in ("image/jpeg", "multipart/form-data", "multipart/form-data; boundary=other"):
        answer = deepstack.request("POST", DETECTION, body, Content_Type=content_type)
        assert (answer.status, answer.json["success"]) == (400, False)
    assert deepstack.form(DETECTION, min_confidence="0.5").json["error"].startswith("No valid image file found")


def test_a_request_of_more_than_16_mb_is_refused(deepstack: ApiSite) -> None:
    # only declared: what is refused is not read, so a client that sends it all may lose the answer
    with socket.create_connection(("127.0.0.1", deepstack.port)) as connection:
        head = f"POST {DETECTION} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        connection.sendall(f"{head}Content-Length: 20000000\r\n\r\n".encode())
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"success":false' in answer


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/v1/vision/detection", "/v1/vision/custom/Finder"])
def test_another_method_than_post_is_refused_in_json(deepstack: ApiSite, method: str, path: str) -> None:
    answer = deepstack.request(method, path)
    assert (answer.status, answer.headers["allow"], answer.json["success"]) == (405, "POST", False)


def test_a_custom_model_is_a_graph_by_its_name(deepstack: ApiSite) -> None:
    deepstack.intake.outcome = Outcome(classes=[Classified("Tabby", 3, 0.7)])
    answer = deepstack.form("/v1/vision/custom/NAMER", image=jpeg(60, 50)).json
    assert answer["predictions"] == [{"label": "tabby", "confidence": 0.7, "x_min": 0, "y_min": 0, "x_max": 60, "y_max": 50}]
    assert [graph for graph, _, _ in deepstack.intake.pictures] == ["namer"]
    for method in ("GET", "POST"):
        assert deepstack.request(method, "/v1/vision/custom/list").json["models"] == ["namer", "Finder"]
    missing = deepstack.form("/v1/vision/custom/ipcam-general", image=jpeg())
    assert (missing.status, missing.json["success"]) == (404, False)
    assert "namer, Finder" in missing.json["error"]


def test_without_a_graph_that_finds_objects_detection_says_so(deepstack: ApiSite) -> None:
    deepstack.intake.served = Served([CLASSIFIER], 1)
    answer = deepstack.form(DETECTION, image=jpeg())
    assert (answer.status, answer.json["error"]) == (404, "no graph finds objects; the daemon serves: namer")


def test_overload_is_503_with_the_time_to_ask_again(deepstack: ApiSite) -> None:
    for error, retry in ((Overloaded("64 pictures wait already", 4), "4"), (TimedOut("no answer in 10 s"), "1")):
        deepstack.intake.error = error
        answer = deepstack.form(DETECTION, image=jpeg())
        assert (answer.status, answer.headers["retry-after"], answer.json["success"]) == (503, retry, False)
    deepstack.intake.error = Unanswered("the frame has cost three sticks their life")
    answer = deepstack.form(DETECTION, image=jpeg())
    assert (answer.status, answer.json["error"]) == (500, "the frame has cost three sticks their life")


def test_without_a_stick_no_picture_is_decoded(deepstack: ApiSite) -> None:
    deepstack.intake.served = Served([DETECTOR], 0, retry_after_s=30)
    answer = deepstack.form(DETECTION, image=b"no picture at all")
    assert (answer.status, answer.headers["retry-after"]) == (503, "10")


def test_an_error_that_nobody_expects_is_json_too(deepstack: ApiSite, caplog: pytest.LogCaptureFixture) -> None:
    deepstack.intake.error = ZeroDivisionError("secret")
    answer = deepstack.form(DETECTION, image=jpeg())
    assert (answer.status, answer.json["success"]) == (500, False)
    assert b"secret" not in answer.body
    assert "ZeroDivisionError" in caplog.text


def test_a_client_that_leaves_takes_its_picture_along(deepstack: ApiSite) -> None:
    deepstack.intake.hangs = True
    content_type, body = form(jpeg())
    with socket.create_connection(("127.0.0.1", deepstack.port)) as connection:
        head = (
            f"POST {DETECTION} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
        while not deepstack.intake.pictures:
            assert not deepstack.intake.withdrawn.wait(0.01)
    assert deepstack.intake.withdrawn.wait(60)


def test_what_clients_ask_at_their_start_has_an_answer(deepstack: ApiSite) -> None:
    for place in ("/v1/status", "/v1/server/status"):
        update = deepstack.request("GET", f"{place}/updateavailable").json
        assert (update["success"], update["updateAvailable"]) == (True, False)
        assert update["current"] == update["latest"]
        assert {"major", "minor", "patch"} <= set(update["current"])
        for word in ("ping", "version"):
            version = deepstack.request("GET", f"{place}/{word}").json
            assert (version["success"], version["message"], version["version"]) == (True, __version__, update["current"])
    unknown = deepstack.form("/v1/vision/face/recognize", image=jpeg())
    assert (unknown.status, unknown.json["success"]) == (404, False)


def test_pages_of_other_sites_send_no_pictures(deepstack: ApiSite) -> None:
    own = f"http://127.0.0.1:{deepstack.port}"
    # pages of this machine's other ports, in browsers that send no Sec-Fetch-Site
    for origin in ("http://evil.example", "http://localhost:3000", "http://127.0.0.1", own + "0", "null", "ftp" + own[4:]):
        answer = deepstack.form(DETECTION, image=jpeg(), headers={"Origin": origin})
        assert (answer.status, answer.json["success"]) == (403, False), origin
    assert deepstack.form(DETECTION, image=jpeg(), headers={"Host": "evil.example"}).status == 421
    assert deepstack.intake.pictures == []
    assert deepstack.form(DETECTION, image=jpeg(), headers={"Origin": own}).status == 200


def test_the_token_opens_as_the_forms_key_and_as_bearer(guarded: ApiSite) -> None:
    assert guarded.form(DETECTION, image=jpeg(), api_key=TOKEN).status == 200
    assert guarded.form(DETECTION, image=jpeg(), headers={"Authorization": f"Bearer {TOKEN}"}).status == 200
    assert guarded.form("/v1/vision/custom/list", api_key=TOKEN).status == 200
    urlencoded = guarded.request(
        "POST", "/v1/vision/custom/list", f"api_key={TOKEN}".encode(), Content_Type="application/x-www-form-urlencoded"
    )
    assert urlencoded.status == 200
    before = len(guarded.intake.pictures)
    for refused in (
        guarded.form(DETECTION, image=jpeg()),
        guarded.form(DETECTION, image=jpeg(), api_key=""),
        guarded.form(DETECTION, image=jpeg(), api_key="a-token-that-is-wrong"),
        guarded.form(DETECTION, image=b"no picture at all", api_key="a-token-that-is-wrong"),
        guarded.form(DETECTION, image=jpeg(), headers={"Authorization": "Bearer a-token-that-is-wrong"}),
        guarded.form("/v1/vision/custom/list"),
        guarded.request("POST", "/v1/vision/custom/list"),
        guarded.request("GET", "/v1/vision/custom/list"),
    ):
        assert (refused.status, refused.json["success"]) == (401, False)
    assert len(guarded.intake.pictures) == before
