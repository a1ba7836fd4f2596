#!/usr/bin/env bash
# How long a service is away during a deploy, as its client sees it: from the last write that was acknowledged
# to the next one. The example service on a database of about 1 GiB, in turn:
#   by hand         stop, `sqlite3 .backup` of both databases, migrate by the sqlite3 shell, start
#   piton deploy    the same migration, with both backups verified, rehearsed, and healthy in the end
#   bare restart    stop, start
#   piton deploy    with nothing pending
#
#   benches/downtime.sh [ROUNDS] [ROWS]     (defaults 3 and 690000)
#
# Needs: cargo, sqlite3, about 8 GiB below TMPDIR. Says the ratio of the first two, and the difference of the last.
set -euo pipefail

rounds=${1:-3}
rows=${2:-690000}
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../target}
if [ -z "${PITON:-}" ]; then
    cargo build --release --quiet --manifest-path "$here/../Cargo.toml" --bin piton --example service
    PITON=$target/release/piton
fi
service=${SERVICE:-$target/release/examples/service}
address=127.0.0.1:18$((RANDOM % 900 + 100))
work=$(mktemp -d)
cd "$work"

cat >serve.sh <<TEXT
#!/bin/bash
case \$1 in
start)
    setsid '$service' serve --address $address </dev/null >>service.log 2>&1 &
    echo \$! >service.pid
    ;;
stop)
    kill "\$(cat service.pid)"
    # A process that ended has no program, even where nobody has asked for its status yet.
    while [ -e "/proc/\$(cat service.pid)/exe" ]; do sleep 0.01; done
    ;;
status) [ -e service.pid ] && [ -e "/proc/\$(cat service.pid)/exe" ] || exit 3 ;;
esac
TEXT
chmod +x serve.sh
cat >piton.toml <<TEXT
[deploy.service]
manager = "command"
start = "./serve.sh start"
stop = "./serve.sh stop"
status = "./serve.sh status"
[deploy.health]
window = "1s"
[[deploy.health.http]]
url = "http://$address/health"
TEXT

load=
cleanup() {
    [ -z "$load" ] || kill "$load" 2>/dev/null || true
    ./serve.sh stop 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# away NAME COMMAND…: runs it under load and prints the longest silence in milliseconds.
away() {
    local name=$1
    shift
    rm -f log
    sync
    "$service" load --address "$address" --log log &
    load=$!
    sleep 1
    "$@" >said 2>&1 || { cat said >&2 && exit 1; }
    sleep 1
    { kill "$load" && wait "$load"; } 2>/dev/null || true
    load=
    "$service" check --log log >checked || { cat checked >&2 && exit 1; }
    milliseconds=$(sed -n 's/longest silence: \([0-9]*\) ms/\1/p' checked)
    printf '%-34s %7d ms\n' "$name" "$milliseconds"
}

# A file of the history for each column: piton recognises what was done by hand.
column() {
    local file
    file=migrations/$(printf %03d "$1")_column.sql
    printf 'ALTER TABLE writes ADD COLUMN column_%s TEXT;\n' "$1" | tee "$file"
}

by_hand() {
    ./serve.sh stop
    rm -f copy-*
    sqlite3 data/app.db ".backup copy-app"
    sqlite3 data/audit.db ".backup copy-audit"
    sqlite3 data/app.db "BEGIN IMMEDIATE; $(column $(($1 * 2))) COMMIT;"
    ./serve.sh start
}

with_piton() {
    column $(($1 * 2 + 1)) >/dev/null
    "$PITON" deploy
}

bare_restart() {
    ./serve.sh stop
    ./serve.sh start
}

mkdir data
cp -r "$here/../examples/service/migrations" .
"$PITON" --quiet up
echo "filling the database with $rows rows"
sqlite3 data/app.db ".param init" ".param set :rows $rows" ".read $here/database.sql" >/dev/null
printf 'database: %d MiB\n' $(($(stat -c %s data/app.db) / 1048576))
./serve.sh start
sleep 0.5

for round in $(seq "$rounds"); do
    printf '\nround %s\n' "$round"
    away "by hand" by_hand "$round"
    hand=$milliseconds
    away "piton deploy, one migration" with_piton "$round"
    sed -n 's/^/    /p' said
    awk "BEGIN { printf \"  ratio %35.2f\n\", $milliseconds / $hand }"
    away "bare restart" bare_restart
    bare=$milliseconds
    away "piton deploy, nothing pending" "$PITON" deploy
    awk "BEGIN { printf \"  more than a bare restart %16d ms\n\", $milliseconds - $bare }"
done
