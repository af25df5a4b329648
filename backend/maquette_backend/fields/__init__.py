"""Functions of position that both shape and appearance learn. Knows neither of them."""
