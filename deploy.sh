#!/usr/bin/env bash
# Puts a release in place and calls `piton deploy`: here, or on a host over SSH.
# shellcheck disable=SC2317  # functions called host_… run on the host
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")"

usage() {
    cat <<'TEXT'
usage: ./deploy.sh [USER@HOST:/FOLDER] [FLAG]

Without a host it deploys in this folder. With one it updates piton there, copies this folder there,
and deploys there; a lost connection ends nothing, and the same command follows it again.

  --dry-run         show what would be done, and do nothing
  --status          how the last deploy went, or where it is
  --resume          go on with a deploy that was cut off
  --abort           give up a deploy that was cut off, and bring the old state back
  --rollback        take the last deploy back although it went well
  --restart WHEN    restart the service where nothing is pending: always, when-needed
  --ignore-failing-probes
                    deploy although a probe fails on the service that runs now
  --setup           prepare a host: folders, user, piton, unit file; safe to repeat
  -h, --help        this text

Settings: .deploy.env beside this script (.deploy.env.example). What is not copied: .deployignore.

Exit codes are those of `piton deploy`:
   0  deployed, or nothing was to be done   11  rolled back, and healthy
   2  wrong flags or settings               12  rolled back, but not healthy
   4  refused, nothing touched              13  the rollback failed
   5  failed, nothing touched               14  interrupted, or not finished yet
   8  another piton is at work
TEXT
}

# Names come from elsewhere: what would steer a terminal is left out.
say() { printf 'deploy: %s\n' "${*//[[:cntrl:]]/?}"; }

# The one closing line: where things stand and what to type next.
finish() {
    local code=$1
    shift
    if [ "$code" -eq 0 ]; then say "$*"; else say "$*" >&2; fi
    exit "$code"
}

# Ends with the exit code of a deploy, in words.
ended() {
    local code=$1 text
    # A signal ended it.
    [ "$code" -le 128 ] || code=14
    case $code in
    0) text="done; $me --status tells it again, $me --rollback takes it back"
       [ "$verb" != dry-run ] || text="only the plan was shown, nothing was touched: $me carries it out"
       [ "$verb" != rollback ] || text="the last deploy is taken back: mend the release, then $me" ;;
    2) text="the settings are wrong, nothing was touched: correct them, then $me" ;;
    4) text="refused, nothing was touched: do what the hint says, then $me"
       [ -z "$placed" ] || text="refused, the data and the service were not touched, the files of the release are in their place: do what the hint says, then $me" ;;
    5) text="failed before the service was stopped, no migration ran: correct it, then $me" ;;
    8) text="another piton is at work, the data was not touched: wait for it, then $me" ;;
    11) text="rolled back, the old state runs and is healthy: mend the release, then $me" ;;
    12) text="rolled back, but the service is not healthy: see to it, then $me --resume" ;;
    13) text="the rollback failed: put right what is said above, then $me --resume" ;;
    14) text="interrupted, not finished: $me --resume goes on, $me --abort goes back" ;;
    *) text="piton ended with code $code: $me --status tells where things stand" ;;
    esac
    finish "$code" "$text"
}

# Other programs may have the name; this one answers with its name and a number.
is_piton() { [[ "$("$1" --version 2>/dev/null)" =~ ^piton\ [0-9] ]]; }

find_piton() {
    if [ -n "${PITON:-}" ]; then
        command -v -- "$PITON" >/dev/null || finish 2 "no program at PITON=$PITON: correct it; nothing was touched"
        piton=$(command -v -- "$PITON")
    elif [ -x ./piton ] && is_piton ./piton; then
        piton=./piton
    elif [ -f Cargo.toml ] && grep -qx 'name = "piton"' Cargo.toml; then
        # In piton's own repository an installed one may be older than the source.
        piton=${CARGO_TARGET_DIR:-target}/release/piton
        [ -x "$piton" ] || say "building piton: the first time takes a few minutes"
        cargo build --release --locked --quiet || finish 2 "piton cannot be built: see above; nothing was touched"
    elif is_piton piton; then
        piton=$(command -v piton)
    elif [ -n "${DEPLOY_PITON:-}" ] && is_piton "$DEPLOY_PITON"; then
        piton=$DEPLOY_PITON
    else
        finish 2 "no piton here or in PATH: install it, or set PITON; nothing was touched"
    fi
}

