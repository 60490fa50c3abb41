"""Intel's public SSD models for sticks, from the Open Model Zoo 2021.4, the release of the last compiler for them.

Addresses, sizes and checksums are from the zoo's model.yml at tag 2021.4.2, of the FP16 files, because a stick computes in fp16. A
model becomes a graph folder below the state directory, where `--graph NAME` finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Optional

from ncs_cluster.errors import NcsClusterError
from ncs_cluster.provision import places
from ncs_cluster.provision.fetch import Pinned, Progress, fetch, sha256, shown, write

ZOO = "https://storage.openvinotoolkit.org/repositories/open_model_zoo/2021.4/models_bin/3"
LICENCE = "Apache-2.0, https://raw.githubusercontent.com/openvinotoolkit/open_model_zoo/2021.4.2/LICENSE"


class Model(NamedTuple):
    """One model of the zoo: an SSD with BGR 0..255 stretched to its input."""

    name: str
    about: str
    labels: tuple[str, ...]
    files: tuple[Pinned, Pinned]
    """.xml and .bin; `url` is below the zoo's folder."""


class CatalogueError(NcsClusterError):
    """The message is one line: the model that cannot be pulled, and why."""


def _model(name: str, about: str, labels: tuple[str, ...], xml: tuple[int, str], weights: tuple[int, str]) -> Model:
    where = f"{name}/FP16/{name}"
    return Model(name, about, labels, (Pinned(f"{where}.xml", *xml), Pinned(f"{where}.bin", *weights)))


MODELS = (
    _model(
        "face-detection-retail-0004",
        "faces, 300x300",
        ("face",),
        (106171, "e6d81f157c2d290e79c820f0f47dd3aebead0f76af1c1633a2326a58732e50cb"),
        (1176544, "ab7def342edab22e69ba1ef4e971983ea4e0f337c43b0a49c7ef3a7627f6cf1a"),
    ),
    _model(
        "person-detection-retail-0013",
        "people, 544x320",
        ("person",),
        (382841, "21f3e382674f1587d2677a97f25e7e1555b8b6f90fec036d752daac086c3183b"),
        (1445736, "56eeccbeb3f27144046edacb95b459d60f3930f54051ef5b9e5253923c07b672"),
    ),
    _model(
        "vehicle-detection-adas-0002",
        "vehicles seen from a car, 672x384",
        ("vehicle",),
        (217151, "c1fb417f6ce3d37b711d40942872818f222ceb038b5979094c5d0e2459025507"),
        (2157328, "e119b3bec50bc836f2eb26a56a40a6d5e3c33bde819f3e6d00f829978092742b"),
    ),
    _model(
        "person-vehicle-bike-detection-crossroad-0078",
        "people, vehicles and bikes at a crossroad, 1024x1024",
        ("person", "vehicle", "bike"),
        (381204, "ba311c4f044f125dea942200765f058360045c5aa261d8a5e31be1f677a383da"),
        (2357042, "a074ff0cad298ed9c35d0ce6ed58e09ee05216b907c97e6bb50f1b77a046bcfd"),
    ),
)


def pull(
    name: str,
    state: Path,
    *,
    mirror: Optional[str] = None,
    models: tuple[Model, ...] = MODELS,
    say: Callable[[str], None] = print,
    progress: Progress | None = None,
) -> Path:
    """Fetch the graph folder unless it is complete, and return it. Raises CatalogueError, FetchError."""
    model = next((each for each in models if each.name == name), None)
    if model is None:
        raise CatalogueError(f'there is no model "{name}" to pull; known: {", ".join(each.name for each in models)}')
    base = (mirror or ZOO).rstrip("/")
    folder, coming = places.graphs(state) / name, places.graphs(state) / f".{name}.part"
    try:
        if _whole(model, folder):
            return folder
        say(f"{name} is under {LICENCE}")
        coming.mkdir(parents=True, exist_ok=True)
        for wanted in model.files:
            path = coming / wanted.url.rpartition("/")[2]
            say(f"fetching {path.name} ({wanted.size / 1e6:.1f} MB) from {shown(base)}/{wanted.url.rpartition('/')[0]}")
            fetch(wanted._replace(url=f"{base}/{wanted.url}"), path, plain=base.startswith("http:"), progress=progress)
        write(coming / "labels.txt", "".join(f"{label}\n" for label in model.labels).encode())
        write(coming / "graph.toml", described(model).encode())
        if folder.exists():
            # an incomplete folder, or one of another model: its files are kept in a folder beside it
            spare = next(path for n in range(1, 1000) if not (path := folder.with_name(f"{name}.old{n}")).exists())
            folder.rename(spare)
            say(f"moved the files of {folder} to {spare.name}")
        coming.rename(folder)
    except OSError as error:
        raise CatalogueError(f"{error.filename or folder}: {error.strerror or error}") from error
    return folder


def described(model: Model) -> str:
    """graph.toml."""
    xml, _ = model.files
    return f"""\
# {model.name}: {model.about}. Intel, Open Model Zoo 2021.4.
# Licence: {LICENCE}
model = "{xml.url.rpartition("/")[2]}"
decoder = "ssd"
labels = "labels.txt"

[input]
colour = "BGR"
resize = "stretch"
"""


def _whole(model: Model, folder: Path) -> bool:
    paths = [(folder / wanted.url.rpartition("/")[2], wanted) for wanted in model.files]
    there = all(path.is_file() and path.stat().st_size == wanted.size for path, wanted in paths)
    return there and (folder / "graph.toml").is_file() and all(sha256(path) == wanted.sha256 for path, wanted in paths)
