#!/bin/sh
# Photos of tools leave the common folder: uploads/tool-3.jpg becomes uploads/tools/3.jpg.
# No query can see a folder. Where nobody knows whether this ran, it runs again: that is harmless.
# skip-if: SELECT 0
# timeout: 5m
set -eu

cd "$PITON_DATA_DIR"
mkdir -p uploads/tools

moved=0
for old in uploads/tool-*.jpg; do
    [ -e "$old" ] || continue # no photo matches
    id=${old#uploads/tool-}
    new=uploads/tools/$id
    if [ -e "$new" ]; then
        echo "$old and $new both exist: remove the one that is not wanted" >&2
        exit 1
    fi
    mv "$old" "$new"
    moved=$((moved + 1))
done

# Written under another name first, so that no half of it is ever read.
cat >uploads/tools/README.partial <<'TEXT'
One photo per tool, named after its id: 3.jpg shows the tool with id 3.
TEXT
mv uploads/tools/README.partial uploads/tools/README

echo "photos moved: $moved"
