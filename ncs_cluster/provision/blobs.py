"""Finds a graph's blob: beside its model, or among those compiled on this machine.

A compiled blob is named by a hash of its recipe (model, weights, mean, scale, compiler), so a changed model has no blob until it is
compiled again. BLOB.json beside each blob holds the recipe in readable form, with the path of the model.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ncs_cluster.provision import places
from ncs_cluster.provision.files import sha256
from ncs_cluster.specs import GraphSpec

COMPILER = "2021.4.2"
Three = tuple[float, float, float]


class Recipe(NamedTuple):
    """The inputs of a compilation."""

    model: Path
    mean: Three = (0.0, 0.0, 0.0)
    scale: Three = (1.0, 1.0, 1.0)
    shaves: Optional[int] = None
    """None: the compiler's choice."""
    slices: Optional[int] = None

    @classmethod
    def of(cls, graph: GraphSpec, shaves: Optional[int] = None, slices: Optional[int] = None) -> Recipe:
        return cls(Path(graph.model), graph.mean, graph.scale, shaves, slices)

    @property
    def weights(self) -> Optional[Path]:
        """The weights file of an IR."""
        return self.model.with_suffix(".bin") if self.model.suffix == ".xml" else None

    def identity(self) -> str:
        """Hash of the graph, equal for all shaves and slices. Raises OSError."""
        parts = ["u8", COMPILER, *map(float, (*self.mean, *self.scale)), sha256(self.model)]
        if self.weights is not None and self.weights.exists():
            parts.append(sha256(self.weights))
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def name(self) -> str:
        """File name of the blob."""
        asked = "".join(f"-{word}{count}" for word, count in (("shaves", self.shaves), ("slices", self.slices)) if count)
        return f"{self.identity()}{asked}.blob"

    def description(self, blob: Path) -> dict[str, Any]:
        """Content of BLOB.json. The model's path is relative to the blob's folder where it lies there."""
        near = self.model.parent.resolve() == blob.parent.resolve()
        weights = self.weights
        return {
            "identity": self.identity(),
            "blob_sha256": sha256(blob),
            "compiler": f"OpenVINO {COMPILER}, MYRIAD plugin",
            "model": self.model.name if near else str(self.model.absolute()),
            "model_sha256": sha256(self.model),
            "weights_sha256": sha256(weights) if weights is not None and weights.exists() else None,
            "input": "u8",
            "mean": self.mean,
            "scale": self.scale,
            "shaves": self.shaves,
            "slices": self.slices,
        }


def sidecar(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.json")


def find(graph: GraphSpec, state: Path) -> Optional[Path]:
    """The blob of this graph, or None. A blob beside the model without a BLOB.json is trusted; of several compiled here the newest
    counts."""
    return find_for(Recipe.of(graph), state)


def find_for(recipe: Recipe, state: Path) -> Optional[Path]:
    if recipe.model.suffix == ".blob":
        return recipe.model
    beside = recipe.model.with_suffix(".blob")
    try:
        identity = recipe.identity()
        if beside.is_file() and _identity_of(beside) in (None, identity):
            return beside
        made = [path for path in places.blobs(state).glob(f"{identity}*.blob") if path.is_file()]
        return max(made, key=lambda path: path.stat().st_mtime_ns, default=None)
    except OSError:
        return None


def outdated(recipe: Recipe) -> bool:
    """True when the blob beside the model was compiled from another model."""
    beside = recipe.model.with_suffix(".blob")
    try:
        return beside.is_file() and _identity_of(beside) not in (None, recipe.identity())
    except OSError:
        return False


def _identity_of(blob: Path) -> Optional[str]:
    try:
        with sidecar(blob).open("rb") as file:
            description = json.loads(file.read(1 << 16))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        return ""
    return str(description.get("identity")) if isinstance(description, dict) else ""
