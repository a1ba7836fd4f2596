#!/usr/bin/env bash
# Compares `piton backup`, its verification included, with what people do by hand without one:
#   `sqlite3 DB ".backup F"`, then `tar c F | pigz -6 -p2`, of a database of about 1 GiB;
#   `tar czf` of 100,000 small files;
# and `piton backup --compression zstd` with restic's first backup of the same file.
# It takes the two in turn, so that both meet the same machine, and prints seconds and memory.
# Needs: cargo, sqlite3, pigz, restic, GNU time (/usr/bin/time), about 4 GiB below TMPDIR.
# Usage: benches/backup.sh [ROUNDS] [ROWS]      (defaults 3 and 690000)
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
mkdir -p "$work/one/data" "$work/many/data"

# timed NAME COMMAND…: elapsed and processor seconds, peak memory of the largest process.
timed() {
  local name=$1
  shift
  sync
  /usr/bin/time -o "$work/time" -f "%e %U %S %M" "$@" > "$work/said"
  read -r elapsed user system memory < <(tail -n 1 "$work/time")
  printf '%-34s %7.2f s %7.2f s processor %6d MiB\n' "$name" "$elapsed" \
    "$(awk "BEGIN { print $user + $system }")" $((memory / 1024))
  last=$elapsed
}

ratio() {
  printf '%-34s %7.2f\n\n' "  ratio" "$(awk "BEGIN { print $1 / $2 }")"
}

echo "making a database of $rows rows and 100,000 files"
sqlite3 "$work/one/data/app.db" ".param init" ".param set :rows $rows" \
  ".read $here/database.sql" > /dev/null
for folder in $(seq 100); do
  mkdir "$work/many/data/$folder"
  # Pieces of the database's own text.
  sqlite3 "$work/one/data/app.db" "SELECT substr(remark, 1, 700) FROM item LIMIT 1000 OFFSET $folder" \
    | (cd "$work/many/data/$folder" && split -l 1 -a 4)
done
printf "database: %d MiB\n\n" $(($(stat -c %s "$work/one/data/app.db") / 1048576))

for round in $(seq "$rounds"); do
  echo "round $round"
  rm -rf "$work/one/backups"
  timed "piton backup" "$PITON" --data "$work/one/data" --backups "$work/one/backups" backup
  ours=$last
  timed "sqlite3 .backup" sqlite3 "$work/one/data/app.db" ".backup $work/copy"
  copied=$last
  timed "tar | pigz -6 -p2" sh -c "tar cC '$work' copy | pigz -6 -p2 > '$work/copy.tar.gz'"
  ratio "$ours" "$(awk "BEGIN { print $copied + $last }")"
  du -m "$work/copy.tar.gz" "$work"/one/backups/*.tar.gz | awk '{ print "  MiB: " $1 }'
  rm -f "$work/copy" "$work/copy.tar.gz"

  rm -rf "$work/one/backups" "$work/restic"
  timed "piton backup, zstd" "$PITON" --data "$work/one/data" --backups "$work/one/backups" \
    backup --compression zstd
  ours=$last
  export RESTIC_PASSWORD=benchmark RESTIC_CACHE_DIR=$work/cache
  restic --quiet init --repo "$work/restic" > /dev/null
  timed "restic, first backup" restic --quiet --repo "$work/restic" backup "$work/one/data/app.db"
  ratio "$ours" "$last"
  du -cm "$work"/restic | awk 'END { print "  MiB of restic: " $1 }'
  du -m "$work"/one/backups/*.tar.zst | awk '{ print "  MiB: " $1 }'
  rm -rf "$work/restic"

  rm -rf "$work/many/backups"
  timed "piton backup, 100,000 files" "$PITON" --data "$work/many/data" --backups "$work/many/backups" backup
  ours=$last
  timed "tar czf" tar czf "$work/many.tar.gz" -C "$work/many" data
  ratio "$ours" "$last"
done
