"""The emulated Myriad X, for tests of any room: one compiled library per session, one bus per test."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ncs_cluster.cli.usb import build as capture
from ncs_cluster.emulator import build
from ncs_cluster.emulator.emulator import Emulator
from tests.made_once import made_once
from tests.needs import need_compiler, need_sanitizer

CACHED_CC = Path(__file__).parents[1] / "cached_cc"


@pytest.fixture(scope="session", autouse=True)
def compiler_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Dozens of tests let the product compile the same two files: CC names a compiler with a cache."""
    command = build.compiler()
    with pytest.MonkeyPatch.context() as patch:
        if command is not None:
            folder = made_once(tmp_path_factory, "compiled", lambda _: None)
            patch.setenv("CC", shlex.join([os.fspath(CACHED_CC), shlex.join(command), os.fspath(folder)]))
        yield


@pytest.fixture(scope="session")
def emulated_libusb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """libusb-1.0.so.0 with the emulator behind it, in a folder of its own."""
    need_compiler()
    return made_once(tmp_path_factory, "libusb", build.compile_library) / build.NAME


@pytest.fixture(scope="session")
def sanitized_libusb(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The same with the address and undefined-behaviour sanitizers, and the environment a program needs to load it."""
    runtime = need_sanitizer()
    flags = ("-Wpedantic", "-Werror", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    folder = made_once(tmp_path_factory, "sanitized-libusb", lambda folder: build.compile_library(folder, *flags))
    return folder / build.NAME, {"LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0"}


@pytest.fixture(scope="session")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorder of `ncsctl usb-capture`, a libusb-1.0.so.0 that passes on to another."""
    need_compiler()
    return made_once(tmp_path_factory, "recorder", capture.compile_into) / capture.NAME


@contextmanager
def _starter(library: Path, folders: pytest.TempPathFactory) -> Iterator[Callable[..., Emulator]]:
    started: list[Emulator] = []

    def start(**options: Any) -> Emulator:
        started.append(Emulator(folders.mktemp("bus"), library, **options))
        return started[-1]

    yield start
    for emulator in started:
        emulator.close()
        assert "Traceback" not in emulator.log, emulator.log[-4000:]


@pytest.fixture
def start_emulator(emulated_libusb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Emulator]]:
    """Starts emulators with the options given; all end with the test."""
    with _starter(emulated_libusb, tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="module")
def start_emulators(emulated_libusb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Emulator]]:
    """The same, for a module's tests together; `Emulator.reset` empties a bus between them."""
    with _starter(emulated_libusb, tmp_path_factory) as start:
        yield start


@pytest.fixture
def emulator(start_emulator: Callable[..., Emulator]) -> Emulator:
    """A bus with no stick in it yet."""
    return start_emulator()
