"""The registry of sinks, the destinations of results: one file each, with an `Options` dataclass and a class.

A sink writes whole records in order and can tell, after any exit of its process, which records are written.
"""

from ncs_cluster.plugins import Registry
from ncs_cluster.sinks.base import SinkPlugin

SINKS = Registry(
    "sink",
    "ncs_cluster.sinks",
    [
        SinkPlugin(
            name="jsonl",
            form="FILE or - (JSON Lines)",
            driver="ncs_cluster.sinks.jsonl:lines",
            options="ncs_cluster.sinks.jsonl:Options",
            parse="ncs_cluster.sinks.jsonl:parse",
            output="results.jsonl",
            files=True,
        ),
        SinkPlugin(
            name="csv",
            form="csv:FILE (a table)",
            driver="ncs_cluster.sinks.csv:Csv",
            options="ncs_cluster.sinks.csv:Options",
            parse="ncs_cluster.sinks._parted:parse",
            output="results.csv",
            jobs_only=True,
        ),
        SinkPlugin(
            name="coco",
            form="coco:FILE (COCO results)",
            driver="ncs_cluster.sinks.coco:Coco",
            options="ncs_cluster.sinks.coco:Options",
            parse="ncs_cluster.sinks._parted:parse",
            output="results.coco.json",
            jobs_only=True,
        ),
        SinkPlugin(
            name="yolo",
            form="yolo:FOLDER (YOLO labels)",
            driver="ncs_cluster.sinks.yolo:Yolo",
            options="ncs_cluster.sinks.yolo:Options",
            parse="ncs_cluster.sinks.yolo:parse",
            output=".",
            jobs_only=True,
        ),
        SinkPlugin(
            name="megadetector",
            form="megadetector:FILE (MegaDetector JSON)",
            driver="ncs_cluster.sinks.megadetector:MegaDetector",
            options="ncs_cluster.sinks.megadetector:Options",
            parse="ncs_cluster.sinks._parted:parse",
            output="results.megadetector.json",
            jobs_only=True,
        ),
        SinkPlugin(
            name="parquet",
            form="parquet:FILE",
            driver="ncs_cluster.sinks.parquet:Parquet",
            options="ncs_cluster.sinks.parquet:Options",
            parse="ncs_cluster.sinks._parted:parse",
            output="results.parquet",
            jobs_only=True,
        ),
        SinkPlugin(
            name="hdf5",
            form="hdf5:FILE (features)",
            driver="ncs_cluster.sinks.hdf5:Hdf5",
            options="ncs_cluster.sinks.hdf5:Options",
            parse="ncs_cluster.sinks._parted:parse",
            output="results.h5",
            jobs_only=True,
        ),
        SinkPlugin(
            name="npy",
            form="npy:FILE (features)",
            driver="ncs_cluster.sinks.npy:Npy",
            options="ncs_cluster.sinks.npy:Options",
            parse="ncs_cluster.sinks._parted:parse",
            output="features.npy",
            jobs_only=True,
        ),
        SinkPlugin(
            name="feed",
            form="",
            driver="ncs_cluster.sinks.feed:Feed",
            options="ncs_cluster.sinks.feed:Options",
            parse="ncs_cluster.sinks.feed:parse",
        ),
        SinkPlugin(
            name="images",
            form="images:FOLDER (drawn pictures of a job)",
            driver="ncs_cluster.sinks.images:Images",
            options="ncs_cluster.sinks.images:Options",
            parse="ncs_cluster.sinks.images:parse",
            output=".",
            jobs_only=True,
            redraws=True,
        ),
        SinkPlugin(
            name="video",
            form="video:FILE (drawn films of a job)",
            driver="ncs_cluster.sinks.video:Video",
            options="ncs_cluster.sinks.video:Options",
            parse="ncs_cluster.sinks.video:parse",
            output="video.mp4",
            jobs_only=True,
            redraws=True,
        ),
    ],
)
