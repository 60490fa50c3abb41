from pathlib import Path

from ncs_cluster.testing.conformance import SinkConformance


class TestExample(SinkConformance):
    plugin = "example"
    options = {"separator": ";"}
    refused_options = ({"separator": "::"},)
    refused_specs = ("example:{folder}", "example:{folder}/none/results")

    def count(self, folder: Path) -> int:
        return len([line for line in (folder / "results").read_text().splitlines() if line.count(";") == 2])
