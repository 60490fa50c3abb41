"""Files a machine needs to drive sticks that are not part of this package: firmware, models, compiled graphs.

Every fetched file is pinned by size and SHA-256 and verified before use. The daemon's processes import nothing of this; config
calls `blobs` and `places` once.
"""
