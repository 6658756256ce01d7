"""Questions out: the batch that labelers answer, how it is made and published."""
