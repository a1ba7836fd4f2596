#!/usr/bin/env bash
# Compares `piton backup` of many small files, its verification included, with `tar czf` of the same
# tree. It takes the two in turn, so that both meet the same machine; the second backup finds that
# nothing has changed. Prints seconds, processor seconds and memory.
#
#   benches/files.sh [ROUNDS] [FILES]     3 and 100000 where nothing is said
#
# Needs: cargo, GNU time (/usr/bin/time), python3, about 1 GiB below TMPDIR.
set -euo pipefail

rounds=${1:-3}
files=${2:-100000}
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
  /usr/bin/time -o "$work/time" -f "%e %U %S %M" "$@" > "$work/said"
  read -r elapsed user system memory < <(tail -n 1 "$work/time")
  printf '%-34s %7.2f s %7.2f s processor %6d MiB\n' "$name" "$elapsed" \
    "$(awk "BEGIN { print $user + $system }")" $((memory / 1024))
  last=$elapsed
}

echo "making $files files"
python3 - "$work/data" "$files" <<'PYTHON'
import os, random, sys

folder, count = sys.argv[1], int(sys.argv[2])
random.seed(5)
syllables = "ba be di do ga ki lo mu na te si ru".split()
words = ["".join(random.choices(syllables, k=random.randint(1, 3))) for _ in range(4000)]
# A few words of a language are far more frequent than the rest.
text = " ".join(words[int(random.random() ** 2 * len(words))] for _ in range(400_000))
for number in range(count):
    place = os.path.join(folder, f"{number // 1000:03}")
    os.makedirs(place, exist_ok=True)
    start = random.randrange(len(text) - 2000)
    with open(os.path.join(place, f"{number:06}.txt"), "w") as file:
        file.write(text[start : start + random.randint(300, 1100)])
PYTHON

for round in $(seq "$rounds"); do
  echo "round $round"
  rm -rf "$work/backups"
  timed "piton backup" "$PITON" --data "$work/data" --backups "$work/backups" backup
  ours=$last
  timed "piton backup, nothing changed" "$PITON" --data "$work/data" --backups "$work/backups" backup
  timed "tar czf" tar czf "$work/files.tar.gz" -C "$work" data
  printf '%-34s %7.2f\n\n' "  ratio" "$(awk "BEGIN { print $ours / $last }")"
done
