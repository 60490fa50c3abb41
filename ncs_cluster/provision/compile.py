"""Compiles a model into a blob with the vendor's compiler, without a stick.

The compiler is part of OpenVINO 2021.4.2's plugin for sticks, for x86-64 and Python 3.6 to 3.9 only, and it needs a stick to start.
It therefore gets an emulated one (`ncs_cluster.emulator`, a second process) through an emulated libusb, and runs in an interpreter
of its own (`_compiler.py`, a third process). The blob runs on sticks of any host, such as a Raspberry Pi.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from ncs_cluster import emulator
from ncs_cluster.errors import NcsClusterError
from ncs_cluster.plugins import reason
from ncs_cluster.provision import places
from ncs_cluster.provision._downgrade import Unequal, downgraded
from ncs_cluster.provision.blobs import COMPILER, Recipe, sidecar
from ncs_cluster.provision.files import write
from ncs_cluster.xlink.blob import Blob, BlobError

NEEDS = f"openvino=={COMPILER}"
SCRIPT = Path(__file__).with_name("_compiler.py")
EMULATOR = emulator.__name__
SHAVES, SLICES = 8, 9
"""Half of a stick's shaves and slices: the compiler reserves room for two inferences."""
COMPILE_S, START_S = 600.0, 30.0
LARGEST = 512 << 20
REMEDY = "take the model's files for OpenVINO 2021.4, or its ONNX"


class CompileError(NcsClusterError):
    """The message is one line: the fault and the remedy."""


def compile(
    recipe: Recipe,
    state: Path,
    *,
    python: Optional[Path] = None,
    output: Optional[Path] = None,
    again: bool = False,
    say: Callable[[str], None] = print,
) -> Path:
    """The blob's path: made now, or (unless `again`) found in the cache. `python` has openvino==2021.4.2. Raises CompileError."""
    try:
        judge(recipe)
        target = output or places.blobs(state) / recipe.name()
        if output is None and target.is_file() and not again:
            return target
        interpreter = _interpreter(python, state)
        # an unwritable place is reported before the compilation, which may take minutes
        if target.is_dir():
            raise CompileError(f"{target}: is a folder; name the blob's file")
        there = next(each for each in target.absolute().parents if each.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            raise CompileError(f"{target}: no permission to write; name a file in a folder of yours with --output")
        say(f"compiling {recipe.model.name}: takes seconds, for large models minutes")
        with tempfile.TemporaryDirectory(prefix="ncs-compile-") as scratch:
            blob = _made(recipe, interpreter, Path(scratch))
            target.parent.mkdir(parents=True, exist_ok=True)
            write(target, blob)
        write(sidecar(target), json.dumps(recipe.description(target), indent=2).encode() + b"\n")
    except OSError as error:
        raise CompileError(f"{error.filename or recipe.model}: {error.strerror or error}") from error
    return target


def judge(recipe: Recipe) -> None:
    """Check everything that needs no compiler. Raises CompileError."""
    model, shaves, slices = recipe.model, recipe.shaves, recipe.slices
    if model.suffix == ".blob":
        raise CompileError(f"{model}: is compiled already; look at it with: ncsctl graphs check {model}")
    if model.suffix not in (".xml", ".onnx"):
        raise CompileError(f"{model}: the compiler reads IR version 10 (.xml with its .bin) and .onnx")
    if not model.is_file():
        raise CompileError(f"{model}: there is no such file")
    if recipe.weights is not None:
        version = version_of(recipe)
        if version is None:
            raise CompileError(f"{model}: is not an IR of OpenVINO")
        if version not in (b"10", b"11"):
            raise CompileError(f"{model}: is IR version {version[:9].decode()}, the compiler reads versions 10 and 11: {REMEDY}")
        if not recipe.weights.is_file():
            raise CompileError(f"{model}: there is no {recipe.weights.name} beside it")
        if version == b"11":
            _as_version_10(recipe)
    if shaves is None and slices is None:
        return
    if shaves is None or slices is None:
        raise CompileError("--shaves and --slices go together: give both, or neither for the compiler's own choice")
    if not 1 <= shaves <= min(slices, SHAVES) or slices > SLICES:
        raise CompileError(
            f"--shaves {shaves} --slices {slices}: shaves are 1 to {SHAVES}, slices at least as many and at most {SLICES}"
        )


def version_of(recipe: Recipe) -> Optional[bytes]:
    """The digits of an IR's version; None for another file. Raises OSError."""
    if recipe.model.suffix != ".xml":
        return None
    with recipe.model.open("rb") as file:
        found = re.search(rb"<net\s[^>]*?\bversion\s*=\s*[\"'](\d+)", file.read(1 << 16))
    return found[1] if found is not None else None


def _as_version_10(recipe: Recipe) -> tuple[bytes, bytes]:
    """An IR of version 11 for the compiler, which reads version 10, and its weights. Raises CompileError."""
    assert recipe.weights is not None
    try:
        weights = recipe.weights.read_bytes()
        xml, added = downgraded(recipe.model.read_bytes(), weights)
        return xml, weights + added
    except Unequal as error:
        raise CompileError(f"{recipe.model}: is IR version 11, the compiler reads version 10: {error}: {REMEDY}") from error
    except (ValueError, SyntaxError, AttributeError, TypeError, IndexError, KeyError, struct.error) as error:
        raise CompileError(f"{recipe.model}: is IR version 11 and damaged: {reason(error)}") from error


def environment_lines(folder: Path) -> list[str]:
    """Commands that install the compiler."""
    home, pip, python = (shlex.quote(os.fspath(path)) for path in (folder, folder / "bin/pip", folder / "bin/python"))
    return [
        f"python3.9 -m venv {home} && {pip} install {NEEDS}",
        f"uv venv --python 3.9 {home} && uv pip install --python {python} {NEEDS}",
    ]


def _interpreter(python: Optional[Path], state: Path) -> str:
    if platform.machine() not in ("x86_64", "AMD64") or sys.platform != "linux":
        machine = platform.machine()
        raise CompileError(
            f"the compiler exists for Linux on x86-64 only, this is {machine}: "
            "compile there (graphs compile --beside) and copy the folder"
        )
    if python is not None:
        found = shutil.which(python)
        if found is None:
            raise CompileError(f"{python}: is not an executable; name a Python 3.6 to 3.9 that has {NEEDS}")
        return os.path.abspath(found)
    default = places.compiler(state) / "bin" / "python"
    if not default.exists():
        first, second = environment_lines(places.compiler(state))
        raise CompileError(
            f"there is no compiler in {places.compiler(state)} yet; get it once with: {first}   (no python3.9? {second})"
        )
    return str(default)


def _made(recipe: Recipe, python: str, scratch: Path) -> bytes:
    blob, request, model = scratch / "made.blob", scratch / "request.json", recipe.model.absolute()
    if version_of(recipe) == b"11":
        model = scratch / "version10.xml"
        for path, content in zip((model, model.with_suffix(".bin")), _as_version_10(recipe), strict=True):
            path.write_bytes(content)
    request.write_text(
        json.dumps(
            {
                "model": str(model),
                "blob": str(blob),
                "folder": str(scratch),
                "mean": recipe.mean,
                "scale": recipe.scale,
                "shaves": recipe.shaves,
                "slices": recipe.slices,
            }
        )
    )
    with emulated_stick(scratch) as environ:
        code, printed = _run([python, str(SCRIPT), str(request)], environ, scratch)
    answer = _answer(scratch / "answer.json")
    said = answer.get("error")
    if (code == 0 and not answer) or str(said).startswith("No module named"):
        raise CompileError(f"{python}: is not a Python 3.6 to 3.9 with {NEEDS}; name one with --python PATH")
    if said is not None:
        raise CompileError(f"{recipe.model}: {_in_a_line(str(said) or printed)}")
    if code or not answer:
        how = f"was killed after {COMPILE_S:.0f} s" if code == -signal.SIGKILL else f"ended with {code}"
        raise CompileError(f"{recipe.model}: {python} {how}: {_in_a_line(printed)}")
    try:
        if blob.stat().st_size > LARGEST:
            raise CompileError(f"{recipe.model}: its blob would be larger than the memory of a stick")
        return Blob.parse(blob.read_bytes()).data
    except (BlobError, FileNotFoundError) as error:
        raise CompileError(f"{recipe.model}: the compiler's blob cannot be used: {error}") from error


def _run(command: list[str], environ: dict[str, str], folder: Path) -> tuple[int, str]:
    """Exit code and the last printed line; a plugin that loses its stick prints without end."""
    printed = b""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environ,
        cwd=folder,
        bufsize=1 << 16,
    ) as process:
        limit = threading.Timer(COMPILE_S, process.kill)
        limit.start()
        try:
            assert isinstance(process.stdout, io.BufferedReader)
            while data := process.stdout.read1():
                printed = (printed + data)[-4096:]
            process.wait()
        finally:
            limit.cancel()
            process.kill()
    return process.returncode, _last_line(printed)


