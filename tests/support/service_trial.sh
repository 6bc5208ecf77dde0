#!/bin/sh
# Runs inside a booted systemd (tests/service.rs): installs, starts, hurts and stops the real service.
# /share/panicroom is the program, /source the repository; the result goes to /share/result.
set -u
cd /
result=/share/result
: >"$result"
echo "$(date +%T) trial begins"

try() {
    name=$1
    shift
    echo "$(date +%T) --- $name"
    if "$@"; then echo "ok $name" >>"$result"; else echo "FAILED $name" >>"$result"; fi
}
# until WHAT COMMAND…: asks once a second, for two minutes.
until_so() {
    i=0
    while ! "$@" >/dev/null 2>&1; do
        i=$((i + 1))
        [ $i -lt 120 ] || { echo "waited in vain: $*"; systemctl status panicroom --no-pager; journalctl -u panicroom --no-pager -n 40; return 1; }
        sleep 1
    done
}
prop() { systemctl show panicroom -p "$1" --value; }
is() { [ "$(prop "$1")" = "$2" ]; }
all_safe() { panicroom status --json | grep -q "\"safe_files\": $1,"; }
safe() { until_so all_safe "$1"; }

over() {
    journalctl -u panicroom --no-pager -n 200
    echo over >>"$result"
    systemctl poweroff
}
trap over EXIT

# --- installing ---
try "install.sh installs" /source/packaging/install.sh --binary /share/panicroom --prefix /usr/local
PATH=/usr/local/bin:$PATH
export PATH
try "it made the user" id panicroom
try "it wrote the manual" test -s /usr/local/share/man/man1/panicroom.1
try "and the completions" test -s /usr/local/share/bash-completion/completions/panicroom
try "again is fine" /source/packaging/install.sh --binary /share/panicroom --prefix /usr/local

# --- something to keep ---
mkdir -p /srv/data/private /srv/vault /etc/systemd/system/panicroom.service.d
echo open >/srv/data/open
echo secret >/srv/data/private/secret
chmod 700 /srv/data/private
chmod 600 /srv/data/private/secret
cat >/etc/panicroom/config.toml <<'CONFIG'
[[root]]
path = "/srv/data"
quiet = "1s"
[[vault]]
name = "main"
url = "file:///srv/vault"
[alert]
command = "true"
CONFIG
echo "aws_access_key_id = x" >/etc/panicroom/main.credentials
chmod 600 /etc/panicroom/main.credentials
cat >/etc/systemd/system/panicroom.service.d/trial.conf <<'DROPIN'
[Service]
ReadWritePaths=-/srv/vault
LoadCredential=aws-main:/etc/panicroom/main.credentials
WatchdogSec=8
RestartSec=1
DROPIN
systemctl daemon-reload

# --- as install.sh tells it ---
try "init" panicroom init --words-file /root/words
chown -R panicroom: /var/lib/panicroom /srv/vault
try "enable and start: it says that it is ready" systemctl enable --now panicroom
try "it is active" is ActiveState active
try "it reads what is not its own, and all is safe" safe 2
try "its state folder is its own" sh -c '[ "$(stat -c "%U %a" /var/lib/panicroom)" = "panicroom 700" ]'
main=$(prop MainPID)
try "it runs as its own user" sh -c "[ \"\$(stat -c %U /proc/$main)\" = panicroom ] || grep -q '^Uid:.*'\$(id -u panicroom) /proc/$main/status"
try "its only capability is to read" sh -c "grep -q '^CapEff:.*0000000000000004\$' /proc/$main/status"
try "its credential is there under the name it reads" sh -c 'ls /run/credentials/panicroom.service/aws-main'
try "the page answers" sh -c "panicroom status >/dev/null && (command -v curl >/dev/null || exit 0; ip link set lo up; curl -fsS http://127.0.0.1:8420/healthz)"
try "the journal has its words" sh -c 'journalctl -u panicroom --no-pager | grep -q "page is at"'

# --- changes ---
echo new >/srv/data/private/new
try "a change is noticed and safe" safe 3

# --- hurt ---
kill -KILL "$(prop MainPID)"
try "killed, it is started again" until_so sh -c '[ "$(systemctl show panicroom -p NRestarts --value)" = 1 ]'
try "and all is safe" safe 3
kill -STOP "$(prop MainPID)"
try "stuck, the watchdog starts it again" until_so sh -c '[ "$(systemctl show panicroom -p NRestarts --value)" = 2 ]'
try "and all is safe after that" safe 3

# --- the vault's disk goes and comes ---
systemctl stop panicroom
try "it stops in order" is Result success
mv /srv/vault /srv/unplugged
try "without its disk it starts" systemctl start panicroom
try "and alarms" until_so sh -c 'panicroom status | grep -q "needs you"'
mv /srv/unplugged /srv/vault
systemctl restart panicroom
try "plugged in again all is safe" safe 3

# --- a wrong config is not tried again ---
echo 'nonsense = 1' >>/etc/panicroom/config.toml
systemctl restart panicroom
try "a wrong config fails" until_so is ActiveState failed
try "with exit code 2" is ExecMainStatus 2
sleep 5
try "and is not started again" is ActiveState failed
sed -i '/nonsense/d' /etc/panicroom/config.toml
try "mended, it starts" systemctl restart panicroom
try "and all is safe in the end" safe 3
try "stop" systemctl stop panicroom
try "in order" is Result success

# --- out ---
try "uninstall" /source/packaging/install.sh --prefix /usr/local --uninstall
try "leaves what is the operator's" test -s /etc/panicroom/config.toml -a -d /srv/vault -a -d /var/lib/panicroom
