"""What no one-shot command can show: the daemon watching a large quiet tree, and one file changing in it."""
import json
import os
import signal
import subprocess
import time

import measure

#: The quiet period of the changed file: taken off what is measured. Above the 2 s within which a stamp is too young to
#: be trusted, as the default is.
QUIET_S = 3.0
#: After a start and after every change it is left alone for this long before anything is measured.
SETTLE_S = 10.0


class Daemon:
    """`panicroom run`, ended with the context."""

    def __init__(self, contestant):
        self.c = contestant

    def __enter__(self):
        self.err = open(self.c.work + "/daemon.log", "wb")
        self.p = subprocess.Popen(self.c.call("run"), env=self.c.env, cwd=self.c.work, stdout=self.err, stderr=self.err,
                                  stdin=subprocess.DEVNULL, start_new_session=True)
        self.process = measure.Process(self.p.pid)
        return self

    def __exit__(self, *_):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
            try:
                self.p.wait(90)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
        self.err.close()

    def ask(self, *words):
        """Its answer as JSON; None while there is none."""
        if self.p.poll() is not None:
            raise RuntimeError("the daemon ended: " + measure.tail(self.c.work + "/daemon.log"))
        r = subprocess.run(self.c.call(*words, "--json"), env=self.c.env, capture_output=True, text=True)
        try:
            return json.loads(r.stdout)
        except ValueError:
            return None

    def until_all_safe(self, limit):
        """Polls until every root was walked and every file is safe; the seconds it took."""
        begun = time.monotonic()
        while time.monotonic() - begun < limit:
            status = self.ask("status")
            roots = status and status["roots"]
            if roots and status["state"] not in ("starting", "checking") and all(
                    not r["dirty"] and r["files"] and r["safe_files"] == r["files"] for r in roots):
                return time.monotonic() - begun
            time.sleep(0.5)
        raise RuntimeError(f"not all safe after {limit} s: {json.dumps(status)[:600]}")

    def stage(self, path):
        """Where a path is on its way, in the daemon's words."""
        answer = self.ask("explain", path)
        return answer and answer["stages"][0]


def segments(vault):
    with os.scandir(vault) as it:
        return {e.name for e in it if e.name.startswith("meta_log_")}


def change(daemon, path, limit=60.0):
    """Appends to one file. Seconds from the close of the file: until a new segment lies in the vault, until the daemon
    calls this file's new version safe."""
    before, stage = segments(daemon.c.repo), daemon.stage(path)
    with open(path, "ab") as f:
        f.write(b"one more line, %d\n" % time.time_ns())
    closed = time.monotonic()
    while not (new := segments(daemon.c.repo) - before):
        if time.monotonic() - closed > limit:
            raise RuntimeError(f"no segment {limit} s after a change: {daemon.stage(path)}")
        # A dozen names: looking costs microseconds.
        time.sleep(0.002)
    named = time.monotonic() - closed
    while True:
        now = daemon.stage(path)
        if now and now != stage and now.endswith("is safe"):
            return {"segment_s": round(named, 3), "safe_s": round(time.monotonic() - closed, 3), "segments": len(new)}
        if time.monotonic() - closed > limit:
            raise RuntimeError(f"not safe {limit} s after a change: {now}")


def figures(contestant, rec, idle_s, changes, cold):
    """Records `watch` (start, idle, memory) and one `change` for each changed file. The files are put back."""
    contestant.quiet = f"{int(QUIET_S * 1000)}ms"
    contestant.prepare()
    log = contestant.work + "/daemon-first.log"
    for step in (contestant.init(), contestant.backup()):
        m = measure.timed(step, contestant.env, contestant.work, log, False, 3600)
        if m["rc"]:
            raise RuntimeError(f"{' '.join(step)}: {measure.tail(log)}")
    cold = measure.forget_caches() if cold else False
    kept = []
    with Daemon(contestant) as daemon:
        start = daemon.until_all_safe(600)
        time.sleep(SETTLE_S)
        objects, cpu, at = measure.weigh(contestant.repo), daemon.process.cpu(), time.monotonic()
        time.sleep(idle_s)
        cpu, span = daemon.process.cpu() - cpu, time.monotonic() - at
        written = measure.new_objects(objects, measure.weigh(contestant.repo))
        start_peak = daemon.process.memory()[1]
        rec(what="watch", cold=cold, start_s=round(start, 2), idle_s=round(span, 1), idle_cpu_s=round(cpu, 3),
            idle_share=cpu / span, new_objects=len(written), new_bytes=measure.total(written), rss_peak_mb=start_peak)
        files = sorted(measure.weigh(contestant.src))
        try:
            for i in range(changes):
                path = files[(2 * i + 1) * len(files) // (2 * changes)]
                with open(path, "rb") as f:
                    kept.append((path, f.read(), os.lstat(path)))
                objects = measure.weigh(contestant.repo)
                took = change(daemon, path)
                time.sleep(1)
                written = measure.new_objects(objects, measure.weigh(contestant.repo))
                rec(what="change", **took, quiet_s=QUIET_S, new_objects=len(written), new_bytes=measure.total(written))
                time.sleep(SETTLE_S / 5)
        finally:
            for path, content, was in kept:
                with open(path, "wb") as f:
                    f.write(content)
                os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
        rec(what="watch-end", rss_mb=daemon.process.memory()[0], rss_peak_mb=daemon.process.memory()[1])
