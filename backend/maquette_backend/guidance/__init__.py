"""How a prior's score becomes a gradient on images of the subject."""