# ---- What runs on the host. These functions are sent there, and use nothing of this script. ----

# Prints what the host has; fails where something is missing that every deploy needs.
host_look() {
    local place=$1 tool
    for tool in rsync flock setsid sha256sum; do
        command -v "$tool" >/dev/null || { echo "missing $tool" && return 0; }
    done
    if [ ! -d "$place" ]; then echo absent && return 0; fi
    if [ ! -w "$place" ]; then echo forbidden && return 0; fi
    cd "$place" || return
    if [ -e .deploy/lock ] && ! flock -n .deploy/lock true; then echo running; fi
    if [ -e piton ] && { [ ! -f piton ] || [ ! -x piton ]; }; then echo taken && return 0; fi
    if [ -x piton ]; then
        echo "piton $(sha256sum piton | cut -d ' ' -f 1)"
        ./piton deploy --status --exit-code >/dev/null 2>&1
        echo "last $?"
    fi
}

# Takes over a copied program: only what arrived whole and runs here gets the name.
host_install() {
    cd "$1" || return
    [ "$(sha256sum .deploy/piton.new | cut -d ' ' -f 1)" = "$2" ] || { echo "the copy differs" >&2 && return 1; }
    ./.deploy/piton.new --version >/dev/null || { echo "it does not run on $(uname -sm)" >&2 && return 1; }
    mv -fT .deploy/piton.new "$3"
}

# Asks piton, whose answer no variable of this host brings into another form.
host_ask() { "$program" "$@" --json=false --quiet=false --color=never; }

# What piton names as it is configured on this host.
host_names() {
    local program=$2 current
    cd "$1" && host_ask status --paths || return
    current=$(host_ask status --paths | sed -n 's/^current\t//p')
    if [ -n "$current" ] && [ -e "$current" ]; then echo linked; fi
}

