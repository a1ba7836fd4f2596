#!/usr/bin/env bash
# A throw-away Debian machine with a real systemd and sshd, for trials of a deploy.
#
#   machine.sh root                            make the root (once, then kept) and print its folder
#   machine.sh start FOLDER                    boot a machine; what belongs to it lies in FOLDER
#   machine.sh run FOLDER COMMAND [WORD…]      run a command inside as root
#   machine.sh ssh FOLDER USER [WORD…]         the same through sshd, as `root` or `deployer`
#   machine.sh stop FOLDER                     end it; FOLDER stays
#
# FOLDER/srv is /srv inside, with the same user ids; everything else inside is forgotten at the end.
# FOLDER/ssh_config serves `ssh -F FOLDER/ssh_config root@machine`, rsync and scp; FOLDER/port has
# the port, which is open on the loopback address only. FOLDER/console is what the boot said. The network is
# that of the host, so a service inside is reached at 127.0.0.1 from outside. Users: `root`, `deployer`
# (may use sudo without a password) and `app` (runs services).
#
# Needs root, debootstrap, systemd-nspawn (package systemd-container), ssh, and a Debian or relative
# of it. Works where the host itself has no systemd. PITON_E2E_CACHE is where the root is kept.
set -euo pipefail

cache=${PITON_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/piton-e2e}
packages=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,openssh-server,rsync,sqlite3,procps,psmisc,curl,sudo

fail() {
    printf 'machine: %s\n' "$*" >&2
    exit 1
}

# Suite and mirror as apt on this host has them: the origin's main archive of the running release.
source_of_packages() {
    local codename
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    [ -n "$codename" ] || fail "/etc/os-release names no release: this needs a Debian or a relative of it"
    # shellcheck disable=SC2016  # apt fills in these names itself
    apt-get indextargets --format '$(RELEASE) $(REPO_URI) $(COMPONENT)' 'Created-By: Packages' \
        | awk -v suite="$codename" '$1 == suite && $3 == "main" { print $1, $2; exit }'
}

root() {
    local suite mirror name partial
    read -r suite mirror < <(source_of_packages) || fail "apt has no lists: type apt-get update"
    # Another list of packages or another way to furnish it is another root.
    name=$cache/$suite-$({ printf '%s' "$packages" && declare -f furnish; } | cksum | cut -d ' ' -f 1)
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    if [ ! -d "$name" ]; then
        partial=$(mktemp -d "$cache/partial-XXXXXX")
        printf 'machine: making a root of %s, which takes minutes\n' "$suite" >&2
        debootstrap --variant=minbase --include="$packages" "$suite" "$partial" "$mirror" \
            >"$partial.log" 2>&1 || fail "debootstrap failed: see $partial.log"
        furnish "$partial"
        chmod 755 "$partial"
        mv -T "$partial" "$name" && rm -f "$partial.log"
    fi
    exec 9>&-
    printf '%s\n' "$name"
}

