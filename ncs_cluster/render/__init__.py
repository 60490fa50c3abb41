"""Measures distances in the depth plane, and draws results onto the colour plane."""
