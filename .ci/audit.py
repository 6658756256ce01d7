#!/usr/bin/env python3
"""Compare constraints.txt with published advisories, by pip-audit (Apache-2.0) in an environment of its own.

Exits with 1 if a pinned package has an advisory. If advisories cannot be read, one line says so and the exit code is 0.
"""

import json
import subprocess
import sys
import urllib.request
import venv
from pathlib import Path
from typing import Any

from pip._internal.models.index import PyPI

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv-audit"
VERSION = "2.10.1"
CONNECT_S = 5
KNOWN = "jinja2/2.10"  # has advisories; an index that names none of them has none of anything
LONGEST_S = 180


class NotAudited(Exception):
    """The advisories cannot be read; the text says why."""


def check_source(index: str) -> None:
    """Raise NotAudited if the index does not answer with the advisories of a package that has some."""
    try:
        with urllib.request.urlopen(f"{index}/{KNOWN}/json", timeout=CONNECT_S) as answer:
            if not json.load(answer)["vulnerabilities"]:
                raise NotAudited("the package index answers without advisories")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotAudited(f"the advisories of the package index cannot be read ({type(error).__name__})") from None


def report() -> dict[str, Any]:
    """Run pip-audit on constraints.txt and return its report."""
    program = ENVIRONMENT / "bin" / "pip-audit"
    audit = [program, "--requirement", ROOT / "constraints.txt", "--no-deps", "--disable-pip", "--format", "json"]
    try:
        if not program.exists():
            venv.create(ENVIRONMENT, with_pip=True, clear=True)
            pip = [ENVIRONMENT / "bin" / "python", "-m", "pip", "install", "--quiet", f"pip-audit=={VERSION}"]
            subprocess.run(pip, check=True, capture_output=True, timeout=LONGEST_S)
        done = subprocess.run(
            [*audit, "--progress-spinner", "off", "--timeout", str(CONNECT_S)],
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise NotAudited(f"pip-audit failed: {' '.join(done.stderr.split())[-200:]}") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise NotAudited(f"pip-audit cannot be run ({type(error).__name__})") from None
    return found


def findings(report: dict[str, Any]) -> list[str]:
    """Return a line for each advisory."""
    return [
        f"{package['name']} {package['version']}: {advisory['id']}, "
        f"fixed in {', '.join(advisory['fix_versions']) or 'no version yet'}"
        for package in report["dependencies"]
        for advisory in package.get("vulns", [])
    ]


def main(index: str) -> int:
    try:
        check_source(index)
        read = report()
        names = [package["name"] for package in read["dependencies"] if "skip_reason" not in package]
        if not names:
            raise NotAudited("pip-audit found none of the packages")
        lines = findings(read)
    except NotAudited as reason:
        print(f"advisories: NOT audited: {reason}")
        return 0
    for line in lines:
        print(f"advisories: {line}")
    print(f"advisories: {len(names)} of {len(read['dependencies'])} packages audited, {len(lines)} advisories")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main(PyPI.pypi_url))
