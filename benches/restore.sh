#!/usr/bin/env bash
# Compares `piton restore --yes`, which verifies, backs up and compares, with `tar xzf` of the same archive:
# a database of about 1 GiB, the two in turn, so that both meet the same machine. piton itself tells
# how long each of its parts took:
#   unpack    the archive read, compared with its manifest, unpacked and synced
#   check     SQLite's checks of what was unpacked
#   safety    the backup of the state before
#   compare   what is in place compared with the manifest
#   publish   from before the journal to its end; of it `exchange`: the data is neither old nor new
# Then ten databases of 1 MiB, with files, for that last figure.
#
#   benches/restore.sh [ROUNDS] [ROWS]      (defaults 3 and 690000)
#
# Needs: cargo, sqlite3, python3, GNU time (/usr/bin/time), about 5 GiB below TMPDIR.
set -euo pipefail

rounds=${1:-3}
rows=${2:-690000}
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${PITON:-}" ]; then
  cargo build --release --quiet --manifest-path "$here/../Cargo.toml"
  PITON=${CARGO_TARGET_DIR:-$here/../target}/release/piton
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# timed NAME COMMAND…: elapsed and processor seconds, peak memory of the largest process.
timed() {
  local name=$1
  shift
  sync
  /usr/bin/time -o "$work/time" -f "%e %U %S %M" "$@" > "$work/said" 2> "$work/told"
  read -r elapsed user system memory < <(tail -n 1 "$work/time")
  printf '%-34s %7.2f s %7.2f s processor %6d MiB\n' "$name" "$elapsed" \
    "$(awk "BEGIN { print $user + $system }")" $((memory / 1024))
  last=$elapsed
}

# part NAME: milliseconds of one part of the last restore.
part() {
  python3 -c "import json, sys; print(json.load(open(sys.argv[1]))['restored']['timings'][sys.argv[2]])" \
    "$work/said" "$1"
}

parts() {
  local name
  for name in unpack check safety compare publish exchange; do
    printf '  %-32s %7d ms\n' "$name" "$(part "$name")"
  done
}

piton() {
  "$PITON" --quiet --data "$work/$1/data" --backups "$work/$1/backups" "${@:2}"
}

# backed_up PROJECT: takes its first backup, and sets its id.
backed_up() {
  piton "$1" backup > /dev/null
  id=$(basename "$work/$1"/backups/*.tar.gz .tar.gz)
}

echo "making a database of $rows rows"
mkdir -p "$work/one/data" "$work/ten/data"
sqlite3 "$work/one/data/app.db" ".param init" ".param set :rows $rows" \
  ".read $here/database.sql" > /dev/null
printf 'database: %d MiB\n\n' $(($(stat -c %s "$work/one/data/app.db") / 1048576))
backed_up one
archive=$work/one/backups/$id.tar.gz

for round in $(seq "$rounds"); do
  echo "round $round"
  # Something to lose, so that the safety backup is a new one.
  sqlite3 "$work/one/data/app.db" "CREATE TABLE round_$round (id); DELETE FROM item WHERE id % 1000 = $round"
  timed "piton restore --yes" "$PITON" --quiet --data "$work/one/data" --backups "$work/one/backups" \
    restore "$id" --yes --json
  ours=$last
  parts
  unpacked=$(($(part unpack) + $(part publish)))
  mkdir "$work/tar"
  timed "tar xzf" tar xzf "$archive" -C "$work/tar"
  awk "BEGIN { printf \"  %-32s %7.2f\n\", \"ratio of unpack and publish\", $unpacked / 1000 / $last }"
  awk "BEGIN { printf \"  %-32s %7.2f\n\", \"ratio of the whole restore\", $ours / $last }"
  mkdir "$work/synced"
  timed "tar xzf, and sync" sh -c "tar xzf '$archive' -C '$work/synced' && sync -f '$work/synced'"
  awk "BEGIN { printf \"  %-32s %7.2f\n\n\", \"ratio of unpack and publish\", $unpacked / 1000 / $last }"
  rm -rf "$work/tar" "$work/synced"
  # The safety backup of this round, and the undo area with the old files.
  find "$work/one/backups" -name '*.tar.gz' ! -name "$id.*" -delete
  find "$work/one/backups" -name '*.json' ! -name "$id.*" -delete
done
rm -rf "$work/one"

echo "ten databases"
for number in 0 1 2 3 4 5 6 7 8 9; do
  sqlite3 "$work/ten/data/$number.db" "PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY, content BLOB);
    WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000) INSERT INTO t SELECT i, randomblob(1000) FROM n" > /dev/null
  echo "$number" > "$work/ten/data/$number.txt"
done
backed_up ten
for round in $(seq $((rounds * 5))); do
  for number in 0 1 2 3 4 5 6 7 8 9; do
    sqlite3 "$work/ten/data/$number.db" "DELETE FROM t WHERE id = $round"
    echo "$round" > "$work/ten/data/$number.txt"
  done
  # Ten files and a database more, which have to go.
  for number in 0 1 2 3 4 5 6 7 8 9; do echo more > "$work/ten/data/more-$number.txt"; done
  sqlite3 "$work/ten/data/more.db" "CREATE TABLE t (id)"
  piton ten restore "$id" --yes --json > "$work/said" 2> "$work/told"
  printf '  neither old nor new %5d ms, journal to end %5d ms\n' "$(part exchange)" "$(part publish)"
done
