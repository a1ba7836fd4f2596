#!/usr/bin/env bash
# Deploys the example service by deploy.sh over SSH to a throw-away machine with a real systemd
# (machine.sh), well and badly, while a client writes all the time.
#
#   tests/e2e/run.sh [CASE…]      all cases, or those whose name begins like one of the words
#
# After each case: the exit code is the expected one, the release that it promises runs and is healthy, no write
# that was acknowledged before the stop is missing, and the service never saw its database swapped.
# PITON names the program to try; it is built where it is not set. PITON_E2E_WORK keeps what belongs to
# a run. Needs what machine.sh needs. Prints a line per case, and ends with 1 where one failed.
set -euo pipefail
here=$(cd -- "$(dirname -- "$0")" && pwd)
root=$(cd -- "$here/../.." && pwd)
machine=$here/machine.sh
address=127.0.0.1:18$((RANDOM % 900 + 100))

build() {
    local target=${CARGO_TARGET_DIR:-$root/target}
    (cd "$root" && cargo build --quiet --example service)
    service=$target/debug/examples/service
    if [ -z "${PITON:-}" ]; then
        (cd "$root" && cargo build --quiet --bin piton)
        PITON=$target/debug/piton
    fi
}

# The data directory of the project.
data=data

inside() { "$machine" run "$work/machine" "$@"; }

# ---- One project on this side, one folder on the machine ----

# A release: its name, its behaviour; migrations and hooks are whatever lies in the project.
release() { printf '%s %s\n' "$1" "${2:-good}" >"$app/release"; }

migration() { printf '%s\n' "$2" >"$app/migrations/$1" && chmod +x "$app/migrations/$1"; }

deploy() {
    code=0
    (cd "$app" && ./deploy.sh "$@") >>"$work/output" 2>&1 || code=$?
}

# A fresh project, whose release `old` runs and is loaded.
fresh() {
    end_load
    inside systemctl stop app.service 2>/dev/null || true
    rm -rf "$work/app" "$work/machine/srv/app" "$work/machine/srv/full" "$work/machine/srv/signal" "$work/log"
    inside rm -f /etc/systemd/system/app.service
    mkdir -p "$app/bin" "$app/hooks" "$work/machine/srv/signal"
    [ "$data" = data ] || printf "data = '%s'\n" "$data" >"$app/piton.toml"
    cp -r "$root/examples/service/migrations" "$app/"
    cp "$service" "$app/bin/service" && cp "$root/deploy.sh" "$app/"
    cat >"$app/.deploy.env" <<TEXT
DEPLOY_TARGET=root@machine:/srv/app
DEPLOY_SSH='ssh -F $work/machine/ssh_config'
DEPLOY_COMMAND='/srv/app/current/bin/service serve --data /srv/app/$data --address $address'
PITON=$PITON
TEXT
    : >"$work/output"
    release old
    deploy --setup
    [ "$code" -eq 0 ] || return 1
    cat >>"$work/machine/srv/app/piton.toml" <<TEXT
[deploy.health]
deadline = "8s"
window = "1500ms"
[[deploy.health.http]]
url = "http://$address/health"
body = "ok"
TEXT
    since=$(date +%s)
    deploy
    [ "$code" -eq 0 ] || return 1
    begin_load
    migration 002_note.sql "ALTER TABLE writes ADD COLUMN note TEXT;"
    release new
}

load=
begin_load() {
    "$service" load --log "$work/log" --address "$address" &
    load=$!
    sleep 0.5
}

end_load() {
    [ -z "$load" ] || { kill "$load" && wait "$load"; } 2>/dev/null || true
    load=
}

# ---- What has to hold ----

fail() {
    printf 'FAILED  %-34s %s\n' "$name" "$*"
    sed 's/^/        | /' "$work/output" | tail -n 40
    failures=$((failures + 1))
    return 1
}

