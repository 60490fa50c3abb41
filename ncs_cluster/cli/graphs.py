"""`ncsctl graphs list`, `check`, `compile` and `pull`: the graphs sticks run, and their blobs."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from ncs_cluster.cli.text import UNKNOWN, Cell, Terminal, printable, table
from ncs_cluster.errors import ConfigError, NcsClusterError

if TYPE_CHECKING:
    from ncs_cluster.specs import GraphSpec
    from ncs_cluster.xlink.blob import Blob

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
LARGEST_BLOB, LARGEST_HEAD = 512 << 20, 1 << 20


def add(command: Add) -> None:
    """Add the command to ncsctl's parser."""
    graphs = command("graphs", _list, "graphs: list them, check, compile or pull one")
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

    one("list", _list, "graphs that --graph takes by name")
    check = one("check", _check, "describe a graph and its blob, and check that the backend can run them")
    check.add_argument("what", metavar="NAME|DIR|FILE.blob")
    check.add_argument("--backend", metavar="NAME", help="as the daemon's (default: that of --config, else what auto would choose)")
    compile = one("compile", _compile, "make a blob, which sticks run; on Linux on x86-64, without a stick")
    compile.add_argument("what", metavar="NAME|DIR|FILE.xml|FILE.onnx")
    where = compile.add_mutually_exclusive_group()
    where.add_argument("--beside", action="store_true", help="put the blob beside the model, to be copied with its folder")
    where.add_argument("--output", "-o", type=Path, metavar="FILE", help="where the blob goes (default: where the daemon finds it)")
    compile.add_argument(
        "--shaves",
        type=int,
        metavar="N",
        help="vector cores of the stick for one inference, with --slices (default: the compiler chooses)",
    )
    compile.add_argument(
        "--slices",
        type=int,
        metavar="N",
        help="banks of the stick's fast memory for one inference, with --shaves; at least as many as shaves",
    )
    compile.add_argument("--mean", type=_three, metavar="A,B,C", help="of a FILE: subtracted per channel (default 0,0,0)")
    compile.add_argument("--scale", type=_divisors, metavar="A,B,C", help="of a FILE: divided by per channel (default 1,1,1)")
    compile.add_argument("--again", action="store_true", help="compile again although a blob exists")
    interpreter = compile.add_mutually_exclusive_group()
    interpreter.add_argument("--python", type=Path, metavar="PATH", help="a Python 3.6 to 3.9 that has openvino 2021.4.2")
    interpreter.add_argument("--runtime", metavar="NAME", help="the same, as [runtimes.NAME] of --config")
    pull = one("pull", _pull, "fetch one of Intel's public models")
    pull.add_argument("name", metavar="NAME")
    pull.add_argument("--mirror", metavar="URL", help="a copy of the zoo's folder, instead of Intel's server")


def _list(given: argparse.Namespace) -> int:
    from ncs_cluster.provision import blobs

    settings = _Settings(given)
    rows = []
    for name, (_, where) in settings.folders().items():
        try:
            graph = settings.read(name)
        except NcsClusterError as error:
            rows.append([Cell(printable(name)), Cell(where), Cell(printable(str(error)), "bad")])
            continue
        recipe = blobs.Recipe.of(graph)
        found = blobs.find(graph, settings.state)
        state = "outdated" if blobs.outdated(recipe) else "none"
        if found is not None:
            state = "beside the model" if found.parent == recipe.model.parent else "compiled"
        size = sum(path.stat().st_size for path in (recipe.model, recipe.weights) if path is not None and path.exists())
        rows.append(
            [
                Cell(printable(name)),
                Cell(where),
                Cell(graph.decoder),
                Cell(_input(recipe.model)),
                Cell(_labels(graph.labels)),
                Cell(f"{size / 1e6:.1f} MB"),
                Cell(state, "" if found is not None else "warn"),
            ]
        )
    _print(
        table(["GRAPH", "FROM", "DECODER", "INPUT", "LABELS", "SIZE", "BLOB"], [row + [Cell("")] * (7 - len(row)) for row in rows])
    )
    return 0


