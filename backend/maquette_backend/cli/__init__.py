"""The command line of the backend."""