# Ends a case: the codes that are right, and the release that then has to run.
expect() {
    local codes=$1 running=$2 answer silence
    [[ " $codes " == *" $code "* ]] || { fail "exit code $code, not $codes" && return; } || return 1
    answer=$(curl -sf -m 5 "http://$address/health") || { fail "the service does not answer" && return; } || return 1
    grep -qx "release $running" <<<"$answer" || { fail "not $running runs: $answer" && return; } || return 1
    sleep 0.3
    end_load
    local words=(check --log "$work/log" --data "$work/machine/srv/app/$data")
    [ "$running" = new ] || words+=(--except new)
    "$service" "${words[@]}" >"$work/check" || { fail "$(<"$work/check")" && return; } || return 1
    if inside journalctl --quiet -u app.service --since "@$since" | grep SWAPPED; then
        fail "a database was swapped under the service" || return 1
    fi
    silence=$(sed -n 's/longest silence: //p' "$work/check")
    printf 'held    %-34s code %-2s %-3s runs, nothing written for %s\n' "$name" "$code" "$running" "$silence"
}

# ---- Stopping a deploy at a phase: hooks wait for a sign ----

hold_at() {
    printf '#!/bin/sh\ntouch /srv/signal/there\nwhile [ ! -e /srv/signal/go ]; do sleep 0.05; done\n' >"$app/hooks/$1"
    chmod +x "$app/hooks/$1"
}

