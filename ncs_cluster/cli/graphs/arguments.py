"""The arguments of `ncsctl graphs`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from ncs_cluster.cli.graphs import check, compile, listing, pull

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def add(command: Add) -> None:
    """Add the command to ncsctl's parser."""
    graphs = command("graphs", listing.run, "graphs: list them, check, compile or pull one")
    what = graphs.add_subparsers(metavar="WHAT", required=True)
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="the daemon's state directory: pulled graphs and compiled blobs"
    )
    place.add_argument(
        "--config", type=Path, metavar="FILE", help="the daemon's settings: its graphs, runtimes and state directory"
    )

    def one(name: str, run: Callable[[argparse.Namespace], int], sentence: str) -> argparse.ArgumentParser:
        each = what.add_parser(name, help=sentence, description=sentence[0].upper() + sentence[1:] + ".", parents=[place])
        each.set_defaults(run=run)
        return each

    one("list", listing.run, "graphs that --graph takes by name")
    checks = one("check", check.run, "describe a graph and its blob, and check that the backend can run them")
    checks.add_argument("what", metavar="NAME|DIR|FILE.blob")
    checks.add_argument(
        "--backend", metavar="NAME", help="as the daemon's (default: that of --config, else what auto would choose)"
    )
    compiles = one("compile", compile.run, "make a blob, which sticks run; on Linux on x86-64, without a stick")
    compiles.add_argument("what", metavar="NAME|DIR|FILE.xml|FILE.onnx")
    where = compiles.add_mutually_exclusive_group()
    where.add_argument("--beside", action="store_true", help="put the blob beside the model, to be copied with its folder")
    where.add_argument("--output", "-o", type=Path, metavar="FILE", help="where the blob goes (default: where the daemon finds it)")
    compiles.add_argument(
        "--shaves",
        type=int,
        metavar="N",
        help="vector cores of the stick for one inference, with --slices (default: the compiler chooses)",
    )
    compiles.add_argument(
        "--slices",
        type=int,
        metavar="N",
        help="banks of the stick's fast memory for one inference, with --shaves; at least as many as shaves",
    )
    compiles.add_argument(
        "--mean", type=compile.three_numbers, metavar="A,B,C", help="of a FILE: subtracted per channel (default 0,0,0)"
    )
    compiles.add_argument(
        "--scale", type=compile.divisors, metavar="A,B,C", help="of a FILE: divided by per channel (default 1,1,1)"
    )
    compiles.add_argument("--again", action="store_true", help="compile again although a blob exists")
    interpreter = compiles.add_mutually_exclusive_group()
    interpreter.add_argument("--python", type=Path, metavar="PATH", help="a Python 3.6 to 3.9 that has openvino 2021.4.2")
    interpreter.add_argument("--runtime", metavar="NAME", help="the same, as [runtimes.NAME] of --config")
    pulls = one("pull", pull.run, "fetch a public model of the catalogue; without NAME, print the catalogue")
    pulls.add_argument("name", metavar="NAME", nargs="?")
    pulls.add_argument("--catalogue", type=Path, metavar="FILE", help="a catalogue of yours, in place of the shipped one")
    pulls.add_argument("--mirror", metavar="URL", help="a copy of the model's address in the catalogue, in place of that")