# What piton names as it is configured now, and as the release that comes will configure it. Sets `names`
# (of both), `coming` (as it will be), `config` (its file in the release), and writes rules for rsync.
host_know() {
    local beside code=0
    names=$(host_ask status --paths) && host_ask status --paths=rsync >.deploy/rules || return
    coming=$names folder=$(host_path folder) config=$(host_path config)
    config=${config#"$folder"/}
    # One above the folder gives way to one in it.
    case $config in '' | /*) config=piton.toml ;; esac
    if [ ! -f "$incoming/$config" ]; then config= && return 0; fi
    # Its paths are relative to its folder, so it is read there, under another name.
    beside=$(dirname -- "$config")/.piton.toml.new
    cp -- "$incoming/$config" "$beside" || return
    if coming=$(host_ask --config "$beside" status --paths); then
        names+=$'\n'$coming
        host_ask --config "$beside" status --paths=rsync >>.deploy/rules || code=$?
    else
        code=$?
    fi
    rm -f -- "$beside"
    return "$code"
}

# A path of the configuration that comes; of several the first.
host_path() { sed -n "s/^$1\t//p" <<<"$coming" | head -n 1; }

# Whether a file is a database, by its content or by what lies beside it; so is what cannot be read.
host_is_sqlite() {
    local head=
    [ -f "$1" ] || return
    [ -r "$1" ] || return 0
    IFS= read -r -N 15 head <"$1" 2>/dev/null || true
    [ "$head" = "SQLite format 3" ]
}
# A name that people give databases: its own program may be the only one that reads it.
host_is_named() { [ -s "$1" ] && [[ ${1,,} == *.@(db|db3|sqlite|sqlite3) ]]; }
host_is_database() { host_is_sqlite "$1" || { [ -f "$1" ] && { [ -e "$1-wal" ] || [ -e "$1-shm" ] || [ -e "$1-journal" ]; }; } || { [ -f "$1" ] && host_is_named "$1"; }; }

# Whether a database is as a deploy has copied it here, or as this release has it.
host_is_copy() {
    [ ! -L "$1" ] && [ ! -s "$1-wal" ] && [ ! -s "$1-journal" ] || return
    cmp -s -- "$1" "$chosen/$1" || grep -Fqxs -e "$(sha256sum -- "$1")" .deploy/copied
}

# A name as a pattern for rsync beside a wildcard; elsewhere a backslash means itself.
host_pattern() { printf '%s' "$1" | sed 's/[][*?\\]/\\&/g'; }

# A name as a rule for rsync.
host_rule() {
    case $1 in
    *$'\n'*) printf 'deploy: a database of the host has a line break in its name: %q\n' "$1" >&2 && return 4 ;;
    *[*?[]*) printf -- '- /%s\n' "$(host_pattern "$1")" ;;
    *) printf -- '- /%s\n' "$1" ;;
    esac
}

# Keeps a database of this host, with its side files, from the release, and says so.
host_keep() {
    local end
    for end in '' -wal -shm -journal; do host_rule "$1$end" >>.deploy/rules || return; done
    kept=$((kept + 1))
    [ "$kept" -gt 10 ] || printf 'deploy: not overwritten: %s, a database of the host that no deploy has copied there\n' "${1//[[:cntrl:]]/?}"
}

# What in the release would write over something of the host that is not the release's.
host_compare() {
    local name base
    while IFS= read -r -d '' name; do
        name=${name#./}
        if [ -d "$chosen/$name" ] && [ ! -L "$chosen/$name" ]; then
            if [ -L "$name" ] || { [ -e "$name" ] && [ ! -d "$name" ]; }; then
                printf 'deploy: %s is a folder here, and a link or a file on the host\n' "${name//[[:cntrl:]]/?}" >&2 && return 4
            fi
        elif [ -d "$name" ] && [ ! -L "$name" ]; then
            printf 'deploy: %s is a folder on the host, and none here\n' "${name//[[:cntrl:]]/?}" >&2 && return 4
        elif host_is_database "$name" && ! host_is_copy "$name"; then
            host_keep "$name" || return
        elif [[ $name == *-wal || $name == *-shm || $name == *-journal ]]; then
            base=${name%-*}
            if host_is_database "$base" || host_is_sqlite "$chosen/$base"; then host_rule "$name" >>.deploy/rules || return; fi
        fi
    done < <(cd "$chosen" && find . -mindepth 1 -print0)
}

# Whether a name belongs to the host: it is data, backups or private, or in what is.
host_owns() {
    local name
    while IFS= read -r name; do
        [[ $1 != "$name" && $1 != "$name"/* ]] || return 0
    done < <(sed -n 's/^inside\t//p' <<<"$names")
    return 1
}

# The folders of migrations and scripts in the release that comes.
host_folders() {
    local name
    while IFS= read -r name; do
        name=${name#"$folder"/}
        [[ $name == /* ]] || printf '%s\n' "$name"
    done < <(sed -n 's/^\(migrations\|scripts\)\t//p' <<<"$coming" | sort -u)
}

# Migrations and scripts that an earlier deploy has put here as they are, and that this release no longer
# has. Sets `outdated`; whatever else lies there stays.
host_outdated() {
    local line file shown=0
    while IFS= read -r line; do
        # One whose name needed an escape begins with a backslash.
        [[ $line != \\* ]] || continue
        file=${line:66}
        if [ -e "$chosen/$file" ] || [ ! -f "$file" ] || [ -L "$file" ] || host_owns "$file"; then continue; fi
        [ "$(sha256sum -- "$file")" != "$line" ] || outdated+=("$file")
    done < <(cat .deploy/placed 2>/dev/null)
    # A migration that stays is one of the history.
    while IFS= read -r -d '' file; do
        if [ -e "$chosen/$file" ] || host_owns "$file" || [[ " ${outdated[*]} " == *" $file "* ]]; then continue; fi
        shown=$((shown + 1))
        [ "$shown" -gt 10 ] || printf 'deploy: left there: %s, which no deploy has copied there\n' "${file//[[:cntrl:]]/?}"
    done < <(host_folders | while IFS= read -r line; do [ ! -d "$line" ] || find "$line" -type f -name '[0-9]*.sql' -print0; done)
}

# Removes them, and notes what of the release may be removed by a later one.
host_tidy() {
    local file line
    for file in "${outdated[@]}"; do
        rm -f -- "$file" || return 5
        [ -d "$chosen/$(dirname -- "$file")" ] || rmdir -- "$(dirname -- "$file")" 2>/dev/null || true
    done
    while IFS= read -r line; do
        [ ! -d "$chosen/$line" ] || (cd "$chosen" && find "$line" -type f -exec sha256sum -- {} +)
    done < <(host_folders) | sort -u >.deploy/placed.new && mv -f .deploy/placed.new .deploy/placed
}

# The words with which piton plans the copied release beside its place. Sets `words`.
host_words() {
    local name path
    words=(--data "$(host_path data)" --backups "$(host_path backups)")
    [ -z "$config" ] || words+=(--config "$incoming/$config")
    for name in migrations scripts; do
        path=$(host_path "$name")
        path=$incoming/${path#"$folder"/}
        [ ! -d "$path" ] || words+=("--$name" "$path")
    done
}

# Refuses a release whose plan is refused, while nothing of it is in place.
host_foresee() {
    local code=0 words=()
    host_words
    "$program" "${words[@]}" deploy --dry-run "$@" >.deploy/foreseen 2>&1 || code=$?
    case $code in 2 | 4) cat .deploy/foreseen >&2 && return 4 ;; esac
}

# Puts a copied release in its place: all but what is data, backups or private by the host's own names, by
# those that the release brings, or by those of the side that sent it (the rules of the fourth word). More words are flags of the deploy.
host_place() {
    local program=$2 incoming=.deploy/$3 chosen=.deploy/chosen names coming folder config name file kept=0 outdated=()
    cd "$1" && exec 9>.deploy/lock || return
    flock -n 9 || return 8
    host_know && host_foresee "${@:5}" || return
    printf '%s\n' "$4" >>.deploy/rules
    rm -rf "$chosen"
    rsync -rlpt --link-dest="$PWD/$incoming" --filter="merge .deploy/rules" "$incoming/" "$chosen/" || return 5
    while IFS= read -r name; do
        if [ -e "$incoming/$name" ] || [ -L "$incoming/$name" ]; then
            printf 'deploy: not overwritten: %s, which belongs to the host\n' "${name//[[:cntrl:]]/?}"
        fi
    done < <(sed -n 's/^inside\t//p' <<<"$names" | sort -u)
    host_compare && host_outdated || return
    [ "$kept" -le 10 ] || echo "deploy: not overwritten: $((kept - 10)) more databases of the host"
    # By content: two files of equal size and second need not be equal.
    rsync -rlptc --filter="merge .deploy/rules" "$chosen/" ./ && host_tidy || return 5
    {
        cat .deploy/copied 2>/dev/null
        # shellcheck disable=SC2030
        while IFS= read -r -d '' file; do
            if { host_is_sqlite "$chosen/$file" || host_is_named "$chosen/$file"; } && cmp -s "$file" "$chosen/$file"; then sha256sum -- "${file#./}"; fi
        done < <(cd "$chosen" && find . -type f -print0)
    } | sort -u >.deploy/copied.new && mv -f .deploy/copied.new .deploy/copied
    rm -rf "$chosen" .deploy/incoming-*
}

# Starts a command in a session of its own, which no lost connection ends; not where one runs.
host_begin() {
    cd "$1" || return
    shift
    mkdir -p -m 700 .deploy && exec 9>.deploy/lock || return
    flock -n 9 || return 0
    rm -f .deploy/code
    : >.deploy/output
    # shellcheck disable=SC2016  # the new shell expands these
    setsid bash -c '"$@" >.deploy/output 2>&1 9>&-
        echo "$?" >.deploy/code.new && mv .deploy/code.new .deploy/code' - "$@" \
        </dev/null >/dev/null 2>&1 &
    echo "$!" >.deploy/pid
}

# Shows the output from a byte on until the command has ended, and ends with its code.
host_follow() {
    cd "$1/.deploy" || return
    if flock -n lock true; then
        tail -c "+$(($2 + 1))" output
    else
        tail -c "+$(($2 + 1))" -s 0.1 -f --pid="$(cat pid)" output
    fi
    # None was written where the machine went down, or somebody killed all of it.
    return "$(cat code 2>/dev/null || echo 14)"
}

host_status() { cd "$1" && ./piton deploy --status --exit-code; }

host_publish() { cd "$1" && mv -T ".incoming-$2" "$2"; }

# The plan with a copied release, in the folder of releases or still beside its place.
host_plan() {
    local program=$2 releases=$3 release=$4 incoming=.deploy/$4 names coming folder config words=() code=0
    cd "$1" || return
    if [ -n "$releases" ]; then
        "$program" deploy --dry-run --release "$release" || code=$?
        rm -rf -- "${releases:?}/$release"
        return "$code"
    fi
    host_know || code=$?
    if [ "$code" -eq 0 ]; then
        host_words
        "$program" "${words[@]}" deploy --dry-run || code=$?
    fi
    rm -rf .deploy/incoming-*
    return "$code"
}

# A folder that is not there yet, of an owner, with a mode.
host_make() { [ -d "$1" ] || install -d -m "$2" -o "$3" -g "$3" -- "$1"; }

# Folders, user and unit file; whatever is there stays as it is.
host_setup() {
    local place=$1 name=$2 user=$3 unit=$4 config=$5 timers=$6 file program=./piton coming data
    [ "$(id -u)" -eq 0 ] || { echo "setup needs root: connect as root, or set DEPLOY_SUDO" >&2 && return 4; }
    id "$user" >/dev/null 2>&1 || useradd --system --user-group --home-dir "$place" --shell /usr/sbin/nologin "$user" || return
    mkdir -p "$place/releases" && cd "$place" || return
    [ -e piton.toml ] || printf '%s\n' "$config" >piton.toml
    # As the host is configured, which need not be what is written here.
    coming=$(host_ask --config piton.toml status --paths) || return
    data=$(host_path data)
    host_make "$data" 750 "$user" && host_make "$(host_path backups)" 700 root || return
    unit=${unit//@DATA@/$data}
    file=/etc/systemd/system/$name.service
    if ! command -v systemctl >/dev/null; then
        echo "no systemd here: no unit file was written"
    elif [ ! -e "$file" ]; then
        printf '%s\n' "$unit" >"$file" && systemctl daemon-reload && systemctl --quiet enable "$name.service"
    elif ! diff -u "$file" - <<<"$unit"; then
        echo "$file differs from what setup would write (above), and stays as it is"
    fi
    if [ -n "$timers" ] && command -v systemctl >/dev/null; then host_timers; fi
}

# Backups, drills and the like by timers of systemd. What exists stays as it is.
host_timers() {
    local folder=/etc/systemd/system written timers
    written=$(host_ask init --timers="$folder" .) || return
    mapfile -t timers < <(sed -n "s|^.* $folder/\(piton-.*\.timer\)$|\1|p" <<<"$written")
    systemctl daemon-reload && systemctl --quiet enable --now "${timers[@]}"
}

# ---- What runs here ----

# Runs one of the functions above on the host. All are sent as input, so that they need no quoting.
there() {
    local words sent
    mapfile -t sent < <(compgen -A function host_)
    printf -v words ' %q' "$@"
    "${ssh[@]}" "$host" "${DEPLOY_SUDO:+$DEPLOY_SUDO }bash" <<<"$(declare -f "${sent[@]}"); {$words; exit; } </dev/null"
}

connect() {
    # shellcheck disable=SC2206  # a command with its words
    ssh=(${DEPLOY_SSH:-ssh} -o ServerAliveInterval=10 -o ServerAliveCountMax=3)
    # One connection for everything, so that a password is asked for once.
    ssh+=(-o ControlMaster=auto -o "ControlPath=$scratch/%C" -o ControlPersist=20)
    seen=$scratch/seen && : >"$seen"
    found=$(there host_look "$place") || finish 5 "no connection to $host, nothing was touched: see above, then $me"
    case $found in
    missing*) finish 4 "$host lacks ${found#missing }, nothing was touched: install it there, then $me" ;;
    taken*) finish 4 "$place/piton on $host is no program, nothing was touched: give it another name there, then $me" ;;
    forbidden*) finish 4 "$place on $host cannot be written: connect as another user, or set DEPLOY_SUDO" ;;
    absent*) [ "$verb" = setup ] || finish 4 "there is no $place on $host: $me --setup prepares it" ;;
    esac
}

has() { grep -q "^$1" <<<"$found"; }

copy() {
    rsync -s -e "${ssh[*]@Q}" --rsync-path="${DEPLOY_SUDO:+$DEPLOY_SUDO }rsync" "$@"
}

# Brings piton to the host; for a look at the plan without taking the place of the one there.
install_piton() {
    local program=${DEPLOY_PITON:-$piton} sum name=piton
    sum=$(sha256sum <"$program" | cut -d ' ' -f 1)
    there_piton=./piton
    ! has "piton $sum" || return 0
    [ "$verb" != dry-run ] || name=.deploy/piton
    there_piton=./$name
    { copy -z --chmod=755 --mkpath "$program" "$host:$place/.deploy/piton.new" && there host_install "$place" "$sum" "$name"; } ||
        finish 5 "piton could not be put on $host, nothing was touched: see above (DEPLOY_PITON names one built for it)"
    [ "$verb" = dry-run ] || say "piton on $host is now $("$program" --version 2>/dev/null || echo updated)"
}

# What is data, backups or private here by piton's own words: rules for rsync.
know_own_names() {
    local code=0
    find_piton
    "$piton" status --paths=rsync --json=false --quiet=false --color=never >"$scratch/rules" || code=$?
    [ "$code" -eq 0 ] ||
        finish "$code" "piton cannot say what must not be copied from here, nothing was touched: correct what is said above (an older piton knows no --paths), then $me"
    ! grep -qs '^!' .deployignore || finish 2 "a line of .deployignore begins with !, which rsync takes for an end of all rules: remove it; nothing was touched"
}

# Copies this folder; data, backups and what belongs to this machine never go along.
sync_to() {
    local folder=$1 day='20[0-9][0-9][0-9][0-9][0-9][0-9]T[0-9][0-9][0-9][0-9][0-9][0-9]Z-??????'
    shift
    # The first rule that matches counts.
    local leave=(--filter="merge $scratch/rules"
        --exclude=/.git --exclude=/data --exclude=/backups --exclude=/releases --exclude=/current
        --exclude=/piton --exclude=/.deploy --exclude=/.deploy.env --exclude="$day.tar*" --exclude="$day.json"
        --exclude=.point --exclude=.staging --exclude='.drill*' --exclude='.offsite*' --exclude=.records
        --exclude=.logbook.jsonl --exclude=.last-backup.json)
    [ ! -e target/CACHEDIR.TAG ] || leave+=(--exclude=/target)
    [ ! -e .deployignore ] || leave+=(--exclude-from=.deployignore)
    # By content: two files of equal size and second need not be equal.
    copy -rlptzc --mkpath --chmod=go-w "${leave[@]}" "$@" ./ "$host:$folder/" ||
        finish 5 "the release could not be copied, the service and the data were not touched: then $me"
}

# A path of the names on the host.
path_of() { sed -n "s/^$1\t//p" <<<"$names"; }

# Refuses where a name that deploy.sh itself writes is data on the host.
require_own_names() {
    local name path
    for name in inside data backups private database; do
        while IFS= read -r path; do
            case $path/ in
            piton/* | .deploy/* | "${releases:-//}"/*)
                finish 4 "$path on $host is data or backups, where deploy.sh keeps its own: give it another name in piton.toml there; no release was copied" ;;
            esac
        done < <(path_of "$name")
    done
}

# Brings the release to the host; `release` is its name, `releases` the folder where releases are kept.
put_release() {
    local names revision code=0 link=()
    names=$(there host_names "$place" "$there_piton") || code=$?
    [ "$code" -eq 0 ] || finish "$code" "piton on $host cannot say what must not be overwritten, no release was copied: correct what is said above, then $me"
    releases=$(path_of releases)
    require_own_names
    revision=$(git rev-parse --short HEAD 2>/dev/null) || revision=
    # Sorted by time; drawn by lot within a second.
    release=$(date -u +%Y%m%dT%H%M%SZ)-$(printf %04x "$RANDOM")${revision:+-$revision}
    if [ -n "$releases" ]; then
        # What did not change is linked, not copied.
        ! grep -qx linked <<<"$names" || link=(--link-dest="$(path_of current)/")
        sync_to "$releases/.incoming-$release" "${link[@]}"
        there host_publish "$releases" "$release"
        [ "$verb" = dry-run ] || say "release $release is on $host"
        return
    fi
    release=incoming-$release
    sync_to "$place/.deploy/$release" --link-dest=../../
    [ "$verb" != dry-run ] || return 0
    there host_place "$place" "$there_piton" "$release" "$(cat "$scratch/rules")" "${flags[@]}" || code=$?
    case $code in
    0) placed=yes && say "the release is on $host" ;;
    8) finish 8 "another deploy is at work on $host, nothing was touched: wait for it, then $me" ;;
    2 | 4) finish "$code" "refused, no file of the release was put in its place: correct what is said above (.deployignore names what stays here), then $me" ;;
    *) finish 5 "the release could not be put in its place, the service and the data were not touched: see above, then $me" ;;
    esac
}

# Follows what runs on the host to its end, also over lost connections.
follow() {
    local code attempt=0
    trap 'finish 14 "the deploy goes on there: $me follows it again, $me --status tells where it is"' INT TERM HUP
    while :; do
        code=0
        there host_follow "$place" "$(stat -c %s "$seen")" | tee -a "$seen" || code=${PIPESTATUS[0]}
        [ "$code" -eq 255 ] || ended "$code"
        attempt=$((attempt + 1))
        [ "$attempt" -le "${DEPLOY_RECONNECTS:-20}" ] ||
            finish 14 "the connection is lost, the deploy goes on there: $me follows it again"
        say "the connection is lost, the deploy goes on there: connecting again" >&2
        sleep 3
    done
}

on_host() {
    local code=0 releases="" release=""
    scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
    case $verb in
    deploy | dry-run) know_own_names ;;
    setup)
        find_piton
        "$piton" status --paths --json=false --quiet=false --color=never >"$scratch/names" || finish 4 "piton cannot read what is configured here, nothing was touched: correct what is said above, then $me --setup"
        ;;
    esac
    connect
    case $verb in
    setup) setup ;;
    status)
        has piton || finish 4 "there is no piton in $place on $host: $me --setup prepares it"
        ! has running || finish 14 "a deploy runs there: $me follows it"
        there host_status "$place" || code=$?
        exit "$code" # piton has said where things stand
        ;;
    esac
    if has running; then
        [ "$verb" = deploy ] || finish 8 "a deploy runs there: $me follows it"
        say "a deploy runs there already, which is followed; what is new here needs another one"
        follow
    fi
    if [ "$verb" = deploy ] && has "last 14"; then ended 14; fi
    if [ "$verb" = dry-run ]; then
        has piton || finish 4 "there is no piton in $place on $host: $me --setup prepares it"
        install_piton
        put_release
        there host_plan "$place" "$there_piton" "$releases" "$release" || code=$?
        ended "$code"
    fi
    if [ "$verb" = deploy ]; then
        install_piton
        put_release
        [ -z "$releases" ] || words+=(--release "$release")
    fi
    there host_begin "$place" ./piton "${words[@]}" || finish 5 "it could not be started, nothing was touched: see above"
    follow
}

setup() {
    local name=${DEPLOY_NAME:-$(basename "$place")} code=0
    local user=${DEPLOY_USER:-$name}
    [ -n "${DEPLOY_COMMAND:-}" ] || finish 2 "DEPLOY_COMMAND is not set: the unit file needs to know what to start; nothing was touched"
    install_piton
    there host_setup "$place" "$name" "$user" "$(unit_file "$name" "$user")" "$(host_config "$name")" "${DEPLOY_TIMERS:-}" || code=$?
    [ "$code" -ne 255 ] || finish 5 "the connection is lost: $me --setup goes on"
    [ "$code" -eq 0 ] || finish 4 "the setup stopped: see above, then $me --setup"
    finish 0 "$host is prepared: look at $place/piton.toml there, then $me"
}

# Data and backups that have another name here have it there as well.
own_folders() {
    local name path folder
    folder=$(sed -n 's/^folder\t//p' "$scratch/names")
    for name in data backups; do
        path=$(sed -n "s/^$name\t//p" "$scratch/names" | head -n 1)
        path=${path#"$folder"/}
        case $path in "$name" | /* | *[\'[:cntrl:]]*) ;; *) printf "%s = '%s'\n" "$name" "$path" ;; esac
    done
}

# The host's own configuration, where it has none: releases, the unit, and the data beside them.
host_config() {
    cat <<TEXT
# The configuration of this host. Every key: README.md of piton.
migrations = "current/migrations"
scripts = "current/scripts"
$(own_folders)
[deploy]
releases = "releases"
hooks = "current/hooks"

[deploy.service]
manager = "systemd"
units = ["$1.service"]

# How the service proves that it is well; a query finds out whether it works on an empty database.
# [[deploy.health.http]]
# url = "http://127.0.0.1:8080/health"
# [[deploy.health.query]]
# database = "app.db"
# sql = "SELECT count(*) > 0 FROM users"
TEXT
}

unit_file() {
    cat <<TEXT
[Unit]
Description=$1
After=network-online.target
Wants=network-online.target
# While a deploy works on the data, nothing may start the service.
AssertPathExists=!@DATA@/.piton/fence

[Service]
User=$2
Group=$2
WorkingDirectory=$place/current
# An interrupted restore is finished first, with the rights of piton itself.
ExecStartPre=+$place/piton --config $place/piton.toml recover
ExecStart=$DEPLOY_COMMAND
EnvironmentFile=-$place/service.env
Restart=on-failure
RestartSec=1
UMask=0027

NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=@DATA@
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
CapabilityBoundingSet=
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target
TEXT
}

target="" verb=deploy words=(--yes deploy) flags=() placed=""
while [ $# -gt 0 ]; do
    case $1 in
    --dry-run | --status | --resume | --abort | --rollback | --setup)
        [ "$verb" = deploy ] || { usage >&2 && finish 2 "$1 does not go with --$verb; nothing was touched"; }
        verb=${1#--}
        ;;
    --ignore-failing-probes) words+=("$1") && flags+=("$1") ;;
    --restart) words+=(--restart "${2:-}") && shift ;;
    -h | --help) usage && exit 0 ;;
    [!-]*:/*) target=$1 ;;
    *) usage >&2 && finish 2 "unknown argument $1; nothing was touched" ;;
    esac
    shift || true
done
if [ -f .deploy.env ]; then
    # shellcheck source=/dev/null
    . ./.deploy.env || finish 2 "an error in .deploy.env, nothing was touched: correct it, then ./deploy.sh"
    # Settings of piton are for piton, however they are written there.
    # shellcheck disable=SC2031
    for name in "${!PITON_@}"; do export "${name?}"; done
fi
me=./deploy.sh${target:+ $target}
target=${target:-${DEPLOY_TARGET:-}}
case $verb in
resume | abort | rollback) words+=("--$verb") ;;
esac
if [ -n "$target" ]; then
    host=${target%%:/*} place=/${target#*:/}
    # ssh and rsync would take it for an option.
    case $target in
    -* | *@-*:/*) finish 2 "$target is no host: its name begins with -; nothing was touched" ;;
    ?*:/?*) ;;
    *) finish 2 "$target is no host with a folder, as in root@app.example:/srv/app; nothing was touched" ;;
    esac
    on_host
fi

[ "$verb" != setup ] || finish 2 "--setup needs a host; nothing was touched"
find_piton
code=0
trap : INT TERM HUP # piton turns back by itself and says so
case $verb in
status) exec "$piton" deploy --status --exit-code ;;
dry-run) "$piton" deploy --dry-run || code=$? ;;
*) "$piton" "${words[@]}" || code=$? ;;
esac
ended "$code"
