"""Who runs: panicroom, the peers, and the floor; each as the command lines of its operations.

Operations: `init` (not measured), `backup` (full the first time, then same and inc), `restore` into an empty folder.
Encryption is on for all; everything else is as each program does it unless told, but borg gets the compression the
others have by default (zstd level 3).
"""
import json
import os
import shutil
import subprocess

PASSWORD = "benchmark only"
PEERS = ("restic", "rustic", "borg", "duplicity", "floor")


class Contestant:
    """A program with a fresh repository, cache and home beneath `work`."""

    name = ""
    #: Whether it can restore what it stored.
    restores = True
    #: Whether a restore goes into the working folder.
    restores_here = False

    def __init__(self, binary, src, work):
        self.binary, self.src, self.work = binary, src, work
        self.repo, self.cache, self.home, self.out = (f"{work}/{d}" for d in ("repo", "cache", "home", "out"))
        self.runs = 0
        self.env = {**os.environ, "HOME": self.home, "XDG_CACHE_HOME": self.cache, "LC_ALL": "C.UTF-8"}

    def clean(self):
        for d in (self.repo, self.cache, self.home, self.out):
            shutil.rmtree(d, ignore_errors=True)

    def prepare(self):
        self.clean()
        for d in (self.cache, self.home, self.out):
            os.makedirs(d)

    def version(self):
        r = subprocess.run([self.binary, "--version"], capture_output=True, text=True, env=self.env)
        return (r.stdout or r.stderr).strip().splitlines()[0]

    def init(self):
        return None

    def backup(self):
        raise NotImplementedError

    def restore(self):
        raise NotImplementedError

    def restored(self):
        """Where the root came back."""
        return self.out + self.src

    def checked(self, _said):
        """None, or why a backup that ended well is not to be believed."""
        return None


class Panicroom(Contestant):
    """`backup` in its own words: from the start of the process until everything is safe. The restore knows only vault
    and words: another machine, no catalog, no keys."""

    name = "panicroom"
    quiet = "0s"

    def config(self):
        return f"{self.work}/home/config.toml"

    def words(self):
        return f"{self.work}/home/words"

    def prepare(self):
        super().prepare()
        with open(self.config(), "w") as f:
            # json.dumps: a TOML basic string
            f.write(f'[[root]]\npath = {json.dumps(self.src)}\nquiet = "{self.quiet}"\n\n'
                    f'[[vault]]\nname = "main"\nurl = {json.dumps("file://" + self.repo)}\ngather = "0s"\n\n'
                    f'[state]\ndir = {json.dumps(self.home + "/state")}\n\n[http]\nlisten = "off"\n')

    def call(self, *words):
        return [self.binary, "--config", self.config(), *words]

    def init(self):
        return self.call("init", "--words-file", self.words())

    def backup(self):
        return self.call("backup", "--json")

    def restore(self):
        return [self.binary, "restore", "--vault", "file://" + self.repo, "--key-file", self.words(), "--to", self.out,
                "--yes"]

    def has_restore(self):
        r = subprocess.run([self.binary, "restore", "--help"], capture_output=True, env=self.env)
        return r.returncode == 0

    def checked(self, said):
        try:
            root = json.loads(said)["roots"][0]
        except (ValueError, LookupError):
            return "its report is not readable"
        bad = {k: root[k] for k in ("dirty", "failed", "changed_while_read") if root[k]}
        if bad or root["safe_files"] != root["files"] or not root["files"]:
            return f"{root['safe_files']} of {root['files']} files safe {bad}"
        return None


class Restic(Contestant):
    name = "restic"

    def __init__(self, *args):
        super().__init__(*args)
        self.env["RESTIC_PASSWORD"] = PASSWORD
        self.call = [self.binary, "-q", "-r", self.repo]

    def version(self):
        return subprocess.run([self.binary, "version"], capture_output=True, text=True).stdout.strip()

    def init(self):
        return [*self.call, "init", "--repository-version", "2"]

    def backup(self):
        return [*self.call, "backup", self.src]

    def restore(self):
        return [*self.call, "restore", "latest", "--target", self.out]


class Rustic(Contestant):
    name = "rustic"

    def __init__(self, *args):
        super().__init__(*args)
        self.env["RUSTIC_PASSWORD"] = PASSWORD
        self.call = [self.binary, "--no-progress", "--log-level", "warn", "-r", self.repo]

    def init(self):
        return [*self.call, "init"]

    def backup(self):
        return [*self.call, "backup", self.src]

    def restore(self):
        return [*self.call, "restore", "latest:" + self.src, self.out]

    def restored(self):
        return self.out


class Borg(Contestant):
    name = "borg"
    restores_here = True

    def __init__(self, *args):
        super().__init__(*args)
        self.env.update(BORG_PASSPHRASE=PASSWORD, BORG_BASE_DIR=self.cache + "/borg",
                        BORG_RELOCATED_REPO_ACCESS_IS_OK="yes")

    def init(self):
        return [self.binary, "init", "-e", "repokey-blake2", self.repo]

    def backup(self):
        return [self.binary, "create", "-C", "zstd,3", f"{self.repo}::s{self.runs}", self.src]

    def restore(self):
        return [self.binary, "extract", f"{self.repo}::s{self.runs}"]


class Duplicity(Contestant):
    name = "duplicity"

    def __init__(self, *args):
        super().__init__(*args)
        self.env["PASSPHRASE"] = PASSWORD
        self.options = ["--archive-dir", self.cache, "-v", "warning"]

    def backup(self):
        return [self.binary, "full" if self.runs == 1 else "incremental", *self.options, self.src, "file://" + self.repo]

    def restore(self):
        return [self.binary, "restore", *self.options, "--force", "file://" + self.repo, self.out]

    def restored(self):
        return self.out


class Floor(Contestant):
    """No product: the bare pipeline (README.md, "The floor"). Its `same` is lstat of everything."""

    name = "floor"
    restores = False
    mode = "pipe"

    def version(self):
        return f"{self.mode}, 2 threads, zstd 3"

    def backup(self):
        if self.runs == 1:
            return [self.binary, self.mode, self.src, self.repo, "2", "3"]
        return [self.binary, "scan", self.src, "2"]


class FloorSafe(Floor):
    """The same with the promises: blocks opened again, packs synced and hashed twice, metadata, a log."""

    name = "floor-safe"
    mode = "safe"


KINDS = {c.name: c for c in (Panicroom, Restic, Rustic, Borg, Duplicity, Floor, FloorSafe)}
