"""Frame pools: which pool a camera writes into, its size, and which processes map it. A retired pool is dropped once its last frame
was read. Who holds a slot is decided by `slots`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncs_cluster.core.actions import Action, DropPictures, DropPool, MakePool, Send
from ncs_cluster.core.dispatch import Dispatcher
from ncs_cluster.core.events import Endpoint
from ncs_cluster.core.slots import Slots
from ncs_cluster.messages import MapPictures, MapPool, SourceOpened, UnmapPool
from ncs_cluster.types import PoolLayout

if TYPE_CHECKING:
    from ncs_cluster.core.camera import Camera

PICTURE_SLOTS = 4


class FramePools:
    """The frame pools and picture rings of all cameras."""

    def __init__(self, graphs: int, dispatcher: Dispatcher) -> None:
        self.by_number: dict[int, Slots] = {}
        self.graphs = graphs
        """How many run on a frame."""
        self._dispatcher = dispatcher
        self._next = 1

    def drop_idle(self, camera: Camera, workers: list[Endpoint]) -> list[Action]:
        """Drop the camera's retired pools in which no slot is granted or leased."""
        actions: list[Action] = []
        for slots in [slots for slots in camera.retired if slots.idle]:
            camera.retired.remove(slots)
            del self.by_number[slots.layout.pool]
            gone = UnmapPool(slots.layout.pool)
            actions += [Send(endpoint, gone) for endpoint in workers]
            if camera.child.listening:
                actions.append(Send(camera.child.endpoint, gone))
            actions.append(DropPool(slots.layout.pool))
        return actions

    def retire(self, camera: Camera) -> list[Action]:
        """Drop the picture ring of a removed camera and retire its pool, which is dropped once every frame in it was read."""
        if camera.slots is None:
            return []
        camera.slots.revoke_grants()
        camera.slots.retired = True
        camera.retired.append(camera.slots)
        camera.slots = None
        return [DropPictures(camera.spec.name)]

    def too_small(self, camera: Camera) -> bool:
        """The present sticks need more slots than the camera's pool has."""
        return camera.slots is not None and camera.child.running and camera.slots.layout.slots < self._slots_wanted(camera)

    def maps(self, worker: Endpoint) -> list[Action]:
        """Map every pool in a worker that has just opened."""
        return [Send(worker, MapPool(slots.layout), pool=pool) for pool, slots in self.by_number.items()]

    def _slots_wanted(self, camera: Camera) -> int:
        """Slots for the requests of every stick, one waiting frame per lane, the camera's grants, and frames being measured."""
        queues = list(self._dispatcher.queues.values())
        held = sum(queue.capacity if camera.ordered else queue.executors + 1 for queue in queues)
        return camera.spec.ahead + self.graphs + 4 + max(8, held)

    def make(self, camera: Camera, workers: list[Endpoint]) -> list[Action]:
        """Create a pool for the source's present frame size, and retire the one before."""
        info = camera.info
        assert info is not None
        if camera.slots is not None:
            camera.slots.retired = True
            camera.retired.append(camera.slots)
        # twice the need, so that sticks found one after another do not lead to a new pool each
        camera.slots = self.add(2 * self._slots_wanted(camera), info.width, info.height, depth_scale_m=info.depth_scale_m)
        return [MakePool(camera.slots.layout), *self.map(camera, [camera.child.endpoint, *workers])]

    def add(self, slots: int, width: int, height: int, *, depth_scale_m: float | None = None, answer_bytes: int = 0) -> Slots:
        """A new pool, with the next number."""
        added = Slots(PoolLayout(self._next, slots, width, height, depth_scale_m, answer_bytes))
        self.by_number[self._next] = added
        self._next += 1
        return added

    def map_to(self, endpoint: Endpoint, slots: Slots) -> Action:
        """Map a pool in one process."""
        return Send(endpoint, MapPool(slots.layout), pool=slots.layout.pool)

    def map(self, camera: Camera, endpoints: list[Endpoint]) -> list[Action]:
        """Map the camera's frame pool in these processes."""
        assert camera.slots is not None
        return [self.map_to(endpoint, camera.slots) for endpoint in endpoints]

    def pictures(self, camera: Camera, to: Endpoint) -> Action:
        """Map the camera's picture ring in one process."""
        assert camera.slots is not None
        layout = camera.slots.layout
        ring = MapPictures(camera.spec.name, PICTURE_SLOTS, layout.max_width, layout.max_height)
        return Send(to, ring, pictures=camera.spec.name)


def fits(layout: PoolLayout, info: SourceOpened) -> bool:
    return (layout.max_width, layout.max_height, layout.depth_scale_m) == (info.width, info.height, info.depth_scale_m)
