"""Responses of systems to test queries."""