# Deploys in the background and waits until it has come to the hook.
deploy_to_hook() {
    rm -f "$work/machine/srv/signal"/*
    (cd "$app" && exec ./deploy.sh) >>"$work/output" 2>&1 &
    deploying=$!
    for _ in $(seq 600); do
        [ ! -e "$work/machine/srv/signal/there" ] || return 0
        kill -0 "$deploying" 2>/dev/null || break
        sleep 0.05
    done
    fail "the deploy did not come to the hook"
}

go() { touch "$work/machine/srv/signal/go"; }

deployed() {
    code=0
    wait "$deploying" || code=$?
}

# The deploy's own process on the machine, by its parent's number.
kill_piton() {
    # shellcheck disable=SC2016  # expanded on the machine
    inside bash -c 'kill -KILL $(ps -o pid= --ppid "$(cat /srv/app/.deploy/pid)")'
}

# Every connection of sshd, and not the process that listens.
cut_connections() {
    # shellcheck disable=SC2016  # expanded on the machine
    inside bash -c 'main=$(systemctl show -P MainPID ssh); for pid in $(pgrep -x sshd); do
        [ "$pid" = "$main" ] || kill -KILL "$pid" 2>/dev/null; done; true'
}

kill_service() { inside systemctl kill -s KILL app.service 2>/dev/null || true; }

forward="preflight backup rehearsal stop fence final-backup migrate switch start health archive"
backward="stop-again put-back switch-back start-again health-again"

# ---- The cases ----

case_good() { deploy && expect 0 new; }
case_crash() { release new crash && deploy && expect 11 old; }
case_crash_soon() { release new crash-soon:1 && deploy && expect 11 old; }
case_broken() { release new broken && deploy && expect 11 old; }
case_slow() { release new slow:3 && deploy && expect 0 new; }
case_too_slow() { release new slow:60 && deploy && expect 11 old; }

case_empty() {
    printf '[[deploy.health.query]]\ndatabase = "app.db"\nsql = "SELECT count(*) > 0 FROM writes"\n' \
        >>"$work/machine/srv/app/piton.toml"
    # The data is given up knowingly; only the data probe can see that it should not have been.
    migration 003_clean.sql $'-- allow: destructive meant\nDELETE FROM writes;\nDELETE FROM counters WHERE 0;'
    end_load
    deploy && expect 11 old
}

case_hang_on_stop() {
    release old hang && rm "$app/migrations/002_note.sql" && deploy
    [ "$code" -eq 0 ] || { fail "the first deploy ended with $code" && return; } || return 1
    migration 002_note.sql "ALTER TABLE writes ADD COLUMN note TEXT;"
    inside sed -i 's/^manager = "systemd"/&\nstop-timeout = "3s"/' /srv/app/piton.toml
    release new && deploy && expect 0 new
}

case_bad_sql() { migration 003_bad.sql "INSERT INTO writes (key) SELECT key FROM writes;" && deploy && expect "4 5" old; }
case_bad_script() { migration 003_bad.sh $'#!/bin/sh\nrm "$PITON_DATABASE"\nexit 1' && deploy && expect "4 5" old; }

# Fails only on the live data, when the rehearsal went well.
case_bad_script_live() {
    migration 003_bad.sh $'#!/bin/sh\ncase $PITON_DATABASE in */.piton/*) ;; *) rm "$PITON_DATABASE"; exit 1 ;; esac'
    deploy && expect 11 old
}

case_rollback() {
    deploy
    [ "$code" -eq 0 ] || { fail "the deploy ended with $code" && return; } || return 1
    deploy --rollback && expect 0 old
}

case_dry_run() {
    deploy --dry-run
    grep -q 002_note "$work/output" || { fail "the plan was not shown" && return; } || return 1
    expect 0 old
}

# A second setup changes nothing, and one who may use sudo can do everything.
case_sudo() {
    local unit before
    unit=/etc/systemd/system/app.service
    before=$(inside md5sum "$unit" /srv/app/piton.toml)
    sed -i 's/root@/deployer@/' "$app/.deploy.env"
    printf "DEPLOY_SUDO='sudo -n'\n" >>"$app/.deploy.env"
    deploy --setup
    [ "$code" -eq 0 ] || { fail "the second setup ended with $code" && return; } || return 1
    [ "$(inside md5sum "$unit" /srv/app/piton.toml)" = "$before" ] || { fail "the second setup changed something" && return; } || return 1
    deploy && expect 0 new
}

# A rebuild that loses rows of its copy on the way.
case_lost_rows() {
    migration 003_lost.sql $'CREATE TABLE w (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, note TEXT);
INSERT INTO w SELECT id, key, note FROM writes;\nDELETE FROM w WHERE id % 2;
DROP TABLE writes;\nALTER TABLE w RENAME TO writes;'
    deploy && expect "4 5" old
}

# The backups go to a file system with room for none.
case_full_disk() {
    inside mkdir -p /srv/full
    inside mount -t tmpfs -o size=64k none /srv/full
    inside sed -i '1i backups = "/srv/full/backups"' /srv/app/piton.toml
    inside dd if=/dev/zero of=/srv/full/filler bs=1k count=48 status=none
    deploy
    inside umount /srv/full
    expect "4 5" old
}

# What belongs to root, and what nobody but root may read.
of_root() {
    # shellcheck disable=SC2016  # expanded on the machine
    inside bash -c 'find /root /etc/passwd /etc/shadow /srv/app -path "/srv/app/$0" -prune -o \
        -path /srv/app/.deploy -prune -o -path /srv/app/backups -prune -o -path /srv/app/releases -prune -o \
        -type f -printf "%p %m %U %s\n" -exec sha256sum {} + | sort' "$data"
}

# The service's user exchanges folders for links, and plants what it likes, while root deploys and goes back.
case_hostile() {
    local before words
    # What is written to a release that is taken back is given up knowingly.
    end_load
    inside bash -c 'printf "the secret of root\n" >/root/secret && chmod 600 /root/secret'
    inside setpriv --reuid app --regid app --clear-groups bash -c \
        "cd /srv/app/$data && mkdir -p uploads/a .piton && printf 'an upload\n' >uploads/a/b.txt"
    cat >"$work/machine/srv/hostile.sh" <<'TEXT'
cd "$1" || exit
for path in /srv/app/piton.toml /srv/app/backups/x /srv/app/.deploy/x /srv/app/piton /root/x; do
    if : >>"$path"; then printf 'could write %s\n' "$path"; fi
done 2>/dev/null
if ls /srv/app/backups >/dev/null 2>&1; then printf 'could read the backups\n'; fi
while :; do
    mv -T uploads aside && ln -s /root uploads && sleep "0.0$((RANDOM % 9))"
    rm -f uploads && mv -T aside uploads
    printf '%s\n' "$RANDOM" >uploads/a/b.txt
    for name in staging tree undo fence.d; do ln -sfn /root ".piton/$name"; done
    ln -sfn /root/secret .piton/restore.json
    sleep "0.0$((RANDOM % 9))"
    for name in staging tree undo fence.d restore.json; do rm -f ".piton/$name"; done
    mv -T .piton-root was && mkdir .piton-root && sleep 0.01 && rm -rf .piton-root && mv -T was .piton-root
done 2>/dev/null
TEXT
    before=$(of_root)
    inside systemd-run --quiet --unit=hostile --uid=app --gid=app bash /srv/hostile.sh "/srv/app/$data"
    for words in '' --rollback '' --rollback; do
        # shellcheck disable=SC2086  # no word where there is none
        deploy $words
        [[ " 0 4 5 7 8 9 10 11 12 13 14 " == *" $code "* ]] || { fail "exit code $code" && return; } || return 1
        [ "$code" -ne 14 ] || deploy --abort
    done
    ! inside journalctl --quiet -u hostile | grep 'could ' || { fail "it was let in" && return; } || return 1
    inside systemctl stop hostile
    [ "$(of_root)" = "$before" ] || { fail "what is root's has changed: $(diff <(printf '%s' "$before") <(of_root))" && return; } || return 1
    # What the last round of the loop has left.
    inside bash -c "cd /srv/app/$data && rm -f .piton/*.json && find -maxdepth 2 -type l -delete &&
        rm -rf aside && { [ ! -d was ] || { rm -rf .piton-root && mv -T was .piton-root; }; }"
    [ "$code" -ne 13 ] || deploy --resume
    deploy --rollback
    rm -f "$work/log" && begin_load
    release new
    deploy && expect 0 new
}

lost_connection() {
    hold_at "before-$1"
    deploy_to_hook && cut_connections && sleep 0.3 && go && deployed && expect 0 new
}

# Nobody is there any more: the next call follows to the end.
lost_for_good() {
    hold_at "before-$1"
    printf 'DEPLOY_RECONNECTS=0\n' >>"$app/.deploy.env"
    deploy_to_hook && cut_connections && deployed || return
    [ "$code" -eq 14 ] || { fail "the cut off client ended with $code" && return; } || return 1
    (sleep 1 && go) &
    deploy && expect 0 new
}

killed() {
    local phase=$1 verb=$2
    hold_at "before-$phase"
    deploy_to_hook && kill_piton && go && deployed || return
    [ "$code" -eq 14 ] || { fail "the killed deploy ended with $code" && return; } || return 1
    deploy "--$verb"
    case $verb in
    resume) expect 0 new ;;
    abort) expect "0 11 14" old ;;
    esac
}

killed_on_the_way_back() {
    release new broken
    hold_at "before-$1"
    deploy_to_hook && kill_piton && go && deployed || return
    [ "$code" -eq 14 ] || { fail "the killed deploy ended with $code" && return; } || return 1
    deploy --resume && expect 11 old
}

service_killed() {
    hold_at "before-$1"
    deploy_to_hook && kill_service && sleep 0.3 && go && deployed || return
    # Killed behind the health, it is systemd that starts it again, in its own time.
    for _ in $(seq 50); do
        ! curl -sf -m 5 "http://$address/health" >/dev/null || break
        sleep 0.1
    done
    expect 0 new
}

# ---- All of them ----

wanted() {
    local word
    [ "${#chosen[@]}" -gt 0 ] || return 0
    for word in "${chosen[@]}"; do [[ $name != "$word"* ]] || return 0; done
    return 1
}

try() {
    name=$1
    shift
    wanted || return 0
    cases=$((cases + 1))
    fresh || { fail "the service could not be set up" || true && return; }
    "$@" || true
}

chosen=("$@")
failures=0 cases=0
work=${PITON_E2E_WORK:-$(mktemp -d)}
mkdir -p "$work"
app=$work/app
build
"$machine" start "$work/machine"
trap 'end_load; "$machine" stop "$work/machine"; [ -n "${PITON_E2E_WORK:-}" ] || rm -rf "$work"' EXIT

for case in good crash crash_soon broken slow too_slow empty hang_on_stop bad_sql bad_script bad_script_live \
    lost_rows full_disk rollback dry_run sudo hostile; do
    try "$case" "case_$case"
done
# However the data is called, here or there.
for data in live var/lib/app .data; do try "named-$data" case_good; done
data=data
for phase in $forward; do
    try "lost-connection-$phase" lost_connection "$phase"
    try "killed-$phase-resume" killed "$phase" resume
    try "killed-$phase-abort" killed "$phase" abort
    try "service-killed-$phase" service_killed "$phase"
done
for phase in backup migrate; do try "lost-for-good-$phase" lost_for_good "$phase"; done
for phase in $backward; do try "killed-back-$phase" killed_on_the_way_back "$phase"; done

printf '%d cases, %d failed\n' "$cases" "$failures"
[ "$failures" -eq 0 ]
