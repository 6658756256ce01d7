"""One format a file. Every file of this folder defines FORMAT, and data/exchange/registry.py finds it there."""
