"""A graph folder describes itself: graph.toml beside the model and its labels. Read here without any vendor library.

The folder may come from a stranger: what it names must lie inside it, and files are capped before they are parsed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError

import ncs_cluster
from ncs_cluster.config import ir, labels, recognised, text_file
from ncs_cluster.config.error_text import error_text
from ncs_cluster.config.label_file import LARGEST_ID, read_text
from ncs_cluster.config.table import Table, key, options_table
from ncs_cluster.decoders import DECODERS
from ncs_cluster.errors import PERMANENT_ERRNOS, ConfigError
from ncs_cluster.plugins import load, made
from ncs_cluster.provision import places
from ncs_cluster.specs import GraphSpec
from ncs_cluster.types import GraphName


def _divisors(given: list[float]) -> list[float]:
    if 0 in given:
        raise ValueError("must not be 0; 1 leaves the pixels as they are")
    return given


Divisors = Annotated[list[float], AfterValidator(_divisors)]


class Input(Table):
    """`[input]`: what the graph was trained on."""

    colour: Literal["BGR", "RGB"] = key("BGR", "Channel order.")
    resize: Literal["stretch", "letterbox"] = key("stretch", "How a frame is fitted into the input.")
    align: Literal["centre", "top-left"] = key("centre", "Where a letterboxed frame lies in the input.")
    padding: int = key(114, "Grey value around a letterboxed frame.", ge=0, le=255)
    mean: list[float] = key([0.0, 0.0, 0.0], "Subtracted per channel, pixels being 0..255.", min_length=3, max_length=3)
    scale: Divisors = key([1.0, 1.0, 1.0], "Divided by per channel, after the mean.", min_length=3, max_length=3)


class Decoder(Table):
    """`[decoder]`: its name, and options that its plugin validates."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: str = key(..., "What the graph's outputs mean.")


class Labels(Table):
    """`[labels]`: the names of the classes."""

    file: str = key(..., "Text, numbered text, JSON, pbtxt or YAML with the names of the classes.")
    first_id: Optional[int] = key(
        None,
        "Id of the file's first name; without it the model or the decoder tells.",
        ge=0,
        le=LARGEST_ID,
    )
    map: dict[str, str] = key({}, "Other names for classes: by the file's name of a class, the one that results have.")


LabelFile = Annotated[Labels, BeforeValidator(lambda given: {"file": given} if isinstance(given, str) else given)]
DecoderName = Annotated[Decoder, BeforeValidator(lambda given: {"name": given} if isinstance(given, str) else given)]


class GraphToml(Table):
    """graph.toml."""

    model: str = key(..., "The model file.")
    decoder: DecoderName = key(
        ..., "What its outputs mean: a name, or the table [decoder] with name and options.", shown="text or table"
    )
    labels: Optional[LabelFile] = key(
        None,
        "The names of the classes: a file, or the table [labels].",
        shown="text or table",
    )
    threshold: Optional[float] = key(
        None, "Detections and classes below this score are left out; without it the decoder's own is taken.", ge=0, le=1
    )
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
    described = _described(about) if about.exists() else GraphToml.model_validate(recognised.description(folder, name))
    decoder = described.decoder.name
    options = decoder_options(decoder, described.decoder.model_extra or {}, about)
    plugin = DECODERS.get(decoder)
    (m0, m1, m2), (s0, s1, s2) = described.input.mean, described.input.scale
    return GraphSpec(
        name=GraphName(name),
        model=str(_inside(folder, described.model, about, "model")),
        decoder=decoder,
        labels=_names(folder, described, about),
        threshold=next(each for each in (threshold, described.threshold, plugin.default_threshold) if each is not None),
        colour=described.input.colour,
        resize=described.input.resize,
        align=described.input.align,
        padding=described.input.padding,
        mean=(m0, m1, m2),
        scale=(s0, s1, s2),
        decoder_options=options,
        extra_outputs=load(plugin.extra_outputs)(made(plugin.options, options)) if plugin.extra_outputs else [],
    )


def _names(folder: Path, described: GraphToml, about: Path) -> dict[int, str]:
    """Names of the classes by id."""
    if described.labels is None:
        return {}
    model = _inside(folder, described.model, about, "model")
    file = _inside(folder, described.labels.file, about, "labels")
    usual = DECODERS.get(described.decoder.name).first_label_id if described.decoder.name in DECODERS else 0
    # TensorFlow Lite counts the objects of its detections from 0, without a background
    objects_alone = usual > 0 and model.suffix == ".tflite"
    classes = labels.Classes(background=-1, total=None) if objects_alone else ir.classes(model)
    named = labels.read(file, classes, first_id=described.labels.first_id, usual_first_id=usual)
    return labels.renamed(named, described.labels.map, f"{about}: labels.map")


def decoder_options(decoder: str, given: dict[str, Any], about: Union[Path, str]) -> dict[str, Any]:
    """The options that [decoder] sets, validated by the decoder's dataclass. Raises ConfigError that begins with `about`."""
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


def _refusal(about: Union[Path, str], error: ValidationError, table: type[Table], *at: str) -> ConfigError:
    first = error.errors()[0]
    dotted = ".".join([*at, *(str(part) for part in first["loc"])])
    return ConfigError(f"{about}: {dotted}: {error_text(first, table)}")


def _described(about: Path) -> GraphToml:
    try:
        described = text_file.parse(read_text(about))
    except ValueError as error:
        raise ConfigError(f"{about}: is not TOML: {error}") from error
    try:
        return GraphToml.model_validate(described)
    except ValidationError as error:
        raise _refusal(about, error, GraphToml) from error


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
