"""`ncsctl run` against a bare AsyncInferQueue loop with the same decoding; its speed-up over sticks; a million items."""

from __future__ import annotations

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import msgspec
import numpy as np
import psutil

from ncs_cluster.jobs.ledger import Ledger
from tests.benchmarks.house import pss_mib
from tests.benchmarks.inference import detector
from tests.benchmarks.table import Line

RAW = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import collections, cv2, numpy, openvino, os
from ncs_cluster.backends._model import fold, read
from ncs_cluster.backends._preprocess import resize_into
from ncs_cluster.sources._picture import decode
from ncs_cluster.specs import GraphSpec
import msgspec

graph = msgspec.json.decode(sys.argv[1], type=GraphSpec)
source, kind, precision = sys.argv[2:5]
cv2.setNumThreads(1)
core = openvino.Core()
hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
compiled = core.compile_model(fold(read(core, graph), graph), "CPU", hints)
queue = openvino.AsyncInferQueue(compiled)
inputs = []
for request in queue:
    inputs.append(numpy.zeros(tuple(compiled.input().shape), numpy.uint8))
    request.set_input_tensor(openvino.Tensor(inputs[-1], shared_memory=True))
done = 0
def count(request, _):
    global done
    done += 1
queue.set_callback(count)
def pictures():
    files = sorted(os.path.join(source, name) for name in os.listdir(source))
    pool, ahead, at = ThreadPoolExecutor(os.cpu_count()), collections.deque(), 0
    while True:
        while len(ahead) < 2 * os.cpu_count():
            ahead.append(pool.submit(decode, files[at % len(files)], (1280, 720)))
            at += 1
        yield ahead.popleft().result().pixels
def frames():
    while True:
        film = cv2.VideoCapture(source)
        while True:
            good, frame = film.read()
            if not good:
                break
            yield frame
each = pictures() if kind == "pictures" else frames()
def run(seconds):
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        resize_into(next(each), graph, inputs[queue.get_idle_request_id()][0])
        queue.start_async()
run(1.0)
print("ready", flush=True)
for line in sys.stdin:
    before, began_s = done, time.monotonic()
    run(float(line))
    rate = (done - before) / (time.monotonic() - began_s)
    queue.wait_all()
    print(rate, flush=True)
"""
"""Says "ready", then answers each "SECONDS" with inferences per second."""
PRECISION = "f32"
"""Of both: left to itself, OpenVINO computes in bf16 on processors that can, at twice the rate."""
SETTLE_S, TURN_S = 0.5, 3.0


class Job:
    """A running `ncsctl run`."""

    def __init__(self, out: Path, *arguments: str) -> None:
        self.out = out
        command = [sys.executable, "-m", "ncs_cluster.cli.ncsctl", "run", *arguments, "--out", str(out), "--quiet"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self._offset = self._lines = 0

    def records(self) -> int:
        """Written so far; of a job that is done all."""
        part = self.out / ".parts/results.jsonl/000000.lines"
        path = part if part.exists() else self.out / "results.jsonl"
        if path.exists():
            with path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
            self._offset += len(text)
            self._lines += text.count(b"\n")
        return self._lines

    def reach(self, records: int) -> float:
        """Wait for so many records; when it had them (time.monotonic)."""
        while self.records() < records and self.process.poll() is None:
            time.sleep(0.02)
        return time.monotonic()

    def tree(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def signal(self, number: int) -> None:
        for process in self.tree():
            process.send_signal(number)


@contextmanager
def job(out: Path, *arguments: str) -> Iterator[Job]:
    running = Job(out, *arguments)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def jobs(quick: bool) -> Iterator[Line]:
    with tempfile.TemporaryDirectory(prefix="ncs-bench-") as name:
        folder = Path(name)
        yield from _against_the_bare_loop(folder, turns=4 if quick else 10)
        yield from _speed_up(folder, frames=240 if quick else 960)
        yield _many(folder, items=100_000 if quick else 1_000_000)


def _against_the_bare_loop(folder: Path, turns: int) -> Iterator[Line]:
    graph = detector()
    for kind, source, rounds in (("pictures", _pictures(folder / "pictures", 200), 50), ("film", _film(folder / "a.avi", 600), 20)):
        items = folder / f"{kind}.txt"
        files = sorted(map(str, source.iterdir())) if source.is_dir() else [str(source)]
        items.write_text("".join(f"{path}\n" for path in files * rounds))
        raw_command = [sys.executable, "-c", RAW, msgspec.json.encode(graph).decode(), str(source), kind, PRECISION]
        ratios, rates = [], []
        settings = ("--set", f"openvino.precision={PRECISION}")
        arguments = (str(items), "--graph", str(Path(graph.model).parent), "--backend", "openvino", *settings)
        with job(folder / f"{kind}-out", *arguments) as ours, _raw(raw_command) as bare_turn:
            ours.reach(20)
            for _ in range(turns):
                ours.signal(signal.SIGSTOP)
                bare = bare_turn()
                ours.signal(signal.SIGCONT)
                time.sleep(SETTLE_S)
                first, began_s = ours.records(), time.monotonic()
                time.sleep(TURN_S)
                rate = (ours.records() - first) / (time.monotonic() - began_s)
                ratios.append(rate / bare)
                rates.append((rate, bare))
        share = statistics.median(ratios)
        mine, theirs = (statistics.median(each) for each in zip(*rates, strict=True))
        measured = f"{share:.2f}: {mine:.1f} of {theirs:.1f}/s, {min(ratios):.2f} to {max(ratios):.2f} in {turns} pairs of turns"
        what = f"job over {kind}, OpenVINO CPU, {graph.name}, {PRECISION} / bare AsyncInferQueue with the same decoding"
        yield Line(what, "-", ">= 0.95", measured, share >= 0.95)


@contextmanager
def _raw(command: list[str]) -> Iterator[Callable[[], float]]:
    """A turn of the bare loop: inferences per second."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as raw:
        stdin, stdout = raw.stdin, raw.stdout
        assert stdin is not None
        assert stdout is not None
        stdout.readline()

        def turn() -> float:
            stdin.write("1.5\n")
            stdin.flush()
            return float(stdout.readline())

        yield turn
        raw.kill()


