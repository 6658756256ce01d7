"""A database of Prefect that is migrated once and copied: to migrate one takes half of a server's start."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

DATABASE = "prefect.db"  # its name in a home of Prefect
MIGRATES = """
import asyncio
from prefect.server.database import provide_database_interface
asyncio.run(provide_database_interface().create_db())
"""
Furnish = Callable[..., None]  # takes a home, and the name of the database if it is another


def migrate(home: Path) -> None:
    """Make a new database in a home of Prefect, as the first start of a server does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    subprocess.run([sys.executable, "-c", MIGRATES], env=kept | {"PREFECT_HOME": str(home)}, check=True)


def furnish(migrated: Path, home: Path, name: str = DATABASE) -> None:
    """Put a copy of a new database where a server that is yet to start will have its own."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(migrated / DATABASE, home / name)
