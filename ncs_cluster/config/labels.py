"""Which class has which name: the ids of a label file's names, fitted to what the model says of its classes.

A name that may be wrong is refused: an off-by-one list calls every person a bicycle, and nothing else looks wrong.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Optional

from ncs_cluster.config import label_file
from ncs_cluster.config.error_text import shown
from ncs_cluster.config.label_file import UNNAMED, Listed, Names, Numbered
from ncs_cluster.errors import ConfigError

BACKGROUND = {"background", "__background__", "_background_", "bg", "background_label", "unlabeled"}
"""Names of the class that is no object, in lower case."""


class Classes(NamedTuple):
    """What a model says of its classes."""

    background: int
    """Id of the background class; -1: the model has no background class."""
    total: Optional[int]
    """Classes, the background included; None where the model does not say."""

    @property
    def objects(self) -> Optional[int]:
        """Classes without the background."""
        if self.total is None:
            return None
        return self.total - (0 <= self.background < self.total)


def read(path: Path, classes: Optional[Classes], *, first_id: Optional[int], usual_first_id: int) -> dict[int, str]:
    """Names by class id. `classes`: None where the model says nothing; then a list begins with `usual_first_id`, or with 0 where
    its first name is the background's. `first_id`, from graph.toml, is the id of the file's first name, whatever the model says.

    Raises ConfigError where names and classes do not fit.
    """
    names = label_file.read(path)
    if first_id is not None:
        numbers = _ids(names)
        named = {number - min(numbers) + first_id: name for number, name in numbers.items()}
    elif isinstance(names, dict):
        named = _checked(path, names, classes)
    elif classes is None or classes.total is None:
        without = classes is not None and classes.background != 0
        leads = _is_background(names[0], leads=True)
        # a background that leads the list of a model without one is no class of it
        begins = (-1 if without else 0) if leads else 0 if without else usual_first_id
        named = {begins + index: name for index, name in enumerate(names)}
    else:
        named = _fitted(path, names, classes)
    return {number: name for number, name in named.items() if name.lower() not in UNNAMED and not _is_background(name)}


def renamed(named: Numbered, names: Mapping[str, str], where: str) -> Numbered:
    """`named` with some classes renamed: `names` maps the name in the label file to the name in results. Several classes may be
    renamed to one name; their ids stay apart.

    Raises ConfigError that begins with `where` for a name that no class has, and for a new name that is no line of text.
    """
    known = set(named.values())
    for old, new in names.items():
        if old not in known:
            near = difflib.get_close_matches(old, sorted(known), 1, 0.6)
            hint = f"did you mean {shown(near[0])}?" if near else "names are those of the label file"
            raise ConfigError(f"{where}: no class is called {shown(old)}; {hint}")
        if not new.strip() or not new.isprintable():
            raise ConfigError(f"{where}: {shown(old)}: the new name must be one line of text, not {shown(new)}")
    return {number: names.get(name, name) for number, name in named.items()}


def _ids(names: Names) -> Numbered:
    return dict(names) if isinstance(names, dict) else dict(enumerate(names))


def _checked(path: Path, names: Numbered, classes: Optional[Classes]) -> Numbered:
    """Names with ids: the background must have no other name, and each id must be one of the model's."""
    if classes is None:
        return names
    wrong = names.get(classes.background, "")
    if wrong.lower() not in UNNAMED and not _is_background(wrong):
        detail = f'class {classes.background} is called "{wrong}", and the model\'s class {classes.background} is its background'
        raise _refusal(path, detail)
    beyond = [number for number in names if classes.total is not None and number >= classes.total]
    if beyond:
        first = min(beyond)
        raise _refusal(path, f'class {first} is called "{names[first]}", and the model has {classes.total} classes, from 0')
    return names


def _fitted(path: Path, names: Listed, classes: Classes) -> Numbered:
    """A list without ids: it has a name for each class, or for each class but the background."""
    assert classes.total is not None
    if _is_background(names[0], leads=True):
        objects = names[1:]
    elif _is_background(names[-1]):
        objects = names[:-1]
    else:
        objects = names
    if len(objects) != classes.objects:
        beside = " beside its background" if classes.objects != classes.total else ""
        raise _refusal(path, f"it has {len(objects)} names, and the model has {classes.objects} classes{beside}")
    ids = [number for number in range(classes.total) if number != classes.background]
    return dict(zip(ids, objects, strict=True))


def _refusal(path: Path, detail: str) -> ConfigError:
    remedy = 'write "ID NAME" on each line, or the id of the first name as labels.first_id in graph.toml'
    return ConfigError(f"{path}: {detail}; {remedy}")


def _is_background(name: str, *, leads: bool = False) -> bool:
    """`leads`: it is the first of a list, where "???" means the background too."""
    return name.lower() in BACKGROUND or (leads and name == "???")
