"""`ncsctl graphs compile`: a blob of a graph or of a model file."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ncs_cluster.cli.graphs.settings import GraphSettings
from ncs_cluster.cli.graphs.text import blob_lines, blob_of, print_lines, print_progress
from ncs_cluster.errors import NcsClusterError


def run(given: argparse.Namespace) -> int:
    from ncs_cluster.provision import blobs, compile

    settings = GraphSettings(given)
    path = Path(given.what)
    if path.suffix in (".xml", ".onnx", ".blob") or path.is_file():
        recipe = blobs.Recipe(path, given.mean or (0.0,) * 3, given.scale or (1.0,) * 3, given.shaves, given.slices)
    elif given.mean or given.scale:
        raise NcsClusterError("--mean and --scale are for a FILE; a graph has them in its graph.toml")
    else:
        recipe = blobs.Recipe.of(settings.read(given.what), given.shaves, given.slices)
    output = recipe.model.with_suffix(".blob") if given.beside else given.output
    made = compile.compile(recipe, settings.state, python=settings.python(), output=output, again=given.again, say=print_progress)
    print_lines(blob_lines(made, blob_of(made)))
    return 0


def three_numbers(text: str) -> tuple[float, float, float]:
    try:
        one, two, three = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers, as in 127.5,127.5,127.5") from None
    if not all(map(math.isfinite, (one, two, three))):
        raise argparse.ArgumentTypeError(f"{text!r}: each must be a finite number")
    return one, two, three


def divisors(text: str) -> tuple[float, float, float]:
    three = three_numbers(text)
    if 0 in three:
        raise argparse.ArgumentTypeError(f"{text!r}: nothing can be divided by 0; 1 leaves the pixels as they are")
    return three
