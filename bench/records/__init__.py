"""What a run leaves on disk: its manifest, one record per trial, certificates and predictions."""
