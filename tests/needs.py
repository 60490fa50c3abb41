"""What a test needs and this machine lacks: the test skips and names the package; with NCS_CLUSTER_CI=1 it fails."""

from __future__ import annotations

import ctypes.util
import functools
import importlib
import os
import platform
import shutil
import subprocess
from typing import Any, NoReturn

import pytest

from ncs_cluster.emulator import build


def missing(reason: str) -> NoReturn:
    """Skip, or fail where the tests must run. For a whole module when it is called while the module is imported."""
    __tracebackhide__ = True
    if os.environ.get("NCS_CLUSTER_CI") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)


def need_program(name: str, package: str) -> str:
    """The path of a program, which Debian has in `package`."""
    __tracebackhide__ = True
    found = shutil.which(name)
    if found is None:
        missing(f"{name} is not installed: apt install {package}")
    return found


def need_compiler() -> None:
    """For what is compiled by the tests, or by the product as they use it."""
    __tracebackhide__ = True
    if not _compiles():
        missing("no C compiler with the C library's headers: apt install gcc libc6-dev, or set CC")


def need_sanitizer() -> str:
    """The path of the compiler's address sanitizer, for LD_PRELOAD."""
    __tracebackhide__ = True
    need_compiler()
    found = build.sanitizer()
    if found is None:
        missing("the C compiler has no address sanitizer: apt install libasan8")
    return found


def need_network_namespaces() -> None:
    """For hosts of their own on this machine, see tests/hosts/rig.py."""
    __tracebackhide__ = True
    need_program("ip", "iproute2")
    if reason := _no_network_namespaces():
        missing(f"the kernel does not allow network namespaces of one's own ({reason}): run as root, or outside a container")


def need_libusb() -> None:
    """The machine's own libusb-1.0, which the wheels of pyrealsense2 and of the vendor's plugin load too."""
    __tracebackhide__ = True
    if ctypes.util.find_library("usb-1.0") is None and not _loads("libusb-1.0.so.0"):
        missing("libusb-1.0 is not installed: apt install libusb-1.0-0")


def need_pyrealsense2() -> Any:
    """The module. Skips, also in CI, where pyproject.toml does not ask for it because no wheel exists."""
    __tracebackhide__ = True
    try:
        import pyrealsense2
    except ModuleNotFoundError:
        if platform.machine() == "x86_64":
            missing("pyrealsense2 is not installed: make test")
        pytest.skip("pyrealsense2 has no wheel for this Python and machine", allow_module_level=True)
    except ImportError as error:
        missing(f"pyrealsense2 cannot be loaded ({error}): apt install libusb-1.0-0")
    return pyrealsense2


def need_litert() -> Any:
    """TensorFlow Lite's interpreter: a runtime that shares nothing with OpenVINO."""
    __tracebackhide__ = True
    try:
        from ai_edge_litert import interpreter
    except ModuleNotFoundError:
        missing("ai-edge-litert is not installed: make test")
    return interpreter


def need_onnxruntime() -> Any:
    """ONNX Runtime: a runtime that shares nothing with OpenVINO."""
    __tracebackhide__ = True
    try:
        import onnxruntime
    except ModuleNotFoundError:
        missing("onnxruntime is not installed: make test")
    return onnxruntime


def need_module(name: str) -> Any:
    """A module of another package, which the `test` extra has."""
    __tracebackhide__ = True
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing(f"{name} cannot be imported ({error}): make test")


@functools.cache
def _compiles() -> bool:
    command = build.compiler()
    if not command:
        return False
    try:
        asked = [*command, "-fsyntax-only", "-x", "c", "-"]
        return subprocess.run(asked, input=b"#include <stdio.h>\n", capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@functools.cache
def _no_network_namespaces() -> str:
    """Why not; empty: it does."""
    command = ["unshare", "--user", "--map-root-user", "--net", "--mount", "ip", "link", "add", "bridge", "type", "bridge"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    return tried.stderr.strip() if tried.returncode else ""


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
