"""The part of the daemon's settings that `ncsctl graphs` needs: state directory, graphs, runtimes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from ncs_cluster.errors import ConfigError

if TYPE_CHECKING:
    from ncs_cluster.specs import GraphSpec


class GraphSettings:
    """Read from --config and --state-dir, without what the daemon alone needs."""

    def __init__(self, given: argparse.Namespace) -> None:
        from ncs_cluster.provision.places import expanded, for_tools

        self._file: dict[str, Any] = {}
        self._base = Path.cwd()
        self._given = given
        if given.config is not None:
            from ncs_cluster.config.layers import from_file

            self._file, self._base = from_file(given.config)[0], given.config.absolute().parent
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
            from ncs_cluster.config.catalogue import Catalogue

            hint = f"; fetch it with: ncsctl graphs pull {what}" if what in Catalogue().names else ""
            raise ConfigError(f'"{what}": there is no such folder, and no graph of this name ({", ".join(known)}){hint}')
        return graph_folder.read(folder, what if what in known else folder.name, None)

    def needs_blob(self) -> bool:
        """Whether a backend that would drive sticks runs blobs. Raises ConfigError for an unknown backend."""
        from ncs_cluster.backends import AUTO, BACKENDS, ON_CPU
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
            if name != "auto" and name not in BACKENDS:
                raise ConfigError(f"--backend {name}: must be one of {', '.join(['auto', *BACKENDS.names()])}")
            tried = (name,) if name != "auto" else AUTO if scan(self._base / str(sysfs), MYRIAD_X).devices else (ON_CPU,)
            if any(BACKENDS.get(each).artifact == "blob" for each in tried):
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
