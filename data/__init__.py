"""Contracts, tables, store, vendor formats, label quality. No torch, no Prefect."""
