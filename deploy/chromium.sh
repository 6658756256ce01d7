#!/usr/bin/env bash
# The browser tests drive Debian's Chromium: install it where it is missing and we may, or say what to do.
set -euo pipefail
if command -v chromium >/dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
  exit 0
fi
echo "The browser tests need Chromium: apt-get install chromium (as root), then again." >&2
exit 1
