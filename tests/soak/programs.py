"""`python -m tests.soak.programs [--minutes M] [--seed N]`: a daemon whose sticks are used by everybody at once.

A camera, two detector entries of Frigate, a DeepStack client, a client of the Open Inference Protocol, an MQTT broker and a
Prometheus, on four simulated sticks of 50 ms. At random a client begins anew, the broker is killed and started, or one of the
processes that serve them is killed. Each picture is another one, and each answer is compared with what the graph makes of it.
Printed at the end: what each program got, the rate of live detection beside the camera's, memory and counters. Exit code 1 when
an answer was wrong, a frame was lost or doubled, the live rate was below LIVE, or a program had no answer in the last minute.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ncs_cluster.config import load
from ncs_cluster.testing.daemon import Daemon, running
from tests import small_graph
from tests.mosquitto import Broker

FPS, STICKS, LATENCY_MS = 20.0, 4, 50.0
LIVE = 0.97
EXACT = 0.004
"""A pixel of the DeepStack client's picture is 0.003 of its side, and JSON rounds."""
WARM_UP_S = 10.0
SERVERS = ("gateway", "sink mqtt", "intake frigate")
HANDSHAKE_S, FRAME_S = 30.0, 0.2
"""Time-outs of Frigate's detector."""

Boxes = dict[int, tuple[float, float]]
"""Of each quarter of a picture that is found: left and top."""


def picture(chance: random.Random) -> tuple[np.ndarray[Any, Any], Boxes]:
    """uint8 BGR [8, 8, 3] of four plain quarters, and what the small graph finds on it."""
    image = np.empty((8, 8, 3), np.uint8)
    found: Boxes = {}
    for quarter in range(4):
        rows, columns = (slice(4 * half, 4 * half + 4) for half in divmod(quarter, 2))
        blue, green, red = (chance.randrange(256) for _ in range(3))
        image[rows, columns] = blue, green, red
        # at 0.6 a score may be rounded to either side
        image[rows, columns, 0] = blue = blue if abs(0.5 + blue / 510 - 0.6) > 0.01 else 255
        if 0.5 + blue / 510 >= 0.6:
            found[quarter + 1] = (green / 510, red / 510)
    return image, found


def same(answer: Boxes, found: Boxes) -> bool:
    return set(answer) == set(found) and all(
        abs(answer[quarter][side] - found[quarter][side]) < EXACT for quarter in found for side in (0, 1)
    )


class Program(threading.Thread):
    """Asks one picture after another until it is told to end."""

    def __init__(self, name: str, seed: int, pause_s: float = 0.0) -> None:
        super().__init__(name=name, daemon=True)
        self.ends, self.begin_anew = threading.Event(), threading.Event()
        self.asked = self.answered = self.unanswered = self.wrong = self.begun = 0
        self.well_s = time.monotonic()
        self._chance, self._pause_s = random.Random(seed), pause_s

    def run(self) -> None:
        while not self.ends.is_set():
            self.begin_anew.clear()
            self.begun += 1
            try:
                self.connect()
                while not self.ends.is_set() and not self.begin_anew.is_set():
                    self._one()
                    time.sleep(self._pause_s)
            except (OSError, http.client.HTTPException, TimeoutError):
                self.unanswered += 1
                time.sleep(0.2)
            finally:
                self.leave()

    def _one(self) -> None:
        image, found = picture(self._chance)
        self.asked += 1
        answer = self.ask(image)
        if answer is None:
            self.unanswered += 1
            return
        self.answered += 1
        self.well_s = time.monotonic()
        self.wrong += not same(answer, found)

    def connect(self) -> None: ...

    def ask(self, image: np.ndarray[Any, Any]) -> Boxes | None:
        """None: no answer, as the protocol says it. Raises OSError where the connection is of no use any more."""
        raise OSError

    def leave(self) -> None: ...


