"""Tests of flows/, tasks/ and the command line."""
