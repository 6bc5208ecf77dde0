"""One process measured, one folder weighed, two trees compared. Nothing here knows a backup program.

Wall, user+sys and peak RSS come from /usr/bin/time: it forks from a process of 2 MB, so that the peak is the program's
own (forked from here it would count this interpreter's memory). CPU includes children; the peak is that of the largest
single process of the tree.
"""
import os
import signal
import stat
import subprocess
import time

TIME = "/usr/bin/time"


def forget_caches():
    """Writes out what is dirty and drops the page, inode and name caches. False where only root may."""
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3")
    except OSError:
        return False
    time.sleep(0.3)
    return True


def read_all(path):
    """Reads every file once. What lies beneath a virtual disk has caches of its own that nobody here can drop: whoever
    ran first would pay for warming them."""
    for folder, _, names in os.walk(path):
        for name in names:
            with open(os.path.join(folder, name), "rb", buffering=0) as f:
                while f.read(1 << 20):
                    pass


def timed(command, env, cwd, log, cold, limit):
    """Runs it once; a dict of rc, wall, cpu, rss_mb, cold. rc 124: killed after `limit` seconds."""
    cold = forget_caches() if cold else False
    out = log + ".time"
    # stdout apart: what a program reports there (JSON) may be wanted afterwards.
    with open(log, "wb") as said, open(log + ".err", "wb") as err:
        p = subprocess.Popen([TIME, "-q", "-o", out, "-f", "%e %U %S %M", *command], env=env, cwd=cwd, stdout=said,
                             stderr=err, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            p.wait(limit)
        except BaseException as e:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
            if isinstance(e, subprocess.TimeoutExpired):
                return {"rc": 124, "wall": float(limit), "cpu": None, "rss_mb": None, "cold": cold}
            raise
    with open(out) as f:
        wall, user, system, rss = f.read().split()[-4:]
    return {"rc": p.returncode, "wall": float(wall), "cpu": round(float(user) + float(system), 2),
            "rss_mb": round(int(rss) / 1024, 1), "cold": cold}


def tail(log, n=500):
    """The last words of a run, both streams."""
    out = ""
    for path in (log, log + ".err"):
        try:
            with open(path, errors="replace") as f:
                out += f.read()[-n:]
        except OSError:
            pass
    return out.strip()[-n:]


def weigh(folder):
    """Every file beneath: path to (size, mtime in ns)."""
    out = {}
    for at, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(at, name)
            s = os.lstat(path)
            out[path] = (s.st_size, s.st_mtime_ns)
    return out


def total(objects):
    return sum(size for size, _ in objects.values())


def new_objects(before, after):
    """Those that were not there, or not like this."""
    return {k: v for k, v in after.items() if before.get(k) != v}


def same_content(a, b):
    with open(a, "rb", buffering=0) as fa, open(b, "rb", buffering=0) as fb:
        while True:
            x, y = fa.read(1 << 20), fb.read(1 << 20)
            if x != y:
                return False
            if not x:
                return True


def compare(source, restored):
    """What differs: names, kinds, modes, owners, contents, times.

    `differences` counts paths that are missing, too many, of another kind, mode, owner, content or target, or whose
    time is off by a second or more. Counted apart, for not every peer keeps them: `ns_lost` (a file's time right to
    the second only) and `folder_times`.
    """
    found = {"files": 0, "differences": 0, "ns_lost": 0, "folder_times": 0, "sample": []}

    def wrong(path, why):
        found["differences"] += 1
        if len(found["sample"]) < 5:
            found["sample"].append(f"{why}: {os.path.relpath(path, source)}")

    def names(folder):
        with os.scandir(folder) as it:
            return {e.name for e in it}

    stack = [(source, restored)]
    while stack:
        a, b = stack.pop()
        sa, sb = os.lstat(a), os.lstat(b)
        if stat.S_IFMT(sa.st_mode) != stat.S_IFMT(sb.st_mode):
            wrong(a, "kind")
            continue
        if not stat.S_ISLNK(sa.st_mode) and sa.st_mode != sb.st_mode and a != source:
            wrong(a, "mode")
        elif (sa.st_uid, sa.st_gid) != (sb.st_uid, sb.st_gid) and a != source:
            wrong(a, "owner")
        apart = abs(sa.st_mtime_ns - sb.st_mtime_ns)
        if stat.S_ISDIR(sa.st_mode):
            found["folder_times"] += apart >= 10**9 and a != source
            na, nb = names(a), names(b)
            for name in na ^ nb:
                wrong(os.path.join(a, name), "missing" if name in na else "not in the source")
            stack += [(os.path.join(a, n), os.path.join(b, n)) for n in na & nb]
            continue
        found["files"] += 1
        if apart >= 10**9:
            wrong(a, "time")
        elif apart:
            found["ns_lost"] += 1
        if stat.S_ISLNK(sa.st_mode):
            if os.readlink(a) != os.readlink(b):
                wrong(a, "target")
        elif stat.S_ISREG(sa.st_mode) and (sa.st_size != sb.st_size or not same_content(a, b)):
            wrong(a, "content")
    return found


class Process:
    """A process that goes on running, read from /proc."""

    def __init__(self, pid):
        self.pid = pid

    def cpu(self):
        """Seconds of user and system time so far, threads that ended included."""
        with open(f"/proc/{self.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """(now, peak) resident MB."""
        got = {}
        with open(f"/proc/{self.pid}/status") as f:
            for line in f:
                if line.startswith(("VmRSS:", "VmHWM:")):
                    got[line[:5]] = round(int(line.split()[1]) / 1024, 1)
        return got["VmRSS"], got["VmHWM"]
