"""From a request to records: prepare, plan, certificates, workers, outcomes."""
