"""From records to the two tables people read: every figure, and every aim with met or missed."""
import statistics

MB = 1e6
OPS = ("full", "same", "inc", "restore")


class Results:
    """Medians over repetitions; peaks for memory; sizes of the last."""

    def __init__(self, records):
        self.records = records
        self.machine = next((r for r in records if r["what"] == "machine"), {})
        self.scale = self.machine.get("scale", 1.0)
        self.ops = {}
        for r in records:
            if r["what"] == "op":
                self.ops.setdefault((r["set"], r["who"], r["op"]), []).append(r)

    def of(self, what):
        return [r for r in self.records if r["what"] == what]

    def get(self, set_, who, op, key):
        """None where it did not run, failed, or is not to be believed."""
        rows = self.ops.get((set_, who, op), [])
        if not rows or any(wrong(r) for r in rows):
            return None
        values = [r[key] for r in rows if r.get(key) is not None]
        if not values:
            return None
        if key == "rss_mb":
            return max(values)
        return statistics.median(values)


def wrong(r):
    """Why a row proves nothing; empty when it does."""
    if r["rc"]:
        return f"ended with {r['rc']}"
    if r.get("unbelieved"):
        return r["unbelieved"]
    if r.get("differences"):
        return f"{r['differences']} differences after the restore"
    return ""


