"""The graph of a job over hosts, for hosts that lack it: it goes to the server when one of them asks for it."""

from __future__ import annotations

from collections.abc import Mapping

from ncs_cluster.fleet import graph_files
from ncs_cluster.fleet.chunk import GraphFiles, Offer
from ncs_cluster.fleet.parcel import Parcels, graph_place, parcel_of
from ncs_cluster.specs import GraphSpec


class SentGraph:
    """One graph, whose files are read when they are sent."""

    def __init__(self, graph: GraphSpec) -> None:
        """Reads the files for their hash. Raises Malformed for a graph that cannot be sent, OSError."""
        found = graph_files.sources(graph)
        self._parts: list[str | bytes] = [found.description, *found.paths]
        self.files = GraphFiles(found.names, parcel_of(self._parts))

    async def send(self, parcels: Parcels) -> None:
        """Write it to the server where a host asks for it and it is not there. Raises Unusable, OSError."""
        parcel = self.files.parcel
        if not await parcels.is_wanted(parcel.sha256):
            return
        place = graph_place(parcel.sha256)
        if not await parcels.has(place, parcel):
            await parcels.put(place, self._parts)
        await parcels.grant(parcel.sha256)

    async def remove(self, parcels: Parcels, offers: Mapping[str, Offer]) -> None:
        """Remove it from the server, unless another job has it. Raises Unusable."""
        sha256 = self.files.parcel.sha256
        if all(offer.files is None or offer.files.parcel.sha256 != sha256 for offer in offers.values()):
            await parcels.forget(sha256)