def _check(given: argparse.Namespace) -> int:
    settings = _Settings(given)
    path = Path(given.what)
    if path.suffix == ".blob":
        _print(_describe(path, _blob(path)))
        return 0
    from msgspec import structs

    from ncs_cluster.provision import blobs

    graph = settings.read(given.what)
    head = [("graph", f"{graph.name}, decoder {graph.decoder}, {len(graph.labels)} labels, threshold {graph.threshold:g}")]
    head.append(("model", graph.model))
    arithmetic = f"{graph.colour}, {graph.resize}, (x - {_numbers(graph.mean)}) / {_numbers(graph.scale)}"
    _print([[Cell(f"{word:<8}", "dim"), Cell(printable(text))] for word, text in [*head, ("pixels", arithmetic)]])
    found = blobs.find(graph, settings.state)
    if found is None:
        return _check_model(graph, given.what, stick=settings.needs_blob())
    _print(_describe(found, _blob(found)))
    from ncs_cluster.processes import preflight

    # the check that the daemon makes before it starts
    if (problem := preflight.unfit([structs.replace(graph, blob=str(found))])) is not None:
        raise NcsClusterError(problem)
    return 0


def _check_model(graph: GraphSpec, what: str, *, stick: bool) -> int:
    """Check a graph without a blob. `stick`: only a stick will do. Raises NcsClusterError."""
    import importlib.util

    from ncs_cluster.processes import preflight
    from ncs_cluster.provision import blobs, compile

    runs_here = importlib.util.find_spec("openvino") is not None
    if runs_here and (problem := preflight.check([graph], "openvino")) is not None:
        raise NcsClusterError(problem)
    recipe = blobs.Recipe.of(graph)
    why = "the blob beside its model is of another model" if blobs.outdated(recipe) else "it has no blob"
    remedy = f"make one with: ncsctl graphs compile {what}"
    try:
        compile.judge(recipe)
    except compile.CompileError as error:
        remedy = f"none can be made: {error}"
    if stick or not runs_here:
        raise NcsClusterError(f"{what}: {why}, so no stick can run it; {remedy}")
    for word, text in (("runs", "on this CPU"), ("sticks", f"{why}; {remedy}")):
        _print([[Cell(f"{word:<8}", "dim"), Cell(printable(text))]])
    return 0


def _compile(given: argparse.Namespace) -> int:
    from ncs_cluster.provision import blobs, compile

    settings = _Settings(given)
    path = Path(given.what)
    if path.suffix in (".xml", ".onnx", ".blob") or path.is_file():
        recipe = blobs.Recipe(path, given.mean or (0.0,) * 3, given.scale or (1.0,) * 3, given.shaves, given.slices)
    elif given.mean or given.scale:
        raise NcsClusterError("--mean and --scale are for a FILE; a graph has them in its graph.toml")
    else:
        recipe = blobs.Recipe.of(settings.read(given.what), given.shaves, given.slices)
    output = recipe.model.with_suffix(".blob") if given.beside else given.output
    made = compile.compile(recipe, settings.state, python=settings.python(), output=output, again=given.again, say=_print_progress)
    _print(_describe(made, _blob(made)))
    return 0


def _pull(given: argparse.Namespace) -> int:
    from ncs_cluster.cli.progress import progress
    from ncs_cluster.provision import catalogue

    folder = catalogue.pull(given.name, _Settings(given).state, mirror=given.mirror, say=_print_progress, progress=progress())
    print(f"{folder}: run it with --graph {given.name}; for sticks compile it first: ncsctl graphs compile {given.name}")
    return 0


