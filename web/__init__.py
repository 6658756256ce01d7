"""The labeling page and the live wall: reads and writes through data/."""
