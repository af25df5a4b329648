"""Differentiable rendering: cameras, the rasteriser interface and its implementations, antialiasing, shading."""
