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

say() { printf 'deploy: %s\n' "$*"; }

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
    4) text="refused, nothing was touched: do what the hint says, then $me" ;;
    5) text="failed, the service and the data are as before: correct it, then $me" ;;
    8) text="another piton is at work, nothing was touched: wait for it, then $me" ;;
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
    if [ -x piton ]; then
        echo "piton $(sha256sum piton | cut -d ' ' -f 1)"
        ./piton deploy --status --exit-code >/dev/null 2>&1
        echo "last $?"
    fi
    if grep -Eqs '^[[:space:]]*releases[[:space:]]*=' piton.toml; then echo releases; fi
    if [ -e current ]; then echo current; fi
}

# Takes over a copied program: only what arrived whole and runs here gets the name.
host_install() {
    cd "$1" || return
    [ "$(sha256sum .piton.new | cut -d ' ' -f 1)" = "$2" ] || { echo "the copy differs" >&2 && return 1; }
    ./.piton.new --version >/dev/null || { echo "it does not run on $(uname -sm)" >&2 && return 1; }
    mv -f .piton.new piton
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

host_publish() { cd "$1/releases" && mv -T ".incoming-$2" "$2"; }

host_plan() {
    local place=$1 release=$2 code=0
    cd "$place" || return
    if [ -n "$release" ]; then
        ./piton deploy --dry-run --release "$release" || code=$?
        rm -rf "releases/$release"
    else
        ./piton --migrations .deploy/plan/migrations --scripts .deploy/plan/scripts deploy --dry-run || code=$?
        rm -rf .deploy/plan
    fi
    return "$code"
}

# Folders, user and unit file; whatever is there stays as it is.
host_setup() {
    local place=$1 name=$2 user=$3 unit=$4 config=$5 file
    [ "$(id -u)" -eq 0 ] || { echo "setup needs root: connect as root, or set DEPLOY_SUDO" >&2 && return 4; }
    id "$user" >/dev/null 2>&1 || useradd --system --user-group --home-dir "$place" --shell /usr/sbin/nologin "$user" || return
    mkdir -p "$place/releases" && cd "$place" || return
    [ -d data ] || install -d -m 750 -o "$user" -g "$user" data || return
    [ -d backups ] || install -d -m 700 backups || return
    [ -e piton.toml ] || printf '%s\n' "$config" >piton.toml
    file=/etc/systemd/system/$name.service
    if ! command -v systemctl >/dev/null; then
        echo "no systemd here: no unit file was written"
    elif [ ! -e "$file" ]; then
        printf '%s\n' "$unit" >"$file" && systemctl daemon-reload && systemctl --quiet enable "$name.service"
    elif ! diff -u "$file" - <<<"$unit"; then
        echo "$file differs from what setup would write (above), and stays as it is"
    fi
}

# ---- What runs here ----

# Runs one of the functions above on the host. It is sent as input, so that it needs no quoting.
there() {
    local words
    printf -v words ' %q' "$@"
    "${ssh[@]}" "$host" "${DEPLOY_SUDO:+$DEPLOY_SUDO }bash" <<<"$(declare -f "$1"); {$words; exit; } </dev/null"
}

connect() {
    # shellcheck disable=SC2206  # a command with its words
    ssh=(${DEPLOY_SSH:-ssh} -o ServerAliveInterval=10 -o ServerAliveCountMax=3)
    # One connection for everything, so that a password is asked for once.
    scratch=$(mktemp -d) && trap 'rm -rf "$scratch"' EXIT
    ssh+=(-o ControlMaster=auto -o "ControlPath=$scratch/%C" -o ControlPersist=20)
    seen=$scratch/seen && : >"$seen"
    found=$(there host_look "$place") || finish 5 "no connection to $host, nothing was touched: see above, then $me"
    case $found in
    missing*) finish 4 "$host lacks ${found#missing }, nothing was touched: install it there, then $me" ;;
    forbidden*) finish 4 "$place on $host cannot be written: connect as another user, or set DEPLOY_SUDO" ;;
    absent*) [ "$verb" = setup ] || finish 4 "there is no $place on $host: $me --setup prepares it" ;;
    esac
}

has() { grep -q "^$1" <<<"$found"; }

copy() {
    rsync -s -e "${ssh[*]@Q}" --rsync-path="${DEPLOY_SUDO:+$DEPLOY_SUDO }rsync" "$@"
}

install_piton() {
    local program=${DEPLOY_PITON:-} sum
    [ -n "$program" ] || { find_piton && program=$piton; }
    sum=$(sha256sum <"$program" | cut -d ' ' -f 1)
    ! has "piton $sum" || return 0
    { copy -z --chmod=755 "$program" "$host:$place/.piton.new" && there host_install "$place" "$sum"; } ||
        finish 5 "piton could not be put on $host, nothing was touched: see above (DEPLOY_PITON names one built for it)"
    say "piton on $host is now $("$program" --version 2>/dev/null || echo updated)"
}

