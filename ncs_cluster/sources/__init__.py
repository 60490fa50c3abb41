"""The door for frame sources. One file each: an `Options` dataclass and one class; a source never knows its siblings.

The registry is literal; a source's module is imported only when one is opened, so settings load without its libraries.
"""

SOURCES = {
    "synthetic": "ncs_cluster.sources.synthetic:Synthetic",
    "realsense": "ncs_cluster.sources.realsense:RealSense",
    "video": "ncs_cluster.sources.video:Video",
    "images": "ncs_cluster.sources.images:Images",
    "v4l2": "ncs_cluster.sources.v4l2:V4l2",
    "rtsp": "ncs_cluster.sources.rtsp:Rtsp",
}
