#!/usr/bin/env bash
# Times 1,000 migrations (every tenth a table with an index, the others a column) against other
# tools: on a new database, and once more where nothing is to be done.
#
#   benches/migrations.sh [MIGRATIONS]
#
# Needs: a release build (cargo build --release), GNU time. Other tools are timed where they are in
# PATH: sqlx (cargo install sqlx-cli), diesel (cargo install diesel_cli), dbmate (npm install -g dbmate).
set -euo pipefail
piton=$(cd "$(dirname "$0")/.." && pwd)/target/release/piton
count=${1:-1000}
runs=5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

mkdir piton piton/migrations sqlx dbmate diesel
for number in $(seq -f %04g "$count"); do
    if [ $((10#$number % 10)) -eq 1 ]; then
        table=t$number
        text="CREATE TABLE $table (id INTEGER PRIMARY KEY, a TEXT); CREATE INDEX i$number ON $table (a);"
    else
        text="ALTER TABLE $table ADD COLUMN c$number TEXT;"
    fi
    version=2026000000$number
    printf '%s\n' "$text" | tee "piton/migrations/${version}_m.sql" >"sqlx/${version}_m.sql"
    printf -- '-- migrate:up\n%s\n-- migrate:down\n' "$text" >"dbmate/${version}_m.sql"
    mkdir "diesel/${version}_m"
    printf '%s\n' "$text" >"diesel/${version}_m/up.sql"
    : >"diesel/${version}_m/down.sql"
done

# The median wall time of several runs; `fresh` removes the database before each of them.
measure() {
    local name=$1 fresh=$2 database=$3
    shift 3
    local times=()
    for _ in $(seq "$runs"); do
        if [ "$fresh" = fresh ]; then rm -rf "$database" "$database"-* piton/backups piton/data; fi
        times+=("$(command time -f %e "$@" 2>&1 >/dev/null | tail -n 1)")
    done
    printf '%-8s %-10s %s s (median of %s)\n' "$name" "$fresh" \
        "$(printf '%s\n' "${times[@]}" | sort -n | sed -n "$((runs / 2 + 1))p")" "$runs"
}

for state in fresh again; do
    measure piton "$state" piton/data/app.db env -C piton "$piton" up --quiet
    if command -v sqlx >/dev/null; then
        measure sqlx "$state" sqlx.db sh -c \
            'sqlx database create -D sqlite://sqlx.db && sqlx migrate run -D sqlite://sqlx.db --source sqlx'
    fi
    if command -v diesel >/dev/null; then
        measure diesel "$state" diesel.db diesel migration run \
            --database-url diesel.db --migration-dir diesel --config-file /dev/null
    fi
    if command -v dbmate >/dev/null; then
        measure dbmate "$state" dbmate.db dbmate --url sqlite:dbmate.db -d dbmate --no-dump-schema up
    fi
done
