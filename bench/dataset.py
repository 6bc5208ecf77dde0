#!/usr/bin/env python3
"""Deterministic data sets for the benchmark (needs numpy, but for `many` and `undo`).

  dataset.py mixed  4GiB    OUT [--seed N]   NAS-like mix, SIZE bytes in all
  dataset.py small  200000  OUT [--seed N]   N files of 0.2-8 KB, N/50 directories
  dataset.py many   1000000 OUT              N files of 40-140 bytes, 500 a directory: for memory, not for speed
  dataset.py mutate DIR STASH [--seed N]     the day's edits; originals go to STASH
  dataset.py undo   DIR STASH                puts the originals back

mixed: 40 % incompressible 2-200 MB "media", 30 % text/source/JSON of 1 KB-2 MB,
20 % one VM-image-like and one database-like file, 10 % exact and edited copies
(an insertion within the first 64 KiB, so fixed-size blocks do not find them).
mutate: 1 % of the files edited (2/3 appends, 1/3 overwrite in the middle), one
insertion at the start of a large file, 16 random 4 KiB page writes in the VM image,
50 renames, 100 deletions.  Same seed, same bytes.  mtimes are fixed too.
"""
import argparse
import json
import os
import shutil

try:
    import numpy as np
except ImportError:  # what needs it fails where it needs it
    np = None

KI, MI, GI = 1 << 10, 1 << 20, 1 << 30
MTIME = 1_700_000_000


def rng_for(seed, *key):
    return np.random.Generator(np.random.SFC64([seed, *key]))


def make_vocab(rng, n):
    letters = np.frombuffer(b"etaoinshrdlucmfwypvbgkjqxz", dtype=np.uint8)
    p = 1.0 / np.arange(1, 27) ** 0.6
    p /= p.sum()
    out = []
    for ln in rng.integers(2, 11, n):
        out.append(letters[rng.choice(26, ln, p=p)].tobytes())
    return out


class Text:
    """Zipf-distributed words in three styles: prose, source code, JSON records."""

    def __init__(self, seed):
        rng = rng_for(seed, 1)
        w = make_vocab(rng, 6000)
        prose = [x + b" " for x in w]
        for i in range(40, 4000, 37):
            prose[i] = w[i] + b".\n"
        for i in range(45, 4000, 41):
            prose[i] = w[i] + b", "
        code = []
        for i, x in enumerate(w):
            code.append((b"    let ", b"return ", b"(", b".", b");\n", b"self.", b" = ", b"{\n        ", b"}\n\n", b"if ")[i]
                        if i < 10 else x + (b"_", b"(", b" ", b", ", b" = ", b";\n    ")[i % 6])
        js = []
        for i, x in enumerate(w):
            if i < 40:
                js.append(b'", "' + x + b'": "')
            elif i < 60:
                js.append(b'"},\n  {"id": ' + str(i * 7919).encode() + b', "name": "')
            elif i % 3 == 0:
                js.append(str((i * 2654435761) % 1000003).encode())
            else:
                js.append(x)
        self.styles = (prose, code, js)
        rank = np.arange(1, 6001)
        cdf = np.cumsum(1.0 / (rank + 2.7) ** 1.05)
        cdf /= cdf[-1]
        self.table = np.searchsorted(cdf, (np.arange(65536) + 0.5) / 65536).astype(np.uint16)
        self.avg = [float(np.mean([len(v[i]) for i in self.table[::16]])) for v in self.styles]

    def make(self, rng, size, style):
        n = int(size / self.avg[style] * 1.08) + 64
        ids = self.table[rng.integers(0, 65536, n, dtype=np.uint16)]
        b = b"".join(map(self.styles[style].__getitem__, ids.tolist()))
        while len(b) < size:
            b += b[: size - len(b)]
        return b[:size]


def put(path, *parts):
    with open(path, "wb") as f:
        for p in parts:
            f.write(p)
    h = int.from_bytes(os.path.basename(path).encode()[-4:], "big") % 86400 * 300
    os.utime(path, (MTIME + h, MTIME + h))


def log_uniform(rng, lo, hi):
    return int(np.exp(rng.uniform(np.log(lo), np.log(hi))))


