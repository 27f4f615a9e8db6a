"""The HTML page: its data, its scripts and how they are packed into one file."""
