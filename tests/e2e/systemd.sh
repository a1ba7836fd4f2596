#!/usr/bin/env bash
# The tests of units (tests/it/systemd.rs) on a machine with a real systemd, which is thrown away.
#
# Needs what machine.sh needs. Words are handed on to the tests: systemd.sh fence
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
executable=$(cargo test --quiet --test it --no-run --message-format=json \
    | sed -n '/"kind":\["test"\]/s/.*"executable":"\([^"]*\)".*/\1/p')
folder=$(mktemp -d)
trap '"$here/machine.sh" stop "$folder"; rm -rf "$folder"' EXIT
"$here/machine.sh" start "$folder"
install -m 755 "$executable" "$folder/srv/it"
"$here/machine.sh" run "$folder" /srv/it --ignored --test-threads=1 "systemd::${1:-}"
