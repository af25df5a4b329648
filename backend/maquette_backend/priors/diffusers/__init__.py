"""Priors from folders in diffusers' layout: Stable Diffusion 1 and 2, XL, 3, and multi-view models."""
