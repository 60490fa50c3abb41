"""OpenVINO is imported without its converter, and another program of the same process can still have that."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, sys
forks = []
os.register_at_fork(before=lambda: forks.append(1))
from ncs_cluster import openvino_library
openvino = openvino_library.load()
assert openvino_library.load() is openvino
assert "CPU" in openvino.Core().available_devices
print(sorted(name for name in sys.modules if name.startswith(("openvino.tools.ovc", "openvino_telemetry"))), forks)
"""


def output(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_is_loaded_without_its_converter_and_no_process_that_reports_the_import_is_forked() -> None:
    assert output(PROGRAM) == "[] []"


def test_who_wants_the_converter_can_import_it_afterwards() -> None:
    # the library's own report of imports is switched off: a test sends nothing
    quiet = "sys.modules['openvino_telemetry'] = None\nfrom openvino.tools.ovc import convert_model\nprint(callable(convert_model))"
    assert output(PROGRAM + quiet).endswith("True")


def test_where_openvino_is_missing_an_import_error_says_so_and_nothing_stays_hidden() -> None:
    program = """
import sys
sys.modules["openvino"] = None
from ncs_cluster import openvino_library
try:
    openvino_library.load()
except ImportError as error:
    print(error, openvino_library.CONVERTER in sys.modules)
"""
    said = output(program)
    assert "openvino" in said
    assert said.endswith("False")
