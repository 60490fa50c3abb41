"""Registries of plugins: each maps a name to a descriptor, built in or of another package.

Built-in descriptors are literal, so a child that looks one up reads nothing else. Another package offers a plugin by an entry point
of the group, whose name is the plugin's and whose object is the descriptor:

    [project.entry-points."ncs_cluster.backends"]
    example = "example_package.backend:PLUGIN"

A built-in name always means the built-in plugin. A descriptor names its class, its `Options` and its hooks as "module:attribute":
none of them is imported before it is used. Runs on CPython 3.9.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import import_module
from typing import Any, Dict, Generic, Iterable, List, Mapping, Protocol, Tuple, Type, TypeVar

from ncs_cluster.errors import ConfigError

REMEDY = "repair or uninstall that package"


class Descriptor(Protocol):
    """Fields that the descriptors of every kind have."""

    @property
    def name(self) -> str: ...


D = TypeVar("D", bound=Descriptor)


class Registry(Generic[D]):
    """The plugins of one kind."""

    def __init__(self, kind: str, group: str, descriptors: Iterable[D], unnamed: Iterable[D] = ()) -> None:
        """`kind`: word in messages, such as "backend". `group`: entry-point group, such as "ncs_cluster.backends". `unnamed`:
        plugins that no setting names; `get` alone knows them."""
        self.kind, self.group = kind, group
        self.unnamed: Dict[str, D] = {each.name: each for each in unnamed}
        self.builtin: Dict[str, D] = {each.name: each for each in descriptors}
        self._type: Type[Any] = type(next(iter(self.builtin.values())))
        self._loaded: Dict[str, D] = {}

    def get(self, name: str) -> D:
        """The descriptor. Raises ConfigError for an unknown name and for a package that is broken."""
        found = self.builtin.get(name) or self.unnamed.get(name) or self._loaded.get(name)
        if found is None:
            found = self._loaded[name] = self._load(name)
        return found

    def offered(self) -> List[str]:
        """Sorted names of the plugins of other packages. No package is imported."""
        return sorted(set(_entry_points(self.group)) - set(self.builtin))

    def names(self) -> List[str]:
        """All names: the built-in ones, then those of other packages."""
        return [*self.builtin, *self.offered()]

    def __contains__(self, name: object) -> bool:
        return name in self.builtin or name in self._loaded or name in _entry_points(self.group)

    def _load(self, name: str) -> D:
        offers = _entry_points(self.group).get(name)
        if not offers:
            raise ConfigError(f'there is no {self.kind} "{name}"; known: {", ".join(self.names())}')
        values = {offer.value for offer in offers}
        if len(values) > 1:
            raise ConfigError(f'{self.kind} "{name}" is offered by {", ".join(sorted(values))}; uninstall all packages but one')
        where = f'{self.kind} "{name}" of another package ({offers[0].value})'
        try:
            found = offers[0].load()
        except Exception as error:
            raise ConfigError(f"{where} cannot be loaded: {reason(error)}; {REMEDY}") from error
        if not isinstance(found, self._type):
            raise ConfigError(f"{where} is no {self._type.__name__}; {REMEDY}")
        if found.name != name:
            raise ConfigError(f'{where} calls itself "{found.name}"; {REMEDY}')
        descriptor: D = found
        return descriptor


def load(path: str) -> Any:
    """The object that "module:attribute" names. Raises ConfigError, one line, where it cannot be imported."""
    module, _, attribute = path.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:
        raise ConfigError(f"{path} cannot be loaded: {reason(error)}") from error


def call(path: str, *arguments: Any) -> Any:
    """Call the hook that "module:attribute" names. Its ConfigError, ValueError and OSError pass; any other exception is a defect
    of its package and becomes a ConfigError of one line."""
    function = load(path)
    try:
        return function(*arguments)
    except (ConfigError, ValueError, OSError):
        raise
    except Exception as error:
        raise ConfigError(f"{path} fails: {reason(error)}; {REMEDY}") from error


def made(options: str, given: Mapping[str, Any]) -> Any:
    """Create the `Options` that "module:attribute" names. Raises ValueError, one line, for an invalid or unknown option."""
    try:
        return load(options)(**given)
    except (ConfigError, ValueError):
        raise
    except Exception as error:
        raise ValueError(reason(error)) from error


def reason(error: Exception) -> str:
    """Type and text of an exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _entry_points(group: str) -> Dict[str, List[Any]]:
    """Entry points of a group by name. Called for names that are not built in: importlib.metadata takes 3 MB."""
    everything = _all_entry_points(tuple(sys.path))
    # CPython 3.9 gives a dictionary of groups
    chosen = everything.select(group=group) if hasattr(everything, "select") else everything.get(group, ())
    found: Dict[str, List[Any]] = {}
    for each in chosen:
        found.setdefault(each.name, []).append(each)
    return found


@lru_cache(maxsize=1)
def _all_entry_points(path: Tuple[str, ...]) -> Any:
    """Entry points of all packages on `path`, which is sys.path. Kept: reading the settings asks some 30 times, and each answer
    opens a file of every installed package."""
    from importlib import metadata

    return metadata.entry_points()
