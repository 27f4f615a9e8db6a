"""Numbers from records: contenders, rankings, comparisons. No words for readers."""
