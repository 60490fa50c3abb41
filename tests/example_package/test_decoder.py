import numpy as np

from ncs_cluster.testing.conformance import DecoderConformance


class TestExample(DecoderConformance):
    plugin = "example"
    refused_options = ({"bright_from": -1.0},)

    def outputs(self) -> dict[str, np.ndarray]:
        return {"brightness": np.array([200.0], np.float32)}