@contextmanager
def emulated_stick(scratch: Path) -> Iterator[dict[str, str]]:
    """The environment with one emulated stick. Raises CompileError."""
    library, socket = scratch / "usb", scratch / "socket"
    library.mkdir()
    built = subprocess.run(
        [sys.executable, "-m", f"{EMULATOR}.build", str(library)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if built.returncode:
        raise CompileError(built.stderr.strip().rpartition("\n")[2] or "the emulated libusb cannot be compiled")
    log = scratch / "emulator"
    command = [sys.executable, "-m", EMULATOR, "--socket", str(socket), "--add", "1-1", "--until-eof"]
    with log.open("wb") as words:
        emulator = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=words, stderr=words)
    try:
        until_s = time.monotonic() + START_S
        while not socket.exists():
            if emulator.poll() is not None or time.monotonic() > until_s:
                raise CompileError(f"the emulated stick did not start: {_in_a_line(_last_line(log.read_bytes()))}")
            time.sleep(0.01)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON") and name != "VIRTUAL_ENV"}
        yield {**kept, "NCS_EMULATOR_SOCKET": str(socket), "LD_LIBRARY_PATH": str(library), "PYTHONDONTWRITEBYTECODE": "1"}
    finally:
        assert emulator.stdin is not None
        emulator.stdin.close()
        try:
            emulator.wait(5)
        except subprocess.TimeoutExpired:
            emulator.kill()
            emulator.wait()


def _answer(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return description if isinstance(description, dict) else {}


def _last_line(printed: bytes) -> str:
    return printed.decode(errors="replace").strip().rpartition("\n")[2]


def _in_a_line(said: str) -> str:
    """For people."""
    line = " ".join("".join(c if c.isprintable() else " " for c in said).split())
    # the position in the vendor's sources is of no use to the operator
    return re.sub(r"^(\[ [A-Z_]+ \] )?\S+\.(cpp|hpp):\d+ ", "", line)[:500] or "it said nothing"
