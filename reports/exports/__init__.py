"""The file formats of a report."""
