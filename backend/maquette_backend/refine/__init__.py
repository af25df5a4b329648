"""A job as stages: geometry, appearance, baking; composed from render, shape, appearance, guidance and priors."""
