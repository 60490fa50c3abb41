"""Layers of settings: file, environment, flags. One tree of values, with the origin of each, so that an error can name it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ncs_cluster.config import text_file
from ncs_cluster.config.toml_lines import line_of, lines
from ncs_cluster.errors import ConfigError

PREFIX = "NCS_CLUSTER_"
NOT_OURS = frozenset({"CI", "PYTHON39", "TEST_DATA"})
"""Variables of the test suite, which are no settings."""
NAMED = ("cameras", "graphs", "runtimes", "pools", "sinks")
"""Tables of tables, under names that people choose."""
KeyPath = tuple[str, ...]

SHORT: dict[KeyPath, str] = {
    ("frigate",): "endpoint",
    ("mqtt",): "broker",
    ("nats",): "url",
    ("fallback",): "backend",
    ("overflow",): "role",
}
"""Tables that a text may stand for, and the key that it sets. Also `policy`, of each pool."""


class Origin(NamedTuple):
    """The file, variable or flag that set a value."""

    kind: str
    """ "file", "environment", "set" or "flag"."""
    name: str
    """The file, variable or flag."""
    base: Path
    """What relative paths are relative to."""
    text: Optional[str] = None
    """The text before it was parsed as TOML; None where it was TOML from the start."""
    key: KeyPath = ()
    """The key that `name` stands for."""


class Layers:
    """The merged tree."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self.origins: dict[KeyPath, Origin] = {}
        self.file: Optional[Origin] = None
        self.lines: dict[KeyPath, int] = {}
        """Of the file's keys."""
        self.numbered = False
        """Errors name the line of the file."""
        self.whole: set[KeyPath] = set()
        """Tables whose keys have one origin."""

    def put(self, path: KeyPath, value: Any, origin: Origin) -> None:
        """Set a value. Tables are merged, all else is replaced."""
        if len(path) > text_file.DEEPEST:
            shown = ".".join(path[:3])
            raise ConfigError(f"{origin.name}: {shown}...: a key has more than {text_file.DEEPEST} parts; no setting has")
        path = normal(path)
        if isinstance(value, dict) and not _is_leaf_table(path):
            self._table(path)
            self.origins.setdefault(path, origin)
            seen: set[str] = set()
            for name, each in value.items():
                (*_, last) = normal((*path, name))
                if last in seen:
                    raise ConfigError(f"{origin.name}: {'.'.join((*path, last))}: is given twice, with - and with _; keep one")
                seen.add(last)
                self.put((*path, name), each, origin)
            return
        if (inner := _short_for(path)) is not None:
            # `policy = "ring"` is short for the table with this name
            self.origins[path] = origin
            path = (*path, inner)
            origin = origin._replace(key=path)
        parent = self._table(path[:-1])
        if _is_policy(path[:-1]) and path[-1] == "name" and parent.get("name", value) != value:
            self._forget(path[:-1])
        parent[path[-1]] = value
        self.origins[path] = origin
        if isinstance(value, dict):
            self.whole.add(path)
        if "\0" in value if isinstance(value, str) else "\\x00" in repr(value):
            raise ConfigError(f"{self.where(path)}: holds a NUL character, which no setting has; take it out")

    def _table(self, path: KeyPath) -> dict[str, Any]:
        here = self.tree
        for name in path:
            if not isinstance(here.get(name), dict):
                here[name] = {}
            here = here[name]
        return here

    def _forget(self, table: KeyPath) -> None:
        """Drop the options of a policy: a higher layer has named another one."""
        self._table(table).clear()
        for path in [each for each in self.origins if each[: len(table)] == table and len(each) > len(table)]:
            del self.origins[path]

    def origin(self, path: KeyPath) -> Optional[Origin]:
        """The origin of a value, or of the nearest table around it."""
        for length in range(len(path), 0, -1):
            if (found := self.origins.get(path[:length])) is not None:
                return found
        return self.file

    def where(self, path: KeyPath) -> str:
        """ "FILE: a.b", "NCS_CLUSTER_A__B", "--a" or "--set a.b": how an error about this value begins."""
        below = (found for at, found in self.origins.items() if at[: len(path)] == path)
        origin = self.origins.get(path) or next(below, None) or self.origin(path)
        if origin is None:
            return f"--{path[0].replace('_', '-')}" if len(path) == 1 else f"--set {'.'.join(path)}"
        inner = path if origin.kind == "file" else path[len(origin.key) :]
        if self.numbered and origin.kind == "file" and (line := line_of(path, self.lines)) is not None:
            return f"{origin.name}:{line}: {'.'.join(inner)}"
        if origin.kind != "file" and len(inner) == 1 and inner[0].isdigit():
            # the index of an element means nothing on a command line (--api foo); the error's text shows the element itself
            inner = ()
        return f"{origin.name}: {'.'.join(inner)}" if inner else origin.name

    def base(self, path: KeyPath) -> Path:
        origin = self.origin(path)
        return origin.base if origin is not None else Path.cwd()


