"""The door for accelerators. One file each: an `Options` dataclass and one class; a backend never knows its siblings.

The registry is literal; a backend's module is imported only in the worker that opens it.
"""

BACKENDS = {
    "simulated": "ncs_cluster.backends.simulated:Simulated",
    "openvino": "ncs_cluster.backends.openvino:OpenVino",
    "xlink": "ncs_cluster.backends.xlink:Xlink",
    "myriad": "ncs_cluster.backends.myriad:Myriad",
}