def _speed_up(folder: Path, frames: int) -> Iterator[Line]:
    """`frames` of each stick, so that all take as long: results are counted 50 times a second, and are written several at once."""
    film, rates = _film(folder / "small.avi", 8 * frames, 320, 240), {}
    for sticks in (1, 2, 4, 8):
        settings = ("--set", "simulated.latency_ms=60", "--set", "simulated.infer=false", "--set", "simulated.heat=false")
        arguments = (str(film), "--graph", "demo", "--backend", "simulated", "--sticks", str(sticks), *settings)
        with job(folder / f"film-{sticks}", *arguments) as ours:
            # behind the boots of the sticks; the last ones come when sticks run dry
            first, last = sticks * frames // 8, sticks * frames * 7 // 8
            began_s = ours.reach(first)
            rates[sticks] = (last - first) / (ours.reach(last) - began_s)
    shares = {sticks: rate / (sticks / 0.06) for sticks, rate in rates.items()}
    measured = ", ".join(f"{sticks}: {rates[sticks]:.1f}/s = {share:.3f} N/L" for sticks, share in shares.items())
    what = "job over a film, 1, 2, 4, 8 simulated sticks of 60 ms"
    yield Line(what, "-", ">= 0.98 N/L", measured, min(shares.values()) >= 0.98)


def _many(folder: Path, items: int) -> Line:
    """A list of repeated small pictures on eight sticks of 1 ms; killed at a third."""
    source = _pictures(folder / "small", 500, 160, 120)
    files = sorted(map(str, source.iterdir()))
    listed = folder / "many.txt"
    listed.write_text("".join(f"{path}\n" for path in files) * (items // len(files)))
    settings = ("--set", "simulated.latency_ms=1", "--set", "simulated.infer=false", "--size", "160x120")
    arguments = (str(listed), "--graph", "demo", "--backend", "simulated", "--sticks", "8", *settings)
    out, tenth, peak = folder / "many", items // 10, 0.0
    with job(out, *arguments) as ours:
        began_s = ours.reach(tenth // 10)
        first_s = ours.reach(tenth + tenth // 10) - began_s
        while ours.records() < items // 3:
            peak = max(peak, pss_mib(ours.tree()))
            time.sleep(1.0)
        for process in ours.tree():
            process.kill()
    before = Ledger(str(out / "ledger.sqlite")).written
    began_s = time.monotonic()
    with job(out, *arguments) as ours:
        had = ours.records()
        resumed_s = ours.reach(had + 1) - began_s
        while ours.records() < items - tenth:
            peak = max(peak, pss_mib(ours.tree()))
            time.sleep(1.0)
        last = items - 1 - ours.records()
        last_s = time.monotonic()
        last_s = ours.reach(items - 1) - last_s
        ours.process.wait(60)
    in_order = all(msgspec.json.decode(line)["frame"] == number for number, line in enumerate((out / "results.jsonl").open("rb")))
    rates = tenth / first_s, last / last_s
    measured = (
        f"{rates[0]:.0f}/s in the first tenth, {rates[1]:.0f}/s in the last; PSS of the tree at most {peak:.0f} MiB; killed after "
        f"{before:,}, goes on after {resumed_s:.1f} s; {'each once, in order' if in_order else 'NOT in order'}"
    )
    good = min(rates) >= 2000 and peak < 300 and resumed_s < 5 and in_order
    return Line(
        f"job over {items:,} small pictures, 8 simulated sticks of 1 ms", "-", ">= 2,000/s, < 300 MiB, < 5 s", measured, good
    )


def _pictures(folder: Path, count: int, width: int = 1280, height: int = 720) -> Path:
    """JPEGs with detail, as photographs have."""
    folder.mkdir()
    chance = np.random.default_rng(1)
    for number in range(count):
        coarse = chance.integers(0, 255, (height // 16, width // 16, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number:05}.jpg"), picture)
    return folder


def _film(path: Path, frames: int, width: int = 1280, height: int = 720) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (width, height))
    chance = np.random.default_rng(1)
    still = cv2.resize(chance.integers(0, 255, (height // 16, width // 16, 3), dtype=np.uint8), (width, height))
    for number in range(frames):
        writer.write(np.roll(still, 3 * number, axis=1))
    writer.release()
    return path