def normal(path: KeyPath) -> KeyPath:
    """A key path with _ for -, but for names that people choose (NAME in cameras.NAME)."""
    return tuple(
        name if (at == 1 and path[0] in NAMED) or _is_leaf_table(path[:at]) else name.replace("-", "_")
        for at, name in enumerate(path)
    )


def _short_for(path: KeyPath) -> Optional[str]:
    """The key that a text in place of a table sets; None where no text may stand for the table."""
    return "name" if _is_policy(path) else SHORT.get(path)


def _is_policy(path: KeyPath) -> bool:
    return path == ("policy",) or (len(path) == 3 and (path[0], path[2]) == ("pools", "policy"))


def _is_leaf_table(path: KeyPath) -> bool:
    """`[runtimes.NAME.env]`: its keys are the names of variables. `[discovery.names]`: ports."""
    return (len(path) == 3 and path[0] == "runtimes" and path[2] == "env") or path == ("discovery", "names")


def value_of(text: str) -> Any:
    """A TOML value where the text is one, else the text itself."""
    try:
        parsed = text_file.parse(f"value = {text}")
    except ValueError:
        return text
    return (
        parsed["value"] if set(parsed) == {"value"} and isinstance(parsed["value"], (bool, int, float, str, list, dict)) else text
    )


def from_file(path: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """A TOML file, and the line of each key. Raises ConfigError naming it and, for a syntax error, the line."""
    try:
        text = text_file.read(path, otherwise="--config wants a TOML file").decode("utf-8-sig")
        return text_file.parse(text), {normal(key): line for key, line in reversed(lines(text).items())}
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not text; --config wants a TOML file") from error
    except ValueError as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; give --config a file that can") from error


def from_environment(environ: Mapping[str, str]) -> Iterator[tuple[KeyPath, str, str]]:
    """(key path, variable, text) of every NCS_CLUSTER_ variable that is not empty."""
    for name, text in sorted(environ.items()):
        rest = name.removeprefix(PREFIX)
        if rest != name and rest not in NOT_OURS and text != "":
            parts = rest.split("__")
            path = tuple(part.lower() for part in parts)
            yield ((*path[:-1], parts[-1]) if _is_leaf_table(path[:-1]) else path), name, text


def from_set(text: str) -> tuple[KeyPath, str]:
    """The key and the value's text of `a.b=v`; parts with dots are quoted as in TOML."""
    dotted, equals, value = text.partition("=")
    try:
        if not equals:
            raise ValueError
        here = text_file.parse(f"{dotted} = 0")
        path: list[str] = []
        while isinstance(here, dict):
            ((name, here),) = here.items()
            path.append(name)
    except ValueError as error:
        raise ConfigError(f"--set {dotted}: wants KEY=VALUE with a dotted key, as in --set simulated.latency_ms=40") from error
    return tuple(path), value
