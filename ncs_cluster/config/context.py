"""What settings are built from: the validated keys, the origin of each, the environment; and notices for the operator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from ncs_cluster.config.error_text import error_text
from ncs_cluster.config.layers import KeyPath, Layers
from ncs_cluster.config.model import Root
from ncs_cluster.config.table import Table
from ncs_cluster.errors import PERMANENT_ERRNOS, ConfigError
from ncs_cluster.provision.places import expanded
from ncs_cluster.specs import Settings


class AlreadyTold(ConfigError):
    """A part of the settings cannot be made; Context.told has its faults."""


class Context:
    """The validated keys and the origin of each."""

    def __init__(
        self,
        root: Root,
        layers: Layers,
        environ: Mapping[str, str],
        *,
        job: bool = False,
        running: Settings | None = None,
        bare: bool = False,
    ) -> None:
        self.root = root
        self.layers = layers
        self.environ = environ
        self.job = job
        """The settings are those of a job."""
        self.running = running
        """The settings in effect, where a daemon reads them again."""
        self.bare = bare
        """The settings alone are judged, not what this machine must have for them, such as firmware."""
        self.notices: list[str] = []
        self.told: list[str] | None = None
        """Faults, where all are wanted; None: the first one is raised."""

    def refuse(self, *path: str, because: str) -> NoReturn:
        """Raise ConfigError at a key. `because` says what is wrong and what to do."""
        raise ConfigError(f"{self.layers.where(path)}: {because}")

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Collect a fault of the block where all faults are wanted, else raise it. `settle` follows the blocks of a part."""
        try:
            yield
        except ConfigError as error:
            if self.told is None:
                raise
            self.told.append(str(error))

    def settle(self, before: int) -> None:
        """Raise AlreadyTold where there are more than `before` faults: the part is incomplete."""
        if self.faults > before:
            raise AlreadyTold

    @property
    def faults(self) -> int:
        return len(self.told or ())

    def given(self, *path: str) -> bool:
        """True when the file, a variable or a flag sets this key."""
        return path in self.layers.origins

    def path(self, text: str, *key: str) -> Path:
        """The absolute path that a key names: relative to the file that sets the key, else to the working folder. A path that does
        not exist is accepted. Raises ConfigError for an empty path and for a folder that this user may not enter."""
        if not text:
            self.refuse(*key, because="must not be empty; leave it out for the default")
        try:
            path = (self.layers.base(key) / expanded(text)).absolute()
        except ConfigError as error:
            self.refuse(*key, because=str(error))
        try:
            path.stat()
        except OSError as error:
            if error.errno in PERMANENT_ERRNOS:
                self.refuse(*key, because=f"{path} cannot be looked for: {error.strerror}; choose a place this user can reach")
        except ValueError as error:
            self.refuse(*key, because=f"{text!r} is no path: {error}")
        return path

    def refuse_options(self, error: ValueError, options: Iterable[str], *table: str) -> NoReturn:
        """Raise ConfigError for an error of a plugin's Options, at the option that the error names."""
        self.refuse(*table, *[name for name in options if name in str(error)][:1], because=str(error))

    def check_runtime(self, name: str, *key: str) -> None:
        """Refuse a runtime that has no table."""
        if name != "default" and name not in self.root.runtimes:
            self.refuse(*key, because=f"there is no [runtimes.{name}]; known: {', '.join(['default', *self.root.runtimes])}")


def refusal(error: ValidationError, layers: Layers, table: type[Table], at: Mapping[str, KeyPath] | None = None) -> ConfigError:
    """The first error of a validation, in one line. `at`: the keys that set the fields of a table which is not one of the file."""
    first, *others = refusals(error, layers, table, at)
    return ConfigError(f"{first} (and {len(others)} more)" if others else str(first))


def refusals(
    error: ValidationError, layers: Layers, table: type[Table], at: Mapping[str, KeyPath] | None = None
) -> list[ConfigError]:
    """All errors of a validation, each in one line."""
    told = []
    for each in error.errors():
        first, *rest = (str(part) for part in each["loc"])
        path = (*(at[first] if at is not None else (first,)), *rest)
        told.append(ConfigError(f"{layers.where(path)}: {error_text(each, table)}"))
    return told
