"""How the starter prior is made: its data (``data``), its training (``train``) and its measurement (``evaluate``)."""
