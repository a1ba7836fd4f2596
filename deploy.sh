#!/usr/bin/env bash
# Migrates the data of this folder and restarts the service; puts the data back where that fails.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")"

usage() {
    cat <<'TEXT'
usage: ./deploy.sh [--dry-run] [--restart-always] [-h]

  --dry-run         show the plan and stop
  --restart-always  restart the service even where nothing was to be done
  -h, --help        this text

Settings, as variables or in .deploy.env beside this script (a shell file; it wins):
  # PITON_RESTART='systemctl restart app'   command that restarts the service; none: no restart
  # PITON=/usr/local/bin/piton              the program; else ./piton, this source, or PATH
  # export PITON_DATA=/srv/app/data         piton's own variables need the word export

Exit codes (others are piton's own):
   0  deployed, or nothing was to be done
   4  refused, nothing touched            11  restart failed, rolled back, restarted
   5  failed, everything is as before     12  rolled back, but the restart failed again
   6  failed, the backup was restored     13  restart failed, and so did the rollback
   7  failed, the data needs attention    14  interrupted
TEXT
}

say() { printf 'deploy: %s\n' "$*"; }

# The one closing line: where things stand and what to type next.
finish() {
    local code=$1
    shift
    trap - INT TERM HUP
    if [ "$code" -eq 0 ]; then say "$*"; else say "$*" >&2; fi
    exit "$code"
}

find_piton() {
    if [ -n "${PITON:-}" ]; then
        command -v -- "$PITON" >/dev/null || finish 2 "no program at PITON=$PITON: correct it; nothing was touched"
        piton=$PITON
    elif [ -x ./piton ] && is_piton ./piton; then
        piton=./piton
    elif [ -f Cargo.toml ] && grep -qx 'name = "piton"' Cargo.toml; then
        # In piton's own repository an installed one may be older than the source.
        say "building piton: the first time takes a few minutes"
        cargo build --release --locked --quiet || finish 2 "piton cannot be built: see above; nothing was touched"
        piton=${CARGO_TARGET_DIR:-target}/release/piton
    elif is_piton piton; then
        piton=piton
    else
        finish 2 "no piton here or in PATH: install it, or set PITON; nothing was touched"
    fi
}

# Other programs may have the name; this one answers with its name and a number.
is_piton() { [[ "$("$1" --version 2>/dev/null)" =~ ^piton\ [0-9] ]]; }

restart() {
    say "restarting the service"
    bash -c "$PITON_RESTART"
}

# Where piton itself did not end well, the service is left alone.
ended_badly() {
    local again="correct it, then ./deploy.sh" text
    case $1 in
    2) text="the settings are wrong, nothing was touched: $again" ;;
    4) text="refused, nothing was touched: do what the hint says, then ./deploy.sh" ;;
    5) text="failed, the data is as before, the service was not restarted: $again" ;;
    6) text="failed, the backup was restored, the service was not restarted: $again" ;;
    7) text="failed, and the data could not be put right: read what is said above, then $piton status" ;;
    8) text="another piton is at work, nothing was touched: wait for it, then ./deploy.sh" ;;
    9) text="a process holds a database, nothing was replaced: stop it, then ./deploy.sh" ;;
    *) text="piton ended with code $1, the service was not restarted: type $piton status" ;;
    esac
    finish "$1" "$text"
}

dry_run=no restart_always=no
while [ $# -gt 0 ]; do
    case $1 in
    --dry-run) dry_run=yes ;;
    --restart-always) restart_always=yes ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && finish 2 "unknown argument $1; nothing was touched" ;;
    esac
    shift
done
if [ -f .deploy.env ]; then
    # shellcheck source=/dev/null
    . ./.deploy.env || finish 2 "an error in .deploy.env, nothing was touched: correct it, then ./deploy.sh"
fi

piton=piton next=./deploy.sh
trap 'finish 14 "interrupted: $piton status shows where things stand, then $next"' INT TERM HUP
find_piton

code=0
"$piton" plan --exit-code || code=$?
case $code in
0) idle=yes ;;
3) idle=no ;;
*) ended_badly "$code" ;;
esac
if [ "$dry_run" = yes ]; then
    [ "$idle" = no ] || finish 0 "nothing is to be done"
    finish 0 "only the plan was shown, nothing was touched: ./deploy.sh carries it out"
fi
if [ "$idle" = yes ]; then
    [ "$restart_always" = yes ] || finish 0 "nothing was to be done, nothing was touched"
    [ -n "${PITON_RESTART:-}" ] || finish 2 "nothing was to be done, and no restart command is set: set PITON_RESTART"
    # No rollback here: this run changed nothing, and the last backup is that of an earlier one.
    restart || finish 5 "the restart failed, the data was not touched: see to the service, then ./deploy.sh --restart-always"
    finish 0 "nothing was to be done, and the service was restarted"
fi

"$piton" up --yes || ended_badly "$?"
[ -n "${PITON_RESTART:-}" ] || finish 0 "migrated; no restart command is set: restart the service if there is one"
# A second run would find nothing to do and leave the restart out.
next="./deploy.sh --restart-always"
restart && finish 0 "migrated, and the service was restarted; the way back: $piton rollback --yes"

say "the restart failed: rolling back" >&2
# The same backup again does no harm.
next="$piton rollback --yes"
"$piton" rollback --yes || finish 13 "the restart failed and so did the rollback: stop the service, then type $next"
next=./deploy.sh
restart || finish 12 "rolled back, but the service does not start: see to it, then ./deploy.sh"
finish 11 "rolled back, and the service was restarted: find out why the new release does not start, then ./deploy.sh"
