"""From a frame and its results to a picture: distances out of the depth plane, boxes and words onto the colours."""
