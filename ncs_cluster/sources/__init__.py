"""Frame sources: one file each, with an `Options` dataclass and one class; a source never knows its siblings.

The registry is literal; a source's module is imported only where it is opened and where settings are read.
"""

from ncs_cluster.plugins import Registry
from ncs_cluster.sources.base import SourcePlugin

SOURCES = Registry(
    "source",
    "ncs_cluster.sources",
    [
        SourcePlugin(
            name="synthetic",
            form="synthetic",
            driver="ncs_cluster.sources.synthetic:Synthetic",
            options="ncs_cluster.sources.synthetic:Options",
            parse="ncs_cluster.sources.synthetic:parse",
            words=["synthetic"],
            size=("width", "height"),
            fps="fps",
            every_frame={"paced": False},
            ends_with="frames",
            demo=True,
        ),
        SourcePlugin(
            name="realsense",
            form="realsense[:SERIAL|:FILE.bag|:FILE.db3]",
            driver="ncs_cluster.sources.realsense:RealSense",
            options="ncs_cluster.sources.realsense:Options",
            parse="ncs_cluster.sources.realsense:parse",
            words=["realsense"],
            suffixes=[".bag", ".db3"],
            size=("width", "height"),
            fps="fps",
            loop="loop",
            every_frame={"paced": False},
            ends_with="recording",
        ),
        SourcePlugin(
            name="v4l2",
            form="usb:N or /dev/videoN",
            driver="ncs_cluster.sources.v4l2:V4l2",
            options="ncs_cluster.sources.v4l2:Options",
            parse="ncs_cluster.sources.v4l2:parse",
            words=["usb"],
            prefixes=["/dev/"],
            size=("width", "height"),
            fps="fps",
        ),
        SourcePlugin(
            name="rtsp",
            form="rtsp://..., rtmp://..., http://...",
            driver="ncs_cluster.sources.rtsp:Rtsp",
            options="ncs_cluster.sources.rtsp:Options",
            parse="ncs_cluster.sources.rtsp:parse",
            addresses=["rtsp", "rtsps", "rtmp", "rtmps", "http", "https"],
        ),
        SourcePlugin(
            name="images",
            form="a picture or a folder of pictures",
            driver="ncs_cluster.sources.images:Images",
            options="ncs_cluster.sources.images:Options",
            parse="ncs_cluster.sources.images:parse",
            suffixes=[
                *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".bmp", ".dib", ".webp"),
                *(".tif", ".tiff", ".avif", ".heic", ".heif", ".jp2", ".j2k"),
                *(".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm"),
            ],
            folders=True,
            size=("max_width", "max_height"),
            loop="loop",
            every_frame={},
            ordered=True,
            items="ncs_cluster.sources.images:items",
        ),
        SourcePlugin(
            name="video",
            form="a video file",
            driver="ncs_cluster.sources.video:Video",
            options="ncs_cluster.sources.video:Options",
            parse="ncs_cluster.sources.video:parse",
            files=True,
            loop="loop",
            every_frame={"paced": False},
        ),
        SourcePlugin(
            name="job",
            form="",
            driver="ncs_cluster.sources.job:Job",
            options="ncs_cluster.sources.job:Options",
            parse="ncs_cluster.sources.job:parse",
            size=("max_width", "max_height"),
            ordered=True,
        ),
    ],
)
