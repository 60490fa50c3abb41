"""A graph folder describes itself: graph.toml beside the model and its labels. Read here without any vendor library.

The folder may come from a stranger: what it names must lie inside it, and files are capped before they are parsed.
"""

from __future__ import annotations

import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

import ncs_cluster
from ncs_cluster.config.error_text import error_text
from ncs_cluster.config.model import Table, Threshold, key, options_table
from ncs_cluster.decoders import DECODERS
from ncs_cluster.errors import PERMANENT_ERRNOS, ConfigError
from ncs_cluster.plugins import made
from ncs_cluster.provision import places
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import GraphName

LARGEST_TEXT, LARGEST_XML = 1 << 20, 64 << 20


class Input(Table):
    """`[input]`: what the graph was trained on."""

    colour: Literal["BGR", "RGB"] = key("BGR", "Channel order.")
    resize: Literal["stretch", "letterbox"] = key("stretch", "How a frame is fitted into the input.")
    mean: list[float] = key([0.0, 0.0, 0.0], "Subtracted per channel, pixels being 0..255.", min_length=3, max_length=3)
    scale: list[float] = key([1.0, 1.0, 1.0], "Divided by per channel, after the mean.", min_length=3, max_length=3)


class Decoder(Table):
    """`[decoder]`: its name, and options that its plugin validates."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: str = key(..., "What the graph's outputs mean.")


DecoderName = Annotated[Decoder, BeforeValidator(lambda given: {"name": given} if isinstance(given, str) else given)]


class GraphToml(Table):
    """graph.toml."""

    model: str = key(..., "The model file.")
    decoder: DecoderName = key(
        ..., "What its outputs mean: a name, or the table [decoder] with name and options.", shown="text or table"
    )
    labels: Optional[str] = key(None, "The file of labels: line n is id n, from 1.")
    threshold: Threshold = key(0.6, "Detections below this score are left out.")
    input: Input = Field(default_factory=Input, description="What the graph was trained on.")


def graphs_dir() -> Path:
    """The shipped graphs: inside the installed package, or at the root of a checkout."""
    package = Path(ncs_cluster.__file__).parent
    inside = package / "graphs"
    return inside if inside.is_dir() else package.parent / "graphs"


def shipped() -> list[str]:
    """Names of the shipped graphs."""
    return list(named())


def named(state: Optional[Path] = None) -> dict[str, Path]:
    """Folders of the shipped graphs by name; with a state directory, of the pulled ones. Raises OSError where this user may not
    read."""
    home = graphs_dir() if state is None else places.graphs(state)
    try:
        # without permission a glob of Python 3.13 is empty and raises nothing
        home.stat()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {path.parent.name: path.parent for path in sorted(home.glob("[!.]*/graph.toml"))}


def read(folder: Path, name: str, threshold: Optional[float]) -> GraphSpec:
    """Raises ConfigError naming the file, the key and the remedy."""
    try:
        return _read(folder, name, threshold)
    except OSError as error:
        if error.errno not in PERMANENT_ERRNOS:
            raise
        raise ConfigError(f"graph {name}: {folder} cannot be read: {error.strerror}; let this user read it") from error


def _read(folder: Path, name: str, threshold: Optional[float]) -> GraphSpec:
    if not folder.is_dir():
        raise ConfigError(f"graph {name}: {folder}: there is no such folder; a graph is a folder with graph.toml and its model")
    about = folder / "graph.toml"
    described = _described(about) if about.exists() else _recognised(folder, name)
    decoder = described.decoder.name
    if 0 in described.input.scale:
        raise ConfigError(f"{about}: input.scale: must not be 0; 1 leaves the pixels as they are")
    (m0, m1, m2), (s0, s1, s2) = described.input.mean, described.input.scale
    return GraphSpec(
        name=GraphName(name),
        model=str(_inside(folder, described.model, about, "model")),
        decoder=decoder,
        labels=_labels(_inside(folder, described.labels, about, "labels")) if described.labels is not None else [],
        threshold=described.threshold if threshold is None else threshold,
        colour=described.input.colour,
        resize=described.input.resize,
        mean=(m0, m1, m2),
        scale=(s0, s1, s2),
        decoder_options=_options(decoder, described.decoder.model_extra or {}, about),
    )


def _options(decoder: str, given: dict[str, Any], about: Path) -> dict[str, Any]:
    """The options that [decoder] sets, validated by the decoder's dataclass."""
    try:
        plugin = DECODERS.get(decoder)
        table = options_table(plugin.options)
        judged = table.model_validate(given).model_dump(exclude_unset=True)
        made(plugin.options, judged)
    except ConfigError as error:
        raise ConfigError(f"{about}: decoder: {error}") from error
    except ValidationError as error:
        raise _refusal(about, error, table, "decoder") from error
    except ValueError as error:
        named = next((f".{name}" for name in given if name in str(error)), "")
        raise ConfigError(f"{about}: decoder{named}: {error}") from error
    return judged


