"""Whether graphs can be loaded: what each gives out for an empty frame. Runs on CPython 3.9."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Iterator, List

from ncs_cluster.errors import StickError
from ncs_cluster.specs import GraphSpec

if TYPE_CHECKING:
    from ncs_cluster.backends.base import Outputs

LARGEST_BLOB = 512 << 20


def on_openvino(graphs: List[GraphSpec]) -> Iterator[Outputs]:
    """Load each graph on this CPU and let it work once. A damaged model may crash or hang the process."""
    from ncs_cluster.backends._compiled_models import CompiledModels

    loaded = CompiledModels("CPU")
    for graph in graphs:
        loaded.load([graph])
        (outputs,) = loaded.warm_up()
        yield outputs


def of_blobs(graphs: List[GraphSpec]) -> Iterator[Outputs]:
    """Parse each graph's blob and return outputs of zeros. The parser is pure Python: a damaged blob raises, it cannot crash."""
    from ncs_cluster.backends._tensors import Tensors
    from ncs_cluster.xlink.blob import Blob, BlobError

    for graph in graphs:
        path = Path(graph.blob or "")
        try:
            if path.stat().st_size > LARGEST_BLOB:
                raise StickError("graph", f"graph {graph.name}: {path}: is larger than 512 MB; that is no blob")
            tensors = Tensors(graph, Blob.parse(path.read_bytes()))
        except (OSError, BlobError) as error:
            detail = getattr(error, "strerror", None) or error
            raise StickError("graph", f"graph {graph.name}: {path}: {detail}") from error
        yield tensors.outputs(bytes(tensors.blob.outputs_size))
