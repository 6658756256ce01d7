"""A campaign as a whole: its rounds, plans, rework and lineage."""
