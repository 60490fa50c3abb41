"""What `ncsctl graphs` prints of models and blobs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ncs_cluster.cli.text import UNKNOWN, Cell, Terminal, printable
from ncs_cluster.errors import NcsClusterError

if TYPE_CHECKING:
    from ncs_cluster.xlink.blob import Blob

LARGEST_BLOB, LARGEST_HEAD = 512 << 20, 1 << 20


def blob_of(path: Path) -> Blob:
    from ncs_cluster.xlink.blob import Blob, BlobError

    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BLOB + 1)
        if len(data) > LARGEST_BLOB:
            raise BlobError("larger than the memory of a stick")
        return Blob.parse(data)
    except BlobError as error:
        raise NcsClusterError(f"{path}: {error}") from error
    except OSError as error:
        raise NcsClusterError(f"{path}: {error.strerror}") from error


def blob_lines(path: Path, blob: Blob) -> list[list[Cell]]:
    version = ".".join(map(str, blob.version))
    lines = [("blob", f"{path}, {len(blob.data) / 1e6:.1f} MB, version {version}")]
    for word, ports in (("input", blob.inputs), ("output", blob.outputs)):
        lines += [(word, f"{port.name}  {port.dtype} {port.layout} {'x'.join(map(str, port.shape))}") for port in ports]
    several = f"{blob.executors} inferences at once" if blob.executors > 1 else "one inference at a time"
    lines.append(("needs", f"{blob.shaves} shaves, {blob.slices} slices, {blob.stages} stages; {several}"))
    return [[Cell(f"{word:<8}", "dim"), Cell(printable(text))] for word, text in lines]


def few_labels(labels: dict[int, str]) -> str:
    """The first three names, and how many there are."""
    names = list(labels.values())
    return ", ".join(names[:3]) + (f", … {len(names)}" if len(names) > 3 else "") or UNKNOWN


def input_size(model: Path) -> str:
    """Width and height of the input, such as "320x256", read from the model or a blob; UNKNOWN where it has no picture as
    input."""
    try:
        if model.suffix == ".blob":
            shapes: list[tuple[int, ...]] = [port.shape for port in blob_of(model).inputs if len(port.shape) == 4]
        elif model.suffix in (".onnx", ".tflite"):
            from ncs_cluster.config import ports

            shapes = [port.shape for port in ports.read(model).inputs]
        else:
            with model.open("rb") as file:
                shape = re.search(rb'type="Parameter"[^/]*?\bshape="([\d, ]{1,100})"', file.read(LARGEST_HEAD))
            shapes = [tuple(int(side) for side in shape[1].split(b","))] if shape else []
    except (NcsClusterError, OSError, ValueError):
        return UNKNOWN
    if not shapes or len(shapes[0]) != 4:
        return UNKNOWN
    first, second, third = shapes[0][1:]
    height, width = (second, third) if first == 3 else (first, second)
    return f"{width}x{height}"


def numbers(three: tuple[float, float, float]) -> str:
    return " ".join(f"{each:g}" for each in (three if len(set(three)) > 1 else three[:1]))


def print_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def print_lines(lines: list[list[Cell]]) -> None:
    terminal = Terminal()
    for line in lines:
        print(terminal.render(line))