def vm_image(path, size, rng, text):
    """Extents: 30 % zero, 30 % compressible, 20 % copies of earlier extents, 20 % random."""
    buf = np.zeros(size, dtype=np.uint8)
    pos = 0
    while pos < size:
        ln = min(log_uniform(rng, 16 * KI, 4 * MI) // 4096 * 4096, size - pos)
        k = rng.random()
        if k < 0.30:
            pass
        elif k < 0.60:
            buf[pos:pos + ln] = np.frombuffer(text.make(rng, ln, int(rng.integers(0, 3))), dtype=np.uint8)
        elif k < 0.80 and pos > ln:
            src = int(rng.integers(0, (pos - ln) // 4096 + 1)) * 4096
            buf[pos:pos + ln] = buf[src:src + ln]
        else:
            buf[pos:pos + ln] = np.frombuffer(rng.bytes(ln), dtype=np.uint8)
        pos += ln
    put(path, buf.data)


def db_file(path, size, rng, text):
    """8 KiB pages: a header, 60-95 % rows (half random keys, half text), zero tail."""
    n = size // 8192
    with open(path, "wb") as f:
        for start in range(0, n, 4096):
            m = min(4096, n - start)
            pg = np.zeros((m, 8192), dtype=np.uint8)
            body = np.frombuffer(text.make(rng, m * 8192, 2), dtype=np.uint8).reshape(m, 8192)
            pg[:, :] = body
            rows = pg[:, 64:8192].reshape(m, 127, 64)
            rows[:, :, :20] = rng.integers(0, 256, (m, 127, 20), dtype=np.uint8)
            rows[:, :, 20:24] = 0
            fill = rng.integers(76, 121, m)
            for i in range(m):
                rows[i, fill[i]:, :] = 0
            pg[:, :64] = 0
            pg[:, 0:8] = np.arange(start, start + m, dtype="<u8").view(np.uint8).reshape(m, 8)
            f.write(pg.data)
    os.utime(path, (MTIME, MTIME))


def mixed(size, out, seed):
    text = Text(seed)
    os.makedirs(out)
    rng = rng_for(seed, 2)
    want, got, media, i = int(size * 0.40), 0, [], 0
    while got < want:
        ln = min(log_uniform(rng, 2 * MI, 200 * MI), max(want - got, 2 * MI))
        d = f"{out}/media/{2015 + i % 8}/album{i % 5:02d}"
        os.makedirs(d, exist_ok=True)
        p = f"{d}/IMG_{i:05d}.{('jpg', 'mp4', 'mkv')[i % 3]}"
        put(p, *[rng.bytes(min(16 * MI, ln - o)) for o in range(0, ln, 16 * MI)])
        media.append((p, ln))
        got += ln
        i += 1
    rng = rng_for(seed, 3)
    want, got, texts, i = int(size * 0.30), 0, [], 0
    while got < want:
        ln = log_uniform(rng, 1 * KI, 2 * MI)
        st = int(rng.integers(0, 3))
        d = f"{out}/docs/{('prose', 'src', 'json')[st]}/p{i % 23:02d}/m{i % 7}"
        os.makedirs(d, exist_ok=True)
        p = f"{d}/f{i:06d}.{('txt', 'rs', 'json')[st]}"
        put(p, text.make(rng, ln, st))
        texts.append((p, ln))
        got += ln
        i += 1
    os.makedirs(f"{out}/vm")
    vm = int(size * 0.12) // 4096 * 4096
    vm_image(f"{out}/vm/disk0.img", vm, rng_for(seed, 4), text)
    db_file(f"{out}/vm/main.db", int(size * 0.08) // 8192 * 8192, rng_for(seed, 5), text)
    rng = rng_for(seed, 6)
    want, got, i = int(size * 0.10), 0, 0
    os.makedirs(f"{out}/copies")
    pool = [m for m in media if m[1] < 60 * MI]
    while got < want:
        p, ln = pool[int(rng.integers(len(pool)))] if pool and rng.random() < 0.10 else texts[int(rng.integers(len(texts)))]
        if ln > want - got + 2 * MI:
            continue
        with open(p, "rb") as f:
            b = f.read()
        q = f"{out}/copies/c{i:05d}_{os.path.basename(p)}"
        if i % 2:
            at = int(rng.integers(0, min(64 * KI, ln)))
            put(q, b[:at], rng.bytes(int(rng.integers(1, 400))), b[at:])
        else:
            put(q, b)
        got += ln
        i += 1


def small(count, out, seed):
    text = Text(seed)
    rng = rng_for(seed, 7)
    ndir = max(1, count // 50)
    dirs = []
    for i in range(ndir):
        d = f"{out}/a{i % 10}/b{i // 10 % 10}/c{i // 100 % 8}/d{i // 800:02d}"
        os.makedirs(d)
        dirs.append(d)
    sizes = np.exp(rng.uniform(np.log(200), np.log(8192), count)).astype(int)
    for i in range(count):
        st = i % 3
        put(f"{dirs[i % ndir]}/n{i:06d}.{('txt', 'rs', 'json')[st]}", text.make(rng, int(sizes[i]), st))


def many(count, out):
    """The first fifth lies in OUT/first, the rest in OUT/rest: the same tree at two sizes."""
    for i in range(count):
        if i % 500 == 0:
            d = f"{out}/{'first' if i < count // 5 else 'rest'}/d{i // 25000:02d}/e{i // 500:05d}"
            os.makedirs(d)
        with open(f"{d}/file_{i:07d}.txt", "wb") as f:
            f.write(b"%d is a small file.\n" % (i * 2654435761 % 1000003) * (2 + i % 5))


def listing(d):
    r = []
    for root, ds, fs in os.walk(d):
        ds.sort()
        for f in sorted(fs):
            p = os.path.join(root, f)
            r.append((os.path.relpath(p, d), os.lstat(p).st_size))
    return r


def mutate(d, stash, seed):
    files = listing(d)
    rng = rng_for(seed, 99)
    os.makedirs(stash)
    used, log = set(), []
    names = [f for f, _ in files]
    size = dict(files)
    mt = [MTIME + 200_000_000]

    def keep(f):
        q = os.path.join(stash, "o%06d" % len(log))
        os.rename(os.path.join(d, f), q)
        return q

    def take(pred=lambda f: True):
        while True:
            f = names[int(rng.integers(len(names)))]
            if f not in used and pred(f):
                used.add(f)
                return f

    def stamp(p):
        mt[0] += 1
        os.utime(p, (mt[0], mt[0]))

    added = 0
    big = sorted((f for f in names if size[f] <= 120 * MI and not f.startswith(("vm/", "copies/"))), key=lambda f: -size[f])[0]
    used.add(big)
    q = keep(big)
    with open(q, "rb") as s, open(os.path.join(d, big), "wb") as o:
        o.write(rng.bytes(1000))
        shutil.copyfileobj(s, o, MI)
    stamp(os.path.join(d, big))
    log.append(["restore", big])
    added += 1000
    vm = "vm/disk0.img"
    if vm in size:
        used.add(vm)
        q = keep(vm)
        shutil.copyfile(q, os.path.join(d, vm))
        with open(os.path.join(d, vm), "r+b") as o:
            for _ in range(16):
                o.seek(int(rng.integers(size[vm] // 4096)) * 4096)
                o.write(rng.bytes(4096))
                added += 4096
        stamp(os.path.join(d, vm))
        log.append(["restore", vm])
    for i in range(len(names) // 100):
        f = take(lambda f: size[f] <= 8 * MI)
        q = keep(f)
        p = os.path.join(d, f)
        shutil.copyfile(q, p)
        n = int(min(max(size[f] // 20, 64), 64 * KI))
        with open(p, "r+b") as o:
            if i % 3 < 2:
                o.seek(0, 2)
            else:
                o.seek(size[f] // 2)
            o.write(rng.bytes(n // 2) + b"edited line of text\n" * (n // 40))
        added += n
        stamp(p)
        log.append(["restore", f])
    for i in range(min(50, len(names) // 10)):
        f = take()
        g = os.path.join(os.path.dirname(f), "renamed_%03d_" % i + os.path.basename(f))
        os.rename(os.path.join(d, f), os.path.join(d, g))
        log.append(["rename", f, g])
    for i in range(min(100, len(names) // 5)):
        f = take()
        keep(f)
        log.append(["restore", f])
    with open(os.path.join(stash, "log.json"), "w") as o:
        json.dump(log, o)
    touched = sum(os.lstat(os.path.join(d, e[1])).st_size for e in log if e[0] == "restore" and os.path.exists(os.path.join(d, e[1])))
    print(json.dumps({"files": len(names), "edited": len(names) // 100 + 1 + (vm in size),
                      "new_bytes": added, "bytes_of_edited_files": touched}))


def undo(d, stash):
    with open(os.path.join(stash, "log.json")) as o:
        log = json.load(o)
    for i, e in enumerate(log):
        if e[0] == "restore":
            os.replace(os.path.join(stash, "o%06d" % i), os.path.join(d, e[1]))
        else:
            os.rename(os.path.join(d, e[2]), os.path.join(d, e[1]))
    shutil.rmtree(stash)


def parse_size(s):
    for suf, m in (("GiB", GI), ("MiB", MI), ("KiB", KI)):
        if s.endswith(suf):
            return int(float(s[:-3]) * m)
    return int(s)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("kind", choices=("mixed", "small", "many", "mutate", "undo"))
    ap.add_argument("a")
    ap.add_argument("b")
    ap.add_argument("--seed", type=int, default=20261122)
    o = ap.parse_args()
    if o.kind == "mixed":
        mixed(parse_size(o.a), o.b, o.seed)
    elif o.kind == "small":
        small(int(o.a), o.b, o.seed)
    elif o.kind == "many":
        many(int(o.a), o.b)
    elif o.kind == "mutate":
        mutate(o.a, o.b, o.seed)
    else:
        undo(o.a, o.b)


if __name__ == "__main__":
    main()
