"""A worker on 64-bit ARM drives a stick: no OpenVINO, the same bytes, real inference results through the emulated bus."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from ncs_cluster.testing.myriad.boot import artificial_firmware
from ncs_cluster.testing.myriad.emulator import Emulator
from tests.python39 import Runtime
from tests.xlink.blobs import FP32, Entry, make

INFER = """
import json, select, sys, time
import numpy
from ncs_cluster.backends.xlink import Xlink
from ncs_cluster.specs import GraphSpec, StickSpec

blob, firmware = sys.argv[1:]
stick = StickSpec("ncs-1", "1-1.2", "xlink", {"firmware": firmware})
backend, phases = Xlink(), []
device = backend.open(stick, [GraphSpec("g", "g.xml", "ssd", blob=blob)], phases.append)
image = numpy.arange(8 * 8 * 3, dtype=numpy.uint8).reshape(8, 8, 3)
backend.submit(7, 0, image)
until_s, done = time.monotonic() + 60, []
while not done and time.monotonic() < until_s:
    select.select([backend.wake_fd], [], [], 0.1)
    done = backend.collect()
answer = done[0].outputs["out"]
celsius = backend.read_sensor().temperature_c
backend.close()
print(json.dumps({"tag": done[0].tag, "bytes": answer.tobytes().hex(), "shape": answer.shape, "celsius": celsius}))
"""


def test_it_infers_on_an_emulated_stick(aarch64: Runtime, arm_emulator: Emulator, tmp_path: Path) -> None:
    """The emulated graph gives back what it was given: here the first rows of the blue plane."""
    blob, firmware = tmp_path / "g.blob", tmp_path / "usb-ma2x8x.mvcmd"
    blob.write_bytes(make([Entry("data", (1, 3, 8, 8))], [Entry("out", (1, 1, 2, 8), FP32, 0x4321)]))
    firmware.write_bytes(artificial_firmware(200_000))
    arm_emulator.add("1-1.2", latency_s=0.01, boot_s=0.2)
    environment = {**aarch64.env, **arm_emulator.env}
    done = subprocess.run(
        [aarch64.python, "-c", INFER, str(blob), str(firmware)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not done.returncode, done.stderr + arm_emulator.log
    told = json.loads(done.stdout)
    assert told["tag"] == 7
    assert told["bytes"] == bytes(range(0, 192, 3)).hex()
    assert told["shape"] == [1, 1, 2, 8]
    assert 20 < told["celsius"] < 40
