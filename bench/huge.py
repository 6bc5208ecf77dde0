#!/usr/bin/env python3
"""What a plan and a bill of a very large vault take: 10 TB in 5,000,000 files and 400,000 packs, all in Deep Archive.

    cargo build --release --bin panicroom --example huge
    bench/huge.py [--files N] [--packs N] [--work DIR]

Nobody has that vault here, so its catalog is made by the import that a rebuild uses, and its server by a program that
answers listings and nothing else (bench/huge). What is measured is the released program: `cost`, `restore --plan` of
everything and of one folder. Every request but a listing counts as a fault, and so does memory that grows with the vault.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import aims  # noqa: E402

#: A page of a listing.
PAGE = 1000
#: Seconds and megabytes.
AIMS = {"cost": (5, 100), "plan, one folder": (30, 100), "plan, everything": (60, 150)}


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--files", type=int, default=5_000_000)
    ap.add_argument("--packs", type=int, default=400_000)
    ap.add_argument("--built", default=os.path.join(HERE, "../target/release"), help="where the two programs lie")
    ap.add_argument("--work", default=os.path.join(tempfile.gettempdir(), "panicroom-huge"), help="about 8 GB; emptied")
    ap.add_argument("--keep", action="store_true", help="leave the catalog there, and use one that is there")
    return ap.parse_args()


def run(*command, **more):
    done = subprocess.run(command, text=True, capture_output=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def configure(o, url):
    with open(os.path.join(o.work, "config.toml"), "w") as f:
        f.write(f'[[root]]\npath = "{o.work}/root"\n[[vault]]\nname = "huge"\nurl = "{url}"\n'
                f'[state]\ndir = "{o.work}/state"\n[http]\nlisten = "off"\n')


def make(o, panicroom, huge):
    """A vault founded by the program itself, its catalog filled up."""
    shutil.rmtree(o.work, ignore_errors=True)
    os.makedirs(os.path.join(o.work, "root"))
    with open(os.path.join(o.work, "root/one"), "w") as f:
        f.write("one\n")
    configure(o, f"file://{o.work}/vault")
    run(panicroom, "--config", f"{o.work}/config.toml", "init", "--words-file", f"{o.work}/words.txt")
    run(panicroom, "--config", f"{o.work}/config.toml", "backup")
    begun = time.monotonic()
    run(huge, "fill", catalog(o), str(o.files), str(o.packs))
    print(f"filled in {time.monotonic() - begun:.0f} s, {os.path.getsize(catalog(o)) / 1e9:.2f} GB", file=sys.stderr)


def catalog(o):
    found = run("find", f"{o.work}/state", "-name", "catalog.db").split()
    return found[0] if found else sys.exit(f"no catalog beneath {o.work}/state")


def timed(command, environment):
    """Seconds, CPU seconds, peak megabytes, what it said."""
    timing = tempfile.NamedTemporaryFile(mode="r")
    said = run("/usr/bin/time", "-f", "%e %U %S %M", "-o", timing.name, *command, env=environment)
    wall, user, system, peak = map(float, timing.read().split()[-4:])
    return wall, user + system, peak / 1024, said


def main():
    o = arguments()
    panicroom, huge = os.path.join(o.built, "panicroom"), os.path.join(o.built, "examples/huge")
    if not o.keep or not os.path.isdir(os.path.join(o.work, "state")):
        make(o, panicroom, huge)
    server = subprocess.Popen([huge, "serve", "nas/", str(o.files), str(o.packs)], stdout=subprocess.PIPE, text=True)
    try:
        port = server.stdout.readline().split()[1]
        path = os.path.join(o.work, "requests")
        with open(path, "w") as to:
            copier = subprocess.Popen(["cat"], stdin=server.stdout, stdout=to)
        log = open(path)
        configure(o, f"s3://huge/nas?region=us-east-1&endpoint=http://127.0.0.1:{port}&path_style=true&class=DEEP_ARCHIVE")
        rows = measure(o, panicroom, log)
        copier.kill()
    finally:
        server.kill()
    print("\n" + aims.table(["", "wall s", "CPU s", "peak MB", "listings", "other requests", "aim", "verdict"], rows))
    if not o.keep:
        shutil.rmtree(o.work)
    sys.exit(any(row[-1] == "MISSED" for row in rows))


def measure(o, panicroom, log):
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    rows, out = [], os.path.join(o.work, "out")
    plan = ["restore", "--plan", "--json", "--to", out]
    folder = f"/volume1/media/{0:04}/{3:05}"
    for name, words in [("cost", ["cost", "--json"]), ("plan, one folder", [*plan, folder]), ("plan, everything", plan)]:
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
        log.seek(0, os.SEEK_END)
        wall, cpu, peak, said = timed([panicroom, "--config", f"{o.work}/config.toml", *words], environment)
        time.sleep(0.5)
        requests = log.read().splitlines()
        lists = sum(r.startswith("list ") for r in requests)
        others = [r for r in requests if not r.startswith("list ")]
        for request in others[:3]:
            print(f"not a listing: {request}", file=sys.stderr)
        check(o, name, json.loads(said), lists)
        most_s, most_mb = AIMS[name]
        met = wall <= most_s and peak <= most_mb and not others
        rows.append([name, f"{wall:.2f}", f"{cpu:.2f}", f"{peak:.0f}", lists, len(others),
                     f"<= {most_s} s, {most_mb} MB", "met" if met else "MISSED"])
        print(json.dumps({"what": name, "wall": wall, "cpu": cpu, "rss_mb": peak, "lists": lists, "others": len(others)}), flush=True)
    return rows


def check(o, name, said, lists):
    """A quick answer that is wrong is worth nothing."""
    if name == "plan, everything":
        wrong = [f"{key}: {said[key]}, not {value}" for key, value in
                 [("files", o.files), ("packs", o.packs), ("frozen_packs", o.packs)] if not value <= said[key] <= value + 1]
        if lists > o.packs // PAGE + 2:
            wrong.append(f"{lists} listings")
        if not any(s["cost"] for s in said["speeds"]):
            wrong.append("no price")
        if wrong:
            sys.exit(f"{name}: {'; '.join(wrong)}")


if __name__ == "__main__":
    main()
