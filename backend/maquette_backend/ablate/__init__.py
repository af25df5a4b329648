"""Compares the ways of distilling on one small subject: ``python -m maquette_backend.ablate``."""
