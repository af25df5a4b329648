"""What Maquette costs, measured: one file per part, each with ``rows()``."""
