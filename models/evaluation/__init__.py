"""The responses of systems, and which systems there are."""
