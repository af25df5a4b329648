"""Measures the starter prior: the rows of its gate, one module each, and the judges that look at its samples."""
