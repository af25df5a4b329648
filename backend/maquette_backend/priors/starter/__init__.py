"""The starter prior: a small text-, camera- and modality-conditioned pixel diffusion model, carried by the package."""
