"""Backends: one file each, with an `Options` dataclass and one class; a backend never knows its siblings.

The registry is literal; a backend's module is imported only in the worker that opens it and where settings are read.
"""

from ncs_cluster.backends.base import FIRMWARE, LIBUSB, VENDOR_PLUGIN, BackendPlugin, Counted, Matched
from ncs_cluster.plugins import Registry
from ncs_cluster.usb_ids import MYRIAD_X

SIMULATED, NEIGHBOURS = "simulated", "neighbours"
ON_CPU = "openvino"
AUTO = ("myriad", "xlink", ON_CPU)
"""What `--backend auto` tries, in this order. The last one needs nothing."""

BACKENDS = Registry(
    "backend",
    "ncs_cluster.backends",
    [
        BackendPlugin(
            name=SIMULATED,
            title="a stick without a stick: exact latency, simulated heat, faults on demand",
            driver="ncs_cluster.backends.simulated:Simulated",
            options="ncs_cluster.backends.simulated:Options",
            counted=Counted(default=4, prefix="sim", port="sim"),
            needs_graph=False,
            simulated=True,
            preflight="ncs_cluster.backends._preflight:on_openvino",
        ),
        BackendPlugin(
            name=ON_CPU,
            title="a device that OpenVINO knows by name, this CPU unless another is named",
            driver="ncs_cluster.backends.openvino:OpenVino",
            options="ncs_cluster.backends.openvino:Options",
            counted=Counted(default=1, prefix="cpu", port="{device}"),
            on_host=True,
            preflight="ncs_cluster.backends._preflight:on_openvino",
            divide="ncs_cluster.backends.openvino:divide",
            alone={"streams": 1},
        ),
        BackendPlugin(
            name="xlink",
            title="neural compute sticks, without the vendor's software",
            driver="ncs_cluster.backends.xlink:Xlink",
            options="ncs_cluster.backends.xlink:Options",
            matched=Matched(device="neural compute stick", usb=MYRIAD_X, prefix="ncs", booted_port="booted_port"),
            artifact="blob",
            preflight="ncs_cluster.backends._preflight:of_blobs",
            preflight_may_crash=False,
            needs=(LIBUSB, FIRMWARE),
            configure="ncs_cluster.backends._xlink_host:configure",
            obstacle="ncs_cluster.backends._xlink_host:obstacle",
        ),
        BackendPlugin(
            name="myriad",
            title="neural compute sticks by the vendor's plugin, in an interpreter that has it",
            driver="ncs_cluster.backends.myriad:Myriad",
            options="ncs_cluster.backends.myriad:Options",
            matched=Matched(device="neural compute stick", usb=MYRIAD_X, prefix="ncs"),
            needs=(VENDOR_PLUGIN,),
            configure="ncs_cluster.backends._myriad_host:configure",
            obstacle="ncs_cluster.backends._myriad_host:obstacle",
        ),
    ],
    unnamed=[
        BackendPlugin(
            name=NEIGHBOURS,
            title="other hosts of the fleet",
            driver="ncs_cluster.backends.neighbours:OtherHosts",
            options="ncs_cluster.backends.neighbours:Options",
            counted=Counted(default=1, prefix="net", port="{url}"),
        ),
    ],
)