# Users and keys that every machine has. No login shell waits for a person here.
furnish() {
    local root=$1
    chroot "$root" useradd --system --user-group --home-dir /srv --shell /usr/sbin/nologin app
    chroot "$root" useradd --create-home --shell /bin/bash deployer
    printf 'deployer ALL=(ALL) NOPASSWD: ALL\n' >"$root/etc/sudoers.d/deployer"
    chmod 440 "$root/etc/sudoers.d/deployer"
    printf 'machine\n' >"$root/etc/hostname"
    printf '127.0.0.1 localhost machine\n' >"$root/etc/hosts"
    # The socket would listen on every address of the host.
    ln -sf /dev/null "$root/etc/systemd/system/ssh.socket"
    ln -sf /dev/null "$root/etc/systemd/system/console-getty.service"
    rm -f "$root"/etc/machine-id "$root"/var/cache/apt/archives/*.deb
}

# A port that nothing listens on.
free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 20000))
        if ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s\n' "$port"
            return
        fi
    done
    fail "no free port found"
}

# What differs from machine to machine is mounted over the root: sshd's port and the one key that enters.
prepare_ssh() {
    local folder=$1 port
    port=$(free_port)
    printf '%s\n' "$port" >"$folder/port"
    [ -f "$folder/key" ] || ssh-keygen -q -t ed25519 -N '' -C machine -f "$folder/key"
    printf '%s\n' "Port $port" "ListenAddress 127.0.0.1" "PasswordAuthentication no" \
        "PermitRootLogin prohibit-password" "AuthorizedKeysFile /etc/ssh/keys" \
        "MaxStartups 100" "UseDNS no" >"$folder/sshd.conf"
    printf '%s\n' "Host machine" "  HostName 127.0.0.1" "  Port $port" \
        "  IdentityFile $folder/key" "  IdentitiesOnly yes" "  UserKnownHostsFile $folder/known_hosts" \
        "  StrictHostKeyChecking accept-new" "  BatchMode yes" "  LogLevel ERROR" >"$folder/ssh_config"
    chown root:root "$folder/key.pub" "$folder/sshd.conf"
    chmod 644 "$folder/key.pub" "$folder/sshd.conf"
    rm -f "$folder/known_hosts"
}

start() {
    local folder root
    mkdir -p "$1/srv"
    folder=$(cd "$1" && pwd)
    [ ! -e "$folder/pid" ] || fail "$folder has a machine already: machine.sh stop $folder"
    root=$(root)
    prepare_ssh "$folder"
    # A session of its own, so that an interrupt of the trial does not reach the machine.
    setsid systemd-nspawn --quiet --directory="$root" --volatile=overlay --boot --register=no --keep-unit \
        --machine="piton-$(<"$folder/port")" --resolv-conf=off --bind="$folder/srv:/srv" \
        --bind-ro="$folder/sshd.conf:/etc/ssh/sshd_config.d/machine.conf" \
        --bind-ro="$folder/key.pub:/etc/ssh/keys" >"$folder/console" 2>&1 </dev/null &
    printf '%s\n' "$!" >"$folder/pid"
    for _ in $(seq 300); do
        kill -0 "$(<"$folder/pid")" 2>/dev/null || break
        case $(state "$folder") in
        running | degraded) return ;;
        esac
        sleep 0.1
    done
    tail -n 20 "$folder/console" >&2
    stop "$folder"
    fail "the machine did not boot: see $folder/console"
}

# The process that is number one inside.
leader() {
    local pid
    pid=$(<"$1/pid")
    awk '{ print $1 }' "/proc/$pid/task/$pid/children"
}

inside() {
    local folder=$1 pid
    shift
    pid=$(leader "$folder")
    [ -n "$pid" ] || fail "no machine runs in $folder"
    nsenter -t "$pid" -m -u -i -p -C --root env -i -C / \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
}

state() { inside "$1" systemctl is-system-running 2>/dev/null || true; }

stop() {
    local folder=$1 pid leader
    [ -e "$folder/pid" ] || return 0
    pid=$(<"$folder/pid")
    # Nothing inside is worth an orderly end; with its first process all others go.
    if leader=$(leader "$folder" 2>/dev/null) && [ -n "$leader" ]; then kill -KILL "$leader"; fi
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    rm -f "$folder/pid"
}

[ "$(id -u)" -eq 0 ] || fail "this needs root"
verb=${1:-}
shift || true
case $verb in
root) root ;;
start) start "${1:?FOLDER is missing}" ;;
run) inside "$@" ;;
ssh)
    folder=${1:?FOLDER is missing} user=${2:?USER is missing}
    shift 2
    ssh -F "$folder/ssh_config" "$user@machine" "$@"
    ;;
stop) stop "${1:?FOLDER is missing}" ;;
*)
    sed -n '2,/^set /p' "$0" | sed -n 's/^# \{0,1\}//p' >&2
    exit 2
    ;;
esac