class FrigateEntry(Program):
    """One detector entry, as zmq_ipc.py does it."""

    def __init__(self, name: str, seed: int, endpoint: str) -> None:
        super().__init__(name, seed)
        self._endpoint = endpoint
        self._socket: Any = None

    def connect(self) -> None:
        import zmq

        self._socket = zmq.Context.instance().socket(zmq.REQ)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVTIMEO, int(HANDSHAKE_S * 1000))
        self._socket.connect(self._endpoint)
        self._send([json.dumps({"model_request": True, "model_name": "small"}).encode()])
        self._socket.setsockopt(zmq.RCVTIMEO, int(FRAME_S * 1000))

    def ask(self, image: np.ndarray[Any, Any]) -> Boxes | None:
        header = {"shape": [1, 8, 8, 3], "dtype": "uint8", "model_type": "ssd"}
        rgb = np.ascontiguousarray(image[:, :, ::-1])
        rows = np.frombuffer(self._send([json.dumps(header).encode(), rgb.tobytes()]), "<f4").reshape(20, 6)
        found = {int(row[0]): (float(row[3]), float(row[2])) for row in rows if row[1] > 0}
        # zeros: nothing found, or no answer in time; the small graph finds something on nearly every picture
        return found or None

    def _send(self, frames: list[bytes]) -> bytes:
        import zmq

        try:
            self._socket.send_multipart(frames)
            return bytes(self._socket.recv_multipart()[-1])
        except zmq.ZMQError as error:
            raise TimeoutError(str(error)) from error

    def leave(self) -> None:
        if self._socket is not None:
            self._socket.close()


