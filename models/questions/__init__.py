"""Drawing the questions of a batch."""
