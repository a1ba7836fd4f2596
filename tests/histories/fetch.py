#!/usr/bin/env python3
"""Brings a public migration history into piton's naming: `<digits>_<name>.sql` in one folder.

    fetch.py REPOSITORY PATH FORMAT TARGET    one history
    fetch.py --all CLONES TARGET              every line of sources.tsv that CLONES has

REPOSITORY is a git directory or a checkout; PATH is the folder in its newest commit. CLONES holds
a clone of each repository as `owner/name`, bare or not. Nothing that this writes belongs into a commit.

Formats: flat (also sqlx, golang-migrate, refinery, flyway, drizzle), dirs (diesel, prisma,
rusqlite_migration), nested (a folder per release), popx (a file per dialect), goose, dbmate,
listed:FILE (numbered in the order in which FILE names the files). A fifth column of sources.tsv
names the database, or the SQL that makes it, on which the history starts (`commit:path`). Several folders of one
history are joined by `+`. Placeholders such as `${x}` become 0.
"""

import pathlib
import re
import sqlite3
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
BACKWARD = re.compile(r"\.(down|rollback|undo)\.*(\.|$)", re.I)


def git(repository, *arguments):
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


def files(repository, folder):
    """The SQL files below a folder, by their path relative to it."""
    names = git(repository, "ls-tree", "-r", "--name-only", "HEAD", "--", folder + "/")
    for name in names.decode().splitlines():
        if name.lower().endswith(".sql") and not BACKWARD.search(name[:-3]):
            yield name[len(folder) + 1 :], name


def numbers(text):
    """A sorting key in which numbers count as numbers."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text)]


def flat(found, _):
    names = [name for name in found if "/" not in name]
    # Where a tool wants `.up.sql`, it does not see other files.
    names = [name for name in names if ".up." in name] or names
    return [(version_of(name), name, name) for name in sorted(names, key=numbers)]


def dirs(found, _):
    names = [name for name in found if re.fullmatch(r"[^/]+/(up|migration)\.sql", name)]
    pairs = []
    for name in sorted(names):
        folder = name.split("/")[0]
        pairs.append((folder.split("_")[0].replace("-", ""), folder, name))
    return pairs


def nested(found, _):
    names = [name for name in found if name.count("/") == 1]
    return [(None, name, name) for name in sorted(names, key=numbers)]


def popx(found, _):
    chosen = {}
    for name in sorted(found):
        parts = name[: -len(".up.sql")].split(".") if name.endswith(".up.sql") else None
        if not parts or "/" in name:
            continue
        stem, tags = parts[0], set(parts[1:]) - {"autocommit"}
        if tags <= {"sqlite", "sqlite3"} and (tags or stem not in chosen):
            chosen[stem] = name
    return [(version_of(stem), stem, name) for stem, name in sorted(chosen.items())]


def listed(found, order):
    places = {name: order.find(name) for name in found if "/" not in name}
    missing = [name for name, place in places.items() if place < 0 and not re.fullmatch(r"patch\d+\.sql", name)]
    for name in missing:
        del places[name]
    return [(None, name, name) for name in sorted(places, key=lambda name: (places[name], numbers(name)))]


def version_of(name):
    found = re.match(r"[A-Za-z]?(\d+)", name)
    return found and found.group(1)


def section(text, begin, end):
    """The lines between two markers; the markers of single statements are comments and stay."""
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        if re.match(begin, line, re.I):
            inside = True
        elif re.match(end, line, re.I):
            inside = False
        elif inside:
            kept.append(line)
    return "".join(kept)


SECTIONS = {
    "goose": (r"\s*--\s*\+goose\s+up", r"\s*--\s*\+goose\s+down"),
    "dbmate": (r"\s*--\s*migrate:up", r"\s*--\s*migrate:down"),
}
LAYOUTS = {"flat": flat, "dirs": dirs, "nested": nested, "popx": popx, "listed": listed, "goose": flat, "dbmate": flat}


def convert(repository, folder, style, target):
    style, _, order = style.partition(":")
    order = git(repository, "show", f"HEAD:{order}").decode() if order else ""
    found = {name: path for one in folder.split("+") for name, path in files(repository, one)}
    layout = LAYOUTS[style](found, order)
    versions = [version.lstrip("0") if version else None for version, _, _ in layout]
    renumber = None in versions or len(set(versions)) < len(versions)
    # Diesel orders its versions as text, of which some are shorter.
    renumber = renumber or versions != sorted(versions, key=lambda version: int(version or 0))
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.sql"):
        old.unlink()
    for number, (version, name, path) in enumerate(layout, 1):
        content = git(repository, "show", f"HEAD:{found[path]}")
        content = re.sub(rb"\$\{[^}\n]*\}", b"0", content)
        if style in SECTIONS:
            content = section(content.decode(), *SECTIONS[style]).encode()
        name = re.sub(r"\.(up\.*)?sql$", "", re.sub(r"^[A-Za-z]?[\d.-]+", "", name))
        name = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()
        version = f"{number:04}" if renumber else version
        (target / f"{version}_{name}.sql").write_bytes(content)
    return len(layout)


def lay_base(content, path):
    if content.startswith(b"SQLite format 3"):
        path.write_bytes(content)
        return
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        connection.executescript(content.decode())
    connection.close()


def main(arguments):
    if arguments[:1] == ["--all"] and len(arguments) == 3:
        clones, target = map(pathlib.Path, arguments[1:])
        for line in (HERE / "sources.tsv").read_text().splitlines():
            if not line or line.startswith("#"):
                continue
            name, source, folder, style, *base = line.split("\t")
            repository = clones / source
            if not repository.exists():
                print(f"{name}: {source} is not in {clones}", file=sys.stderr)
                continue
            print(f"{name}: {convert(repository, folder, style, target / name)}")
            for place in base:
                lay_base(git(repository, "show", place), target / name / "base.db")
    elif len(arguments) == 4:
        repository, folder, style, target = arguments
        print(convert(repository, folder.strip("/"), style, pathlib.Path(target)))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