class Http(Program):
    """A client of the page's port."""

    def __init__(self, name: str, seed: int, port: int, pause_s: float = 0.0) -> None:
        super().__init__(name, seed, pause_s)
        self._port = port
        self._connection: http.client.HTTPConnection | None = None

    def connect(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[bytes, http.client.HTTPResponse] | None:
        """None: 503, the sticks cannot take it now."""
        assert self._connection is not None
        self._connection.request("POST", path, body, headers)
        response = self._connection.getresponse()
        data = response.read()
        if response.status == 503:
            time.sleep(0.2)
            return None
        if response.status != 200:
            raise OSError(f"{response.status} {data[:200]!r}")
        return data, response

    def leave(self) -> None:
        if self._connection is not None:
            self._connection.close()


class DeepStack(Http):
    """Sends PNG files, and gets pixels of the picture back."""

    SCALE = 40
    """The picture is so many times as large as the graph's input: a pixel is a part of 320."""

    def ask(self, image: np.ndarray[Any, Any]) -> Boxes | None:
        large = np.kron(image, np.ones((self.SCALE, self.SCALE, 1), np.uint8))
        png = cv2.imencode(".png", large)[1].tobytes()
        edge = "edge-of-a-form"
        body = f'--{edge}\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'.encode() + png
        body += f"\r\n--{edge}--\r\n".encode()
        answer = self.post("/v1/vision/detection", body, {"Content-Type": f"multipart/form-data; boundary={edge}"})
        if answer is None:
            return None
        side = 8 * self.SCALE
        found = json.loads(answer[0])["predictions"]
        return {int(each["label"].split()[1]): (each["x_min"] / side, each["y_min"] / side) for each in found}


class Oip(Http):
    """Sends a tensor and gets the graph's own output back."""

    def ask(self, image: np.ndarray[Any, Any]) -> Boxes | None:
        request = {
            "inputs": [{"name": "input", "shape": [1, 8, 8, 3], "datatype": "UINT8", "parameters": {"binary_data_size": 192}}],
            "parameters": {"binary_data_output": True},
        }
        head = json.dumps(request).encode()
        answer = self.post("/v2/models/small/infer", head + image.tobytes(), {"Inference-Header-Content-Length": str(len(head))})
        if answer is None:
            return None
        data, response = answer
        tensor = data[int(response.headers["Inference-Header-Content-Length"]) :]
        rows = [struct.unpack("<7f", tensor[begin : begin + 28]) for begin in range(0, len(tensor), 28)]
        return {int(row[1]): (row[3], row[4]) for row in rows if row[2] >= 0.6}


class Prometheus(Http):
    """Reads the metrics once a second."""

    def _one(self) -> None:
        assert self._connection is not None
        self.asked += 1
        self._connection.request("GET", "/metrics")
        text = self._connection.getresponse().read().decode()
        self.answered += 1
        self.well_s = time.monotonic()
        self.wrong += "ncs_cluster_frames_lost_total 0" not in text


class Incidents(threading.Thread):
    """Every few seconds one of them."""

    def __init__(self, seed: int, daemon: Daemon, broker: Broker, programs: list[Program]) -> None:
        super().__init__(daemon=True)
        self.ends = threading.Event()
        self.made: dict[str, int] = {}
        self._chance, self._daemon, self._broker, self._programs = random.Random(seed), daemon, broker, programs

    def run(self) -> None:
        while not self.ends.wait(self._chance.uniform(3.0, 9.0)):
            kind = self._chance.choice(["program", "program", "broker", *SERVERS])
            if kind == "program":
                self._chance.choice(self._programs).begin_anew.set()
            elif kind == "broker":
                self._broker.kill()
                self.ends.wait(self._chance.uniform(0.0, 8.0))
                self._broker.start()
            else:
                with contextlib.suppress(StopIteration, ProcessLookupError):
                    pid = next(each["pid"] for each in self._daemon.status()["processes"] if each["name"] == kind and each["pid"])
                    os.kill(pid, signal.SIGKILL)
            self.made[kind] = self.made.get(kind, 0) + 1


def memory_mb(status: dict[str, Any]) -> float:
    return float(sum(each["memory_mb"] or 0.0 for each in status["processes"]))


def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def soak(minutes: float, seed: int, folder: Path) -> int:
    graph, web, endpoint = folder / "small", port(), f"tcp://127.0.0.1:{port()}"
    graph.mkdir()
    small_graph.write(graph)
    labelmap = folder / "labelmap.txt"
    labelmap.write_text("".join(f"{number} quarter {number}\n" for number in (1, 2, 3, 4)))
    broker = Broker(folder)
    broker.start()
    argv = ["--backend", "simulated", "--sticks", str(STICKS), "--set", f"simulated.latency_ms={LATENCY_MS}", "--graph", str(graph)]
    # warm sticks could not do what is asked, and all would get their share of less
    argv += ["--set", "simulated.heat=false"]
    argv += ["--source", "synthetic", "--size", "64x48", "--fps", str(FPS), "--listen", f"127.0.0.1:{web}"]
    argv += ["--api", "deepstack,oip", "--frigate", endpoint, "--set", f"frigate.labelmap={labelmap}"]
    argv += ["--set", "frigate.keep_s=0"]
    argv += ["--mqtt", f"127.0.0.1:{broker.port}", "--runtime-dir", str(folder / "run"), "--state-dir", str(folder / "state")]
    programs: list[Program] = [FrigateEntry(f"frigate {number}", seed + number, endpoint) for number in (1, 2)]
    programs += [
        DeepStack("deepstack", seed + 3, web, 0.1),
        Oip("oip", seed + 4, web),
        Prometheus("prometheus", seed + 5, web, 1.0),
    ]
    try:
        with running(load(argv, {})) as daemon, broker.listening() as subscriber:
            daemon.until(lambda status: status["cameras"][0]["results"] > 20, "finds things")
            for program in programs:
                program.start()
            time.sleep(WARM_UP_S)
            began, began_s = daemon.status(), time.monotonic()
            incidents = Incidents(seed, daemon, broker, programs)
            incidents.start()
            time.sleep(max(0.0, 60 * minutes - WARM_UP_S))
            ended, took_s = daemon.status(), time.monotonic() - began_s
            incidents.ends.set()
            incidents.join(20)
            time.sleep(WARM_UP_S)
            wrong = _told(programs, incidents, began, ended, took_s)
            print(f"mqtt: {len(subscriber.got)} messages to a subscriber that ended with its first broker")
            for program in programs:
                program.ends.set()
    finally:
        broker.kill()
    return int(wrong)


def _told(programs: list[Program], incidents: Incidents, began: dict[str, Any], ended: dict[str, Any], took_s: float) -> bool:
    """Print what was seen. True: something is not as it must be."""
    made = ", ".join(f"{kind} {count}" for kind, count in sorted(incidents.made.items()))
    print(f"load {os.getloadavg()[0]:.1f}; incidents: {made}")
    for each in programs:
        got = f"asked {each.asked}, answered {each.answered} ({each.answered / took_s:.1f}/s), without an answer {each.unanswered}"
        print(f"{each.name}: begun {each.begun} times, {got}, wrong {each.wrong}")
    live = (ended["cameras"][0]["results"] - began["cameras"][0]["results"]) / (took_s * FPS)
    counters = ended["counters"]
    print(f"live detection {live:.1%} of {FPS:g}/s; memory {memory_mb(began):.0f} -> {memory_mb(ended):.0f} MB; {counters}")
    silent = [each.name for each in programs if time.monotonic() - each.well_s > 60]
    if silent:
        print(f"no answer in the last minute: {', '.join(silent)}")
    lost = counters["frames_lost"] or counters["frames_doubled"] or counters["out_of_order"]
    return bool(lost or silent or live < LIVE or any(each.wrong for each in programs))


def main() -> int:
    parser = argparse.ArgumentParser(description="Sticks that a camera and four kinds of programs use at once.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1000))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ncs-soak-programs-") as folder:
        return soak(given.minutes, given.seed, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