class _Settings:
    """The part of the daemon's settings that these commands need: state directory, graphs, runtimes."""

    def __init__(self, given: argparse.Namespace) -> None:
        from ncs_cluster.provision.places import expanded, for_tools

        self._file: dict[str, Any] = {}
        self._base = Path.cwd()
        self._given = given
        if given.config is not None:
            from ncs_cluster.config.layers import from_file

            self._file, self._base = from_file(given.config), given.config.absolute().parent
        named = given.state_dir or self._file.get("state_dir") or self._file.get("state-dir")
        self.state: Path = self._base / expanded(str(named)) if isinstance(named, (str, Path)) else for_tools()

    def folders(self) -> dict[str, tuple[Path, str]]:
        """Graph folders by name, each with its origin: "shipped", "pulled" or "settings"."""
        from ncs_cluster.config import graph_folder
        from ncs_cluster.provision.places import expanded

        tables = self._file.get("graphs")
        found = {name: (path, "shipped") for name, path in graph_folder.named().items()}
        found |= {name: (path, "pulled") for name, path in graph_folder.named(self.state).items() if name not in found}
        for name, about in (tables if isinstance(tables, dict) else {}).items():
            if isinstance(about, dict) and isinstance(about.get("path"), str):
                found[name] = (self._base / expanded(about["path"]), "settings")
        return found

    def read(self, what: str) -> GraphSpec:
        """The graph of this name or folder. Raises ConfigError."""
        from ncs_cluster.config import graph_folder
        from ncs_cluster.provision.places import expanded

        known = self.folders()
        folder, _ = known.get(what, (expanded(what).absolute(), ""))
        if folder.is_file():
            raise ConfigError(f'"{what}": is a file; a graph is a folder with its model, or a name ({", ".join(known)})')
        if not folder.is_dir():
            from ncs_cluster.provision.catalogue import MODELS

            hint = f"; fetch it with: ncsctl graphs pull {what}" if what in [each.name for each in MODELS] else ""
            raise ConfigError(f'"{what}": there is no such folder, and no graph of this name ({", ".join(known)}){hint}')
        return graph_folder.read(folder, what if what in known else folder.name, None)

    def needs_blob(self) -> bool:
        """Whether a backend that would drive sticks runs blobs. Raises ConfigError for an unknown backend."""
        from ncs_cluster.backends import AUTO, BACKENDS
        from ncs_cluster.backends.sysfs import scan
        from ncs_cluster.usb_ids import MYRIAD_X

        pools = self._file.get("pools")
        tables = [pool for pool in pools.values() if isinstance(pool, dict)] if isinstance(pools, dict) else []
        general = str(self._file.get("backend") or "auto")
        names = (
            [self._given.backend] if self._given.backend else [str(pool.get("backend") or general) for pool in tables] or [general]
        )
        discovery = self._file.get("discovery")
        sysfs = discovery.get("sysfs", "/sys") if isinstance(discovery, dict) else "/sys"
        for name in names:
            if name == "auto":
                name = "xlink" if scan(self._base / str(sysfs), MYRIAD_X).devices else AUTO[-1]
            if name not in BACKENDS:
                raise ConfigError(f"--backend {name}: must be one of {', '.join(['auto', *BACKENDS.names()])}")
            if BACKENDS.get(name).artifact == "blob":
                return True
        return False

    def python(self) -> Optional[Path]:
        """The interpreter of --python or --runtime, None where neither is given. Raises ConfigError."""
        from ncs_cluster.provision.places import expanded

        name = self._given.runtime
        if name is None:
            named: Optional[Path] = self._given.python
            return named
        tables = self._file.get("runtimes")
        about = tables.get(name) if isinstance(tables, dict) else None
        if not isinstance(about, dict) or not isinstance(about.get("python"), str):
            raise ConfigError(
                f"--runtime {name}: there is no [runtimes.{name}] with a python; name the settings with --config FILE"
            )
        return expanded(about["python"])


def _blob(path: Path) -> Blob:
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


def _describe(path: Path, blob: Blob) -> list[list[Cell]]:
    version = ".".join(map(str, blob.version))
    lines = [("blob", f"{path}, {len(blob.data) / 1e6:.1f} MB, version {version}")]
    for word, ports in (("input", blob.inputs), ("output", blob.outputs)):
        lines += [(word, f"{port.name}  {port.dtype} {port.layout} {'x'.join(map(str, port.shape))}") for port in ports]
    several = f"{blob.executors} inferences at once" if blob.executors > 1 else "one inference at a time"
    lines.append(("needs", f"{blob.shaves} shaves, {blob.slices} slices, {blob.stages} stages; {several}"))
    return [[Cell(f"{word:<8}", "dim"), Cell(printable(text))] for word, text in lines]


def _labels(labels: dict[int, str]) -> str:
    """The first three names, and how many there are."""
    names = list(labels.values())
    return ", ".join(names[:3]) + (f", … {len(names)}" if len(names) > 3 else "") or UNKNOWN


def _input(model: Path) -> str:
    """Width and height of the input, such as "320x256", read from an IR or a blob; UNKNOWN where it has no image input."""
    try:
        if model.suffix == ".blob":
            shapes: list[tuple[int, ...]] = [port.shape for port in _blob(model).inputs if len(port.shape) == 4]
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


def _three(text: str) -> tuple[float, float, float]:
    try:
        one, two, three = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers, as in 127.5,127.5,127.5") from None
    if not all(map(math.isfinite, (one, two, three))):
        raise argparse.ArgumentTypeError(f"{text!r}: each must be a finite number")
    return one, two, three


def _divisors(text: str) -> tuple[float, float, float]:
    three = _three(text)
    if 0 in three:
        raise argparse.ArgumentTypeError(f"{text!r}: nothing can be divided by 0; 1 leaves the pixels as they are")
    return three


def _numbers(three: tuple[float, float, float]) -> str:
    return " ".join(f"{each:g}" for each in (three if len(set(three)) > 1 else three[:1]))


def _print_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print(lines: list[list[Cell]]) -> None:
    terminal = Terminal()
    for line in lines:
        print(terminal.render(line))
