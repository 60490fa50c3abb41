"""A program without a cluster: a thread for each device, which reads, decodes, infers and writes one picture after another.

With one device it is the serial program; several processes of it are the program with processes. Runs on CPython 3.9.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any, Dict, List, NoReturn, Optional

from ncs_cluster.errors import NcsClusterError
from ncs_cluster.ipc.channel import Channel
from ncs_cluster.messages.bench import OpenDevices, ToBench
from ncs_cluster.processes import child
from ncs_cluster.processes.bench.device import Device
from ncs_cluster.processes.bench.device_thread import DeviceThread
from ncs_cluster.processes.bench.loop import PictureThread, Program, ended


def main() -> NoReturn:
    """The process. Exit code 0 after Stop, 1 after Failed."""
    channel = child.enter("bench", ToBench)
    settings = child.first_message(channel, OpenDevices)
    try:
        _serve(channel, settings)
    except (NcsClusterError, OSError, EOFError) as error:
        ended(channel, error)
    except Exception as error:
        child.fail(channel, child.unexpected(error))
    # threads and exit handlers of vendor libraries may hang at a regular exit
    os._exit(0)


def _serve(channel: Channel[Any], settings: OpenDevices) -> None:
    threads = [DeviceThread(stick.id) for stick in settings.sticks]
    opening = []
    for thread, stick in zip(threads, settings.sticks):
        opening.append(thread.open(partial(Device, stick, settings.graphs[0], settings.time_scale)))
        if stick.exclusive_boot:
            # the port at which it comes back is not known: no other may boot meanwhile
            opening[-1].exception()
    devices: List[Device] = [each.result() for each in opening]

    def temperatures() -> Dict[str, Optional[float]]:
        return {device.id: device.temperature_c for device in devices}

    picture_threads = [PictureThread(thread.submit, device.infer) for thread, device in zip(threads, devices)]
    Program(channel, settings.pictures, picture_threads, temperatures).run()
    for each in [thread.close() for thread in threads]:
        each.result()


if __name__ == "__main__":
    main()
