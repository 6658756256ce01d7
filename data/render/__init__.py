"""Rendering of pages: templates, charts, highlighted text."""