def _refusal(about: Path, error: ValidationError, table: type[Table], *at: str) -> ConfigError:
    first = error.errors()[0]
    dotted = ".".join([*at, *(str(part) for part in first["loc"])])
    return ConfigError(f"{about}: {dotted}: {error_text(first, table)}")


def _described(about: Path) -> GraphToml:
    try:
        return GraphToml.model_validate(tomllib.loads(_text(about)))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{about}: is not TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{about}: is nested too deeply") from error
    except ValidationError as error:
        raise _refusal(about, error, GraphToml) from error


def _recognised(folder: Path, name: str) -> GraphToml:
    """A folder without graph.toml: a single .xml whose one output is [1, 1, N, 7], the shape of DetectionOutput."""
    models = sorted(folder.glob("*.xml"))
    remedy = "describe it in a graph.toml (model, decoder, labels, [input])"
    if len(models) != 1:
        found = f"{len(models)} .xml models and no graph.toml" if models else "neither graph.toml nor an .xml model"
        raise ConfigError(f"graph {name}: {folder} holds {found}; {remedy}")
    shapes = output_shapes(models[0])
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][:2] != ["1", "1"] or shapes[0][3] != "7":
        raise ConfigError(f"graph {name}: {models[0]}: its output is not that of an SSD, [1, 1, N, 7]; {remedy}")
    return GraphToml(
        model=models[0].name, decoder=Decoder(name="ssd"), labels="labels.txt" if (folder / "labels.txt").exists() else None
    )


def output_shapes(model: Path) -> list[list[str]]:
    """Shapes of an IR's outputs: the inputs of its Result layers (IR 10 and later), else the ports without an edge."""
    if model.stat().st_size > LARGEST_XML:
        raise ConfigError(f"{model}: is larger than 64 MB; that is no IR description")
    try:
        data = model.read_bytes()
        if b"<!" in data.replace(b"<!--", b""):
            raise ConfigError(f"{model}: declares entities or a document type, as no IR does; the file is refused")
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise ConfigError(f"{model}: cannot be read: {error}; is the file damaged?") from error
    layers = root.findall("./layers/layer")
    results = [layer for layer in layers if layer.get("type") == "Result"]
    if results:
        ports = [port for layer in results for port in layer.findall("./input/port")]
    else:
        taken = {(edge.get("from-layer"), edge.get("from-port")) for edge in root.findall("./edges/edge")}
        ports = [
            port for layer in layers for port in layer.findall("./output/port") if (layer.get("id"), port.get("id")) not in taken
        ]
    return [[(dim.text or "").strip() for dim in port.findall("dim")] for port in ports]


def _inside(folder: Path, name: str, about: Path, key_name: str) -> Path:
    path = folder / name
    try:
        whole, home = path.resolve(), folder.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{about}: {key_name}: {name!r} is no file name") from error
    if home not in whole.parents or Path(name).is_absolute() or ".." in Path(name).parts:
        raise ConfigError(f'{about}: {key_name}: "{name}" leads out of the folder; put the file into {folder}')
    if not whole.is_file():
        raise ConfigError(f'{about}: {key_name}: there is no file "{name}" in {folder}')
    return folder.absolute() / name


def _labels(path: Path) -> list[str]:
    lines = [line.strip() for line in _text(path).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise ConfigError(f"{path}: is larger than 1 MB; is it the right file?")
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
