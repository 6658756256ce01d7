"""One Prefect task a step: read, call models or data, publish."""