def table(head, rows):
    rows = [head, *rows]
    widths = [max(len(str(r[i])) for r in rows) for i in range(len(head))]
    lines = []
    for n, row in enumerate(rows):
        cells = [str(c).ljust(w) if i < 1 else str(c).rjust(w) for i, (c, w) in enumerate(zip(row, widths))]
        lines.append("| " + " | ".join(cells) + " |")
        if n == 0:
            lines.append("|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)


def number(value, digits=1):
    return "-" if value is None else f"{value:.{digits}f}"


def figures(res):
    """Absolute figures, a table for each set and operation."""
    out = []
    sets = sorted({k[0] for k in res.ops})
    for set_ in sets:
        for op in OPS:
            who = [k[1] for k in res.ops if k[0] == set_ and k[2] == op]
            if not who:
                continue
            rows = []
            for w in sorted(set(who), key=lambda w: (w != "panicroom", w.startswith("floor"), who.index(w))):
                runs = res.ops[set_, w, op]
                good = [r for r in runs if not wrong(r)]
                if not good:
                    rows.append([w, len(runs), *["-"] * 8, wrong(runs[-1])[:60]])
                    continue
                mid = lambda key: statistics.median(v) if (v := [r[key] for r in good if r.get(key) is not None]) else None
                mb = lambda key: None if mid(key) is None else mid(key) / MB
                ours = res.get(set_, "panicroom", op, "wall")
                notes = [wrong(r)[:60] for r in runs if wrong(r)]
                last = good[-1]
                for key, text in (("ns_lost", "times to the second"), ("folder_times", "folder times differ")):
                    if last.get(key):
                        notes.append(f"{last[key]} {text}")
                rows.append([w, len(good), number(mid("wall"), 2), number(mid("cpu")),
                             number(max(r["rss_mb"] for r in good), 0), number(mb("stored")), number(mid("objects"), 0),
                             number(mb("new_bytes"), 2), number(mid("new_objects"), 0),
                             number(ours / mid("wall"), 2) if ours and w != "panicroom" and mid("wall") else "",
                             "; ".join(notes)])
            out.append(f"\n## {set_}, {op}\n\n" + table(
                ["", "n", "wall s", "CPU s", "RSS MB", "stored MB", "objects", "new MB", "new obj", "panicroom/it", "notes"],
                rows))
    return "\n".join(out)


def judged(res):
    """(work, ours, against, figure, aim, verdict); verdict None: not judged."""
    rows = []

    def against(set_, op, key, peer, bound, unit="s"):
        name = {"wall": "time", "cpu": "CPU", "rss_mb": "RSS"}[key]
        ours, theirs = res.get(set_, "panicroom", op, key), res.get(set_, peer, op, key)
        ratio = ours / theirs if ours is not None and theirs else None
        rows.append([f"{set_}: {op}, {name}", f"{number(ours, 2)} {unit}", f"{peer} {number(theirs, 2)} {unit}",
                     number(ratio, 2), f"<= {bound} x {peer}", None if ratio is None else ratio <= bound, "ratio"])

    def bound(work, ours, limit, unit, digits=1, strict=False, kind="size"):
        met = None if ours is None else (ours < limit if strict else ours <= limit)
        rows.append([work, f"{number(ours, digits)} {unit}", "", "", f"{'<' if strict else '<='} {limit:g} {unit}", met, kind])

    def mb(set_, op, key):
        value = res.get(set_, "panicroom", op, key)
        return None if value is None else value / MB

    against("mixed", "full", "wall", "rustic", 0.65)
    against("mixed", "full", "cpu", "rustic", 0.7)
    against("small", "full", "wall", "restic", 0.6)
    against("small", "same", "wall", "restic", 0.3)
    bound("small: same, new objects", res.get("small", "panicroom", "same", "new_objects"), 0, "", 0, kind="ratio")
    watch, changes, end = res.of("watch"), res.of("change"), res.of("watch-end")
    bound("daemon watching, nothing changed: CPU", 100 * max(r["idle_share"] for r in watch) if watch else None, 0.5,
          "% of a core", 3, strict=True, kind="ratio")
    bound("daemon watching, nothing changed: objects", max(r["new_objects"] for r in watch) if watch else None, 0, "", 0,
          kind="ratio")
    late = statistics.median(r["safe_s"] - r["quiet_s"] for r in changes) if changes else None
    bound("one file changed, daemon watching: safe after its quiet period", late, 0.5, "s", 3, kind="ratio")
    against("mixed", "inc", "wall", "restic", 1.0)
    bound("mixed: inc, written", mb("mixed", "inc", "new_bytes"), 4.4, "MB", 2)
    against("small", "inc", "wall", "restic", 0.4)
    bound("small: inc, written", mb("small", "inc", "new_bytes"), 1.5, "MB", 2)
    for set_ in ("mixed", "small"):
        against(set_, "restore", "wall", "rustic", 0.9)
        bound(f"{set_}: restore, RSS", res.get(set_, "panicroom", "restore", "rss_mb"), 150, "MB")
    for set_ in ("mixed", "small"):
        peaks = [res.get(set_, "panicroom", op, "rss_mb") for op in ("full", "same", "inc")]
        peaks = [p for p in peaks if p is not None]
        bound(f"{set_}: backups, peak RSS", max(peaks) if peaks else None, 100, "MB")
    bound("daemon, peak RSS", max(r["rss_peak_mb"] for r in watch + end) if watch else None, 100, "MB")
    for op in ("full", "same", "restore"):
        many = {r["files"]: r["rss_mb"] for r in res.of("million") if r["op"] == op and not wrong(r)}
        ratio = many[max(many)] / many[min(many)] if len(many) == 2 else None
        rows.append([f"five times the files: {op}, RSS", f"{number(many.get(max(many, default=0)))} MB",
                     f"{number(many.get(min(many, default=0)))} MB", number(ratio, 2), "<= 1.2 x a fifth of the files",
                     None if ratio is None else ratio <= 1.2, "ratio"])
    bound("mixed: stored after full", mb("mixed", "full", "stored"), 2455, "MB")
    bound("small: stored after full", mb("small", "full", "stored"), 215, "MB")
    objects, stored = (res.get("mixed", "panicroom", "full", k) for k in ("objects", "stored"))
    most = None if stored is None else stored / 24e6 + 6
    rows.append(["mixed: objects after full", number(objects, 0), "", "", f"<= stored / 24 MB + 6 = {number(most)}",
                 None if objects is None else objects <= most, "ratio"])
    for set_ in ("mixed", "small"):
        for floor in ("floor", "floor-safe"):
            ours, theirs = (res.get(set_, w, "full", "wall") for w in ("panicroom", floor))
            rows.append([f"{set_}: full, against the {floor}", f"{number(ours, 2)} s", f"{number(theirs, 2)} s",
                         number(ours / theirs if ours and theirs else None, 2), "none: a bound", None, "quote"])
    return rows


def verdict(row, scale):
    met, kind = row[5], row[6]
    if kind == "quote":
        return ""
    if met is None:
        return "not judged"
    if scale == 1.0:
        return "met" if met else "MISSED"
    return "-" if kind == "size" else f"({'met' if met else 'missed'})"


def aims(res):
    rows = judged(res)
    out = "\n## Aims\n\n" + table(["work", "panicroom", "against", "ratio", "aim", "verdict"],
                                  [[*r[:5], verdict(r, res.scale)] for r in rows])
    if res.scale != 1.0:
        out += (f"\n\nThis was {res.scale:g} of the full data: aims are for the full data. Verdicts in brackets are a hint, "
                "sizes are not judged.")
    if not res.machine.get("cold", True):
        out += "\n\nThe caches were WARM (not root, or --warm). These figures are not those the aims speak of."
    return out


def report(records):
    res = Results(records)
    m = res.machine
    head = [f"panicroom {m.get('versions', {}).get('panicroom', '?')}, commit {m.get('commit', '?')}, {m.get('when', '')}",
            f"{m.get('cpus')} x {m.get('cpu')}, {m.get('memory_gb')} GB, kernel {m.get('kernel')}, {m.get('filesystem')}",
            f"load before the first run: {m.get('load')}"]
    head += [f"{k}: {v}" for k, v in m.get("versions", {}).items() if k != "panicroom"]
    for w in res.of("watch"):
        head.append(f"daemon: started and all called safe in {w['start_s']} s, idle {w['idle_s']} s with "
                    f"{w['idle_cpu_s']} s of CPU, {w['new_objects']} objects, peak {w['rss_peak_mb']} MB")
    for c in res.of("change"):
        head.append(f"one change: segment in the vault after {c['segment_s']} s, safe after {c['safe_s']} s "
                    f"({c['quiet_s']} s of them quiet), {c['new_objects']} objects, {c['new_bytes']} bytes")
    for r in res.of("million"):
        head.append(f"{r['files']} files: {r['op']} {r['wall']} s, {r['rss_mb']} MB {wrong(r)}")
    missing = [f"SKIPPED: {r['text']}" for r in res.of("skipped")]
    return "\n".join(["# Benchmark", "", *head, *missing, figures(res), aims(res)])
