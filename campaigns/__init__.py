"""One TOML a campaign."""
