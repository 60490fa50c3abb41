"""Fetches a model of a catalogue: it becomes a graph folder below the state directory, where `--graph NAME` finds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Optional

from ncs_cluster.errors import NcsClusterError
from ncs_cluster.provision import places
from ncs_cluster.provision.fetch import Pinned, Progress, fetch, shown
from ncs_cluster.provision.files import sha256, write


class Model(NamedTuple):
    """One model of a catalogue."""

    name: str
    about: str
    licence: str
    address: str
    files: tuple[Pinned, ...]
    """`url` is below `address`; its last part is the file's name."""
    texts: Mapping[str, str]
    """What is written beside them, by file name: graph.toml, and labels that have no file of their own."""

    @property
    def size(self) -> int:
        """Bytes of all files that are fetched."""
        return sum(file.size for file in self.files)


class CatalogueError(NcsClusterError):
    """The message is one line: the model that cannot be pulled, and why."""


def pull(
    model: Model,
    state: Path,
    *,
    mirror: Optional[str] = None,
    say: Callable[[str], None] = print,
    progress: Progress | None = None,
) -> Path:
    """Fetch the graph folder unless it is complete, and return it. Raises CatalogueError, FetchError."""
    name = model.name
    base = (mirror or model.address).rstrip("/")
    folder, coming = places.graphs(state) / name, places.graphs(state) / f".{name}.part"
    try:
        if _whole(model, folder):
            return folder
        say(f"{name} is under {model.licence}")
        coming.mkdir(parents=True, exist_ok=True)
        for wanted in model.files:
            path = coming / wanted.url.rpartition("/")[2]
            say(f"fetching {path.name} ({wanted.size / 1e6:.1f} MB) from {shown(base)}/{wanted.url.rpartition('/')[0]}")
            fetch(wanted._replace(url=f"{base}/{wanted.url}"), path, plain=base.startswith("http:"), progress=progress)
        ours = {*model.texts, *(wanted.url.rpartition("/")[2] for wanted in model.files)}
        for stray in [path for path in coming.iterdir() if path.name not in ours]:
            # of another catalogue's model of this name, whose fetching was broken off
            stray.unlink()
        for file, text in model.texts.items():
            write(coming / file, text.encode())
        if folder.exists():
            # an incomplete folder, or one of another model: its files are kept in a folder beside it
            spare = next(path for n in range(1, 1000) if not (path := folder.with_name(f"{name}.old{n}")).exists())
            folder.rename(spare)
            say(f"moved the files of {folder} to {spare.name}")
        coming.rename(folder)
    except OSError as error:
        raise CatalogueError(f"{error.filename or folder}: {error.strerror or error}") from error
    return folder


def _whole(model: Model, folder: Path) -> bool:
    paths = [(folder / wanted.url.rpartition("/")[2], wanted) for wanted in model.files]
    there = all(path.is_file() and path.stat().st_size == wanted.size for path, wanted in paths)
    return there and (folder / "graph.toml").is_file() and all(sha256(path) == wanted.sha256 for path, wanted in paths)
