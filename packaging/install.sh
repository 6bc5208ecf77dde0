#!/bin/sh
# Installs panicroom: program, service, user, config, completions, manual. May be run again at any time: it replaces
# what it installed before and never touches an existing config nor the state folder.
#
#   packaging/install.sh [--prefix DIR] [--destdir DIR] [--binary FILE] [--uninstall]
#
#   --prefix DIR    where programs go (default /usr/local)
#   --destdir DIR   install below DIR, as packagers do: no user is made, no service is told
#   --binary FILE   the program (default target/release/panicroom beside this folder)
#   --uninstall     take away what was installed; config, state and user stay
set -eu

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit "${2:-1}"; }
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"; }

here=$(cd "$(dirname "$0")/.." && pwd)
prefix=/usr/local
destdir=
binary=$here/target/release/panicroom
uninstall=no
while [ $# -gt 0 ]; do
    case $1 in
        --prefix | --destdir | --binary)
            [ $# -ge 2 ] || { usage >&2; exit 2; }
            case $1 in
                --prefix) prefix=$2 ;;
                --destdir) destdir=${2%/} ;;
                --binary) binary=$2 ;;
            esac
            shift 2
            ;;
        --uninstall) uninstall=yes; shift ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
case $prefix in /*) prefix=${prefix%/} ;; *) fail "--prefix must be an absolute path" ;; esac
case $destdir in '' | /*) ;; *) fail "--destdir must be an absolute path" ;; esac

program=$destdir$prefix/bin/panicroom
unit=$destdir$prefix/lib/systemd/system/panicroom.service
users=$destdir$prefix/lib/sysusers.d/panicroom.conf
docs=$destdir$prefix/share/doc/panicroom
example=$destdir$prefix/share/panicroom/example.toml
prices=$destdir$prefix/share/panicroom/prices.toml
bash_completion=$destdir$prefix/share/bash-completion/completions/panicroom
zsh_completion=$destdir$prefix/share/zsh/site-functions/_panicroom
fish_completion=$destdir$prefix/share/fish/vendor_completions.d/panicroom.fish
manual=$destdir$prefix/share/man/man1/panicroom.1
etc=$destdir/etc/panicroom

# Not below a destdir, and only where systemd runs.
live() { [ -z "$destdir" ] && [ -d /run/systemd/system ]; }

if [ "$uninstall" = yes ]; then
    if live; then
        systemctl disable --now panicroom.service 2>/dev/null || true
    fi
    rm -f "$program" "$unit" "$users" "$bash_completion" "$zsh_completion" "$fish_completion" "$manual"
    rm -f "$example" "$prices" "$docs/LICENSE-MIT" "$docs/LICENSE-APACHE"
    rmdir "$docs" "$(dirname "$example")" 2>/dev/null || true
    if live; then
        systemctl daemon-reload
    fi
    say "panicroom is taken away. Left as they are: $etc, the state folder, the user panicroom, every vault."
    exit 0
fi

[ -f "$binary" ] || fail "no program at $binary; build it first (cargo build --release) or name it with --binary"
if [ -z "$destdir" ] && [ "$(id -u)" -ne 0 ]; then
    fail "only root can install; use sudo, or --destdir to look at what would be there"
fi

# put MODE FROM TO: by rename, so that a running program keeps its file and nobody sees half of one.
put() {
    mkdir -p "$(dirname "$3")"
    cp "$2" "$3.new"
    chmod "$1" "$3.new"
    mv -f "$3.new" "$3"
}

# made FILE COMMAND…: what the program prints, kept in FILE.
made() {
    to=$1
    shift
    mkdir -p "$(dirname "$to")"
    if "$program" "$@" >"$to.new" 2>/dev/null && [ -s "$to.new" ]; then
        chmod 644 "$to.new"
        mv -f "$to.new" "$to"
    else
        rm -f "$to.new"
        say "note: 'panicroom $*' gave nothing; $to is left out"
    fi
}

put 755 "$binary" "$program"

staged=$(mktemp)
trap 'rm -f "$staged"' EXIT
sed "s|/usr/bin/panicroom|$prefix/bin/panicroom|" "$here/systemd/panicroom.service" >"$staged"
put 644 "$staged" "$unit"
put 644 "$here/packaging/panicroom.sysusers" "$users"
put 644 "$here/config/example.toml" "$example"
put 644 "$here/config/prices.toml" "$prices"
put 644 "$here/LICENSE-MIT" "$docs/LICENSE-MIT"
put 644 "$here/LICENSE-APACHE" "$docs/LICENSE-APACHE"
made "$bash_completion" completions bash
made "$zsh_completion" completions zsh
made "$fish_completion" completions fish
made "$manual" man

if [ -z "$destdir" ] && ! id panicroom >/dev/null 2>&1; then
    if command -v systemd-sysusers >/dev/null; then
        systemd-sysusers "$users"
    elif command -v useradd >/dev/null; then
        useradd --system --user-group --home-dir /var/lib/panicroom --no-create-home --shell /usr/sbin/nologin panicroom
    else
        # BusyBox
        addgroup -S panicroom
        adduser -S -D -H -h /var/lib/panicroom -s /sbin/nologin -G panicroom panicroom
    fi
fi

if [ ! -d "$etc" ]; then
    mkdir -p "$etc"
    chmod 750 "$etc"
fi
if [ -e "$etc/config.toml" ]; then
    say "kept as it is: $etc/config.toml"
else
    put 640 "$here/config/example.toml" "$etc/config.toml"
    if [ -z "$destdir" ]; then
        chgrp panicroom "$etc" "$etc/config.toml"
    fi
fi

if live; then
    systemctl daemon-reload
    # A newer program takes over from a running one; one that is stopped stays stopped.
    systemctl try-restart panicroom.service
fi

say "panicroom is installed in $destdir$prefix. What comes next:
  1. write what to keep and where into /etc/panicroom/config.toml
  2. panicroom init --words-file FILE     (starts the vault; put the words on paper)
  3. chown -R panicroom: /var/lib/panicroom, and the folder of a folder vault
  4. systemctl enable --now panicroom"
