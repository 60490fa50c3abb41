"""The catalogue: models that `ncsctl graphs pull` fetches, described as their graph.toml will be, and each file pinned by size and
SHA-256.

The shipped one is graphs/catalogue.toml; users write others. A model is judged when it is asked for: one that is wrong leaves the
others usable.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Optional

from pydantic import AfterValidator, BeforeValidator, ValidationError

from ncs_cluster.config import graph_folder, text_file
from ncs_cluster.config.error_text import error_text
from ncs_cluster.config.graph_folder import GraphToml, Labels
from ncs_cluster.config.label_file import read_text
from ncs_cluster.config.table import Table, key
from ncs_cluster.config.toml_text import toml_text
from ncs_cluster.errors import ConfigError
from ncs_cluster.provision.catalogue import Model
from ncs_cluster.provision.fetch import Pinned, shown

LARGEST_FILE = 4_000_000_000
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FILE_PATH = re.compile(r"([A-Za-z0-9_.~+%-]+/)*[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")
ABOUT, LABELS = "graph.toml", "labels.txt"


def _path(text: str) -> str:
    if not _FILE_PATH.fullmatch(text) or ".." in text.split("/"):
        raise ValueError("must be a path below address, such as folder/model.onnx: letters, digits, . _ + - and /")
    if text.rpartition("/")[2] == ABOUT:
        raise ValueError(f"must not be {ABOUT}: that is written from the catalogue")
    return text


def _line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError("must be one line of text")
    return text


def _digest(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError("must be 64 hexadecimal digits in lower case, as sha256sum prints them")
    return text


Digest = Annotated[str, AfterValidator(_digest)]
Line = Annotated[str, AfterValidator(_line)]
FilePath = Annotated[str, AfterValidator(_path)]


class File(Table):
    """A file of a model."""

    path: FilePath = key(..., "Where it is, below `address`; its last part is its name in the folder.")
    size: int = key(..., "Bytes.", ge=1, le=LARGEST_FILE)
    sha256: Digest = key(..., "64 hexadecimal digits.")


class NamedLabels(Labels):
    """`labels` of a model: as in graph.toml, or a list of names."""

    file: str = key(LABELS, "Text, numbered text, JSON, pbtxt or YAML with the names of the classes.")
    names: list[Line] = key([], "The names, for a file that is written.")


def _labels(given: Any) -> Any:
    if isinstance(given, list):
        return {"names": given}
    return {"file": given} if isinstance(given, str) else given


class Entry(GraphToml):
    """`[models.NAME]`: what is below, and the keys of graph.toml."""

    about: Line = key(..., "What it finds and its input's size, in a few words.", shown="text")
    licence: Line = key(..., "Its licence, and where that can be read.", shown="text")
    address: Line = key(..., "Where its files are: an address that their paths follow; --mirror stands in its place.", shown="text")
    files: list[File] = key(..., "Its files: path, size in bytes, sha256.", shown="list of tables", min_length=1)
    labels: Optional[Annotated[NamedLabels, BeforeValidator(_labels)]] = key(
        None, "The names of the classes: a list, a file, or the table [labels].", shown="list, text or table"
    )


class Catalogue:
    """The models of one catalogue file. Raises ConfigError for a file that is no catalogue."""

    def __init__(self, file: Optional[Path] = None) -> None:
        """`file`: None for the shipped one."""
        self.file = graph_folder.graphs_dir() / "catalogue.toml" if file is None else file
        try:
            given = text_file.parse(read_text(self.file))
        except ValueError as error:
            raise ConfigError(f"{self.file}: is not TOML: {error}") from error
        tables = given.get("models")
        if not isinstance(tables, dict) or len(given) > 1:
            strange = next((name for name in given if name != "models"), None)
            why = "it has no table [models.NAME]" if strange is None else f'it has "{strange}", and only [models.NAME] is known'
            raise ConfigError(f"{self.file}: is no catalogue of models: {why}")
        self._tables: dict[str, Any] = tables

    @property
    def names(self) -> list[str]:
        """All names, in the file's order."""
        return list(self._tables)

    def model(self, name: str) -> Model:
        """Raises ConfigError for an unknown name and for a description that is wrong."""
        if name not in self._tables:
            raise ConfigError(f'there is no model "{name}" to pull; known: {", ".join(self.names)}')
        about = f"{self.file}: models.{name}"
        if not MODEL_NAME.fullmatch(name):
            raise ConfigError(f"{about}: a name is made of letters, digits, dot, dash and underscore, at most 64")
        try:
            entry = Entry.model_validate(self._tables[name])
        except ValidationError as error:
            first = error.errors()[0]
            dotted = "".join(f".{part}" for part in first["loc"])
            raise ConfigError(f"{about}{dotted}: {error_text(first, Entry)}") from error
        graph_folder.decoder_options(entry.decoder.name, entry.decoder.model_extra or {}, about)
        return _model(name, entry, about)


def _model(name: str, entry: Entry, about: str) -> Model:
    """What is fetched and what is written. Raises ConfigError."""
    names = [file.path.rpartition("/")[2] for file in entry.files]
    if len(set(names)) < len(names):
        raise ConfigError(f"{about}.files: two of them have the same name; they are put into one folder")
    texts = {}
    if entry.labels is not None and entry.labels.names:
        if entry.labels.file in names or _FILE_PATH.fullmatch(entry.labels.file) is None or "/" in entry.labels.file:
            raise ConfigError(f"{about}.labels.file: must be the name of a file that is not among its files")
        texts[entry.labels.file] = "".join(f"{each}\n" for each in entry.labels.names)
    for word, wanted in (("model", entry.model), ("labels", entry.labels and entry.labels.file)):
        if wanted is not None and wanted not in names and wanted not in texts:
            raise ConfigError(f'{about}.{word}: "{wanted}" is none of its files ({", ".join(names)})')
    heading = f"# {name}: {entry.about}. From {shown(entry.address)}.\n# Licence: {entry.licence}\n"
    texts[ABOUT] = heading + toml_text(_graph(entry))
    files = tuple(Pinned(file.path, file.size, file.sha256) for file in entry.files)
    return Model(name, entry.about, entry.licence, entry.address, files, texts)


def _graph(entry: Entry) -> dict[str, Any]:
    """The keys of graph.toml that the entry gives, short where they can be."""
    given = {name: value for name, value in entry.model_dump(exclude_unset=True).items() if name in GraphToml.model_fields}
    if set(given["decoder"]) == {"name"}:
        given["decoder"] = entry.decoder.name
    if entry.labels is not None:
        labels = {"file": entry.labels.file, **{word: value for word, value in given["labels"].items() if word != "names"}}
        given["labels"] = entry.labels.file if set(labels) == {"file"} else labels
    return given