# A key of the file, where it is set to a path.
named() { sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*\"\([^\"]*\)\".*/\1/p" piton.toml 2>/dev/null || true; }

# Copies this folder; data, backups and what belongs to this machine never go along.
sync_to() {
    local folder=$1 name
    shift
    local leave=(--exclude=/.git --exclude=/data --exclude=/backups --exclude=/releases --exclude=/current
        --exclude=/piton --exclude=/.deploy --exclude=/.deploy.env)
    for name in "$(named data)" "$(named backups)"; do
        [ -z "$name" ] || leave+=("--exclude=/${name#./}")
    done
    [ ! -e target/CACHEDIR.TAG ] || leave+=(--exclude=/target)
    [ ! -e .deployignore ] || leave+=(--exclude-from=.deployignore)
    copy -rlptz --chmod=go-w "${leave[@]}" "$@" ./ "$host:$folder/" ||
        finish 5 "the release could not be copied, the service and the data were not touched: then $me"
}

# Brings the release to the host; `release` is its name where releases are kept.
put_release() {
    local revision link=()
    release=
    if has releases; then
        revision=$(git rev-parse --short HEAD 2>/dev/null) || revision=
        # Sorted by time; drawn by lot within a second.
        release=$(date -u +%Y%m%dT%H%M%SZ)-$(printf %04x "$RANDOM")${revision:+-$revision}
        # What did not change is linked, not copied.
        ! has current || link=(--link-dest=../../current/)
        sync_to "$place/releases/.incoming-$release" --mkpath "${link[@]}"
        there host_publish "$place" "$release"
        say "release $release is on $host"
    elif [ "$verb" = dry-run ]; then
        sync_to "$place/.deploy/plan" --mkpath --delete
    else
        # Only migrations and scripts that the release no longer has are removed, never anything else.
        sync_to "$place" --delete --filter='R /migrations/**' --filter='R /scripts/**' --filter='P *'
        say "the release is on $host"
    fi
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
    connect
    local code=0
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
        put_release
        there host_plan "$place" "$release" || code=$?
        ended "$code"
    fi
    if [ "$verb" = deploy ]; then
        install_piton
        put_release
        words+=(${release:+--release "$release"})
    fi
    there host_begin "$place" ./piton "${words[@]}" || finish 5 "it could not be started, nothing was touched: see above"
    follow
}

setup() {
    local name=${DEPLOY_NAME:-$(basename "$place")} code=0
    local user=${DEPLOY_USER:-$name}
    [ -n "${DEPLOY_COMMAND:-}" ] || finish 2 "DEPLOY_COMMAND is not set: the unit file needs to know what to start; nothing was touched"
    there host_setup "$place" "$name" "$user" "$(unit_file "$name" "$user")" "$(host_config "$name")" || finish 4 "the setup stopped: see above, then $me --setup"
    found=$(there host_look "$place") || code=$?
    [ "$code" -eq 0 ] || finish 5 "the connection is lost: $me --setup goes on"
    install_piton
    finish 0 "$host is prepared: look at $place/piton.toml there, then $me"
}

# The host's own configuration, where it has none: releases, the unit, and the data beside them.
host_config() {
    cat <<TEXT
# The configuration of this host. Every key: README.md of piton.
migrations = "current/migrations"
scripts = "current/scripts"

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
AssertPathExists=!$place/data/.piton/fence

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
ReadWritePaths=$place/data
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

target="" verb=deploy words=(--yes deploy)
while [ $# -gt 0 ]; do
    case $1 in
    --dry-run | --status | --resume | --abort | --rollback | --setup)
        [ "$verb" = deploy ] || { usage >&2 && finish 2 "$1 does not go with --$verb; nothing was touched"; }
        verb=${1#--}
        ;;
    --restart) words+=(--restart "${2:-}") && shift ;;
    -h | --help) usage && exit 0 ;;
    ?*:/*) target=$1 ;;
    *) usage >&2 && finish 2 "unknown argument $1; nothing was touched" ;;
    esac
    shift || true
done
if [ -f .deploy.env ]; then
    # shellcheck source=/dev/null
    . ./.deploy.env || finish 2 "an error in .deploy.env, nothing was touched: correct it, then ./deploy.sh"
fi
me=./deploy.sh${target:+ $target}
target=${target:-${DEPLOY_TARGET:-}}
case $verb in
resume | abort | rollback) words+=("--$verb") ;;
esac
if [ -n "$target" ]; then
    host=${target%%:*} place=${target#*:}
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
