#!/usr/bin/env bash
# The tests of the proxies run Debian's Caddy and nginx: install what is missing if we may, or say what to do.
set -euo pipefail
missing=()
for program in caddy nginx; do
  PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null || missing+=("$program")
done
if [ ${#missing[@]} = 0 ]; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  policy=/usr/sbin/policy-rc.d # without it, the packages start their services on port 80
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  exit 0
fi
echo "The tests of the proxies need ${missing[*]}: apt-get install ${missing[*]} (as root), then again." >&2
exit 1
