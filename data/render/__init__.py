"""How a page is drawn: templates, charts, highlighted text."""
