#!/usr/bin/env python3
"""panicroom-rescue: gets a panicroom vault back without panicroom. Needs Python 3.9 or later and four packages:
    pip install pynacl zstandard cbor2 blake3
VAULT is a folder (or file:// URL) with the vault's objects: thaw and copy a bucket there first. FILE holds the 24
recovery words, or a passphrase where the vault has one. A path /a/b comes back as DIR/a/b. What stands there already is
never replaced, so the same command goes on after a break. Exit code: 0 all done, 1 nothing could be done, 2 usage,
3 done, but something is lost: each loss is named on standard error with what it costs."""
# From docs/format.md alone ("section"). Bounded memory: names go to an unnamed temporary file, contents block by block.
import argparse, bisect, contextlib, datetime, hashlib, io, itertools, os, pathlib, re, sqlite3, stat, sys, types
from array import array
from functools import lru_cache
from urllib.request import url2pathname
try:
    import blake3, cbor2, zstandard
    import nacl.bindings as sodium
    from nacl.pwhash import argon2id
except ImportError as missing:
    sys.exit(f"{missing}. Install what is needed: pip install pynacl zstandard cbor2 blake3")

FILE, FOLDER, SYMLINK, FIFO, DELETED, MIB, NS = 0, 1, 2, 3, -1, 1 << 20, 10**9
TYPES = [stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK]  # by shape
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
note = lru_cache(1024)(lambda text: print(text, file=sys.stderr))  # says a thing once
losses = []  # failed paths and lost parts of the log, for the exit code

class Damage(Exception):
    """An object of the vault that cannot be used, and why."""
@contextlib.contextmanager
def using(name):  # whatever goes wrong inside is damage of the object of that name
    try:
        yield
    except Exception as error:
        why = "is missing" if isinstance(error, FileNotFoundError) else f"is damaged ({error})"
        raise error if isinstance(error, Damage) else Damage(f"{name} {why}") from error

def fail(path, *reasons):
    losses.append(1)
    note(f"failed: {escape(path)}: {'; '.join(map(str, reasons))}")
def escape(raw):  # a path as printable text that shows every byte
    text = raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else "".join(f"\\x{byte:02x}" for byte in c.encode()) for c in text)

# Section 2: header and seals.
def header_of(data, kind, vault_id):
    if len(data) < 48 or data[:10] != b"PANICRM\n\1\0" or data[10] != kind or data[16:32] != vault_id:
        raise ValueError("cut, not of this vault, or of a newer format than this reader knows")
    return data[:48]
def unseal(key, header, sealed):
    return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed[24:], header, sealed[:24], key)
def decompress(frame, limit):  # what would be longer is cut, and then it is not what it should be
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(frame)).read(limit)

# Section 3: keys and words (the list is at the end).
def keys_of(secret, vault_id):
    def key(purpose):
        text = b"panicroom 1\0" + purpose + b"\0" + vault_id
        return hashlib.blake2b(text, key=secret, digest_size=32).digest()
    return types.SimpleNamespace(vault_id=vault_id, check=key(b"check"), mix=key(b"mix"), meta=key(b"meta"),
                                 chunk=key(b"chunk"), pair=sodium.crypto_box_seed_keypair(key(b"box")))

def secret_of(words):  # None where these are not 24 words of the list with a right checksum
    if len(words) != 24 or not all(word in INDEX for word in words):
        return None
    bits = sum(INDEX[word] << 11 * place for place, word in enumerate(reversed(words)))
    secret = (bits >> 8).to_bytes(32, "big")
    return secret if hashlib.sha256(secret).digest()[0] == bits & 255 else None

def wrong_words(words, opens):
    for place, word in itertools.product(range(24), WORDS):  # every change of one word is tried
        if opens(secret_of(words[:place] + [word] + words[place + 1:])):
            return f'word {place + 1}, "{words[place]}", is wrong: with "{word}" there the words are right'
    wrong = [f'word {place}, "{word}", is not in the list' for place, word in enumerate(words, 1) if word not in INDEX]
    wrong += [f"the key file holds {len(words)} words, 24 are needed"] if len(words) != 24 else []
    return "; ".join(wrong) or ("checksum wrong: a word is wrong or misplaced" if secret_of(words) is None else
                                "these are words of another vault, or its format is newer than this reader")

class Pack:  # section 4: where the chunks of a pack lie, from its record in the log or its own table
    def __init__(self, name, header, key_box, m, keys):
        self.name, self.header, self.ids, self.blocks, self.firsts, offset = name, header, m[7], [], [0], 128
        inner = sodium.crypto_box_seal_open(key_box, *keys.pair)
        self.key = hashlib.blake2b(inner, key=keys.mix, digest_size=32).digest()
        for sealed, size, codec, count in zip(*[iter(m[6])] * 4):
            starts = array("I", itertools.accumulate(m[8][self.firsts[-1]:self.firsts[-1] + count], initial=0))
            self.blocks.append((offset, sealed, codec, starts))
            self.firsts.append(self.firsts[-1] + count)
            offset += sealed
            if starts[-1] != size or size > 8 * MIB or offset > 80 * MIB or len(self.ids) != 32 * len(m[8]):
                raise ValueError("its table contradicts itself")

class Vault:
    # Section 1: the objects.
    def __init__(self, where):
        self.folder = url2pathname(where[7:]) if where.startswith("file://") else where
        names = sorted(os.listdir(self.folder))
        self.logs, self.key_objects = ([n for n in names if n.startswith(p)] for p in ("meta_log_", "meta_key_"))
        if not self.logs:
            sys.exit(f"{where} holds no vault, or one that was never used: no meta_log_ object is there")
        self.table, self.block = lru_cache(8)(self._table), lru_cache(8)(self._block)
        self.db = sqlite3.connect("", isolation_level=None)  # no name: seen by nobody, gone afterwards
        self.db.executescript("""
            PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536; BEGIN;
            CREATE TABLE segment(id INTEGER PRIMARY KEY, packs BLOB); CREATE TABLE pack(hash PRIMARY KEY, map);
            CREATE TABLE record(path BLOB, seq INT, part INT, more INT, torn INT, shape INT, time INT, segment INT,
                                map BLOB, PRIMARY KEY(path, seq, part)) WITHOUT ROWID;
            CREATE TABLE state(path BLOB PRIMARY KEY, seq INT); CREATE TABLE link(key BLOB PRIMARY KEY, path BLOB);""")

    def read(self, name, start=0, size=16 * MIB):
        with open(os.path.join(self.folder, name), "rb") as file:
            file.seek(start)
            return file.read(size)
    # Section 3: a secret is right when meta_vault proves it or, where that is lost, the log.
    def opens(self, secret):
        for name in ["meta_vault"] + self.logs[:2] if secret else ():
            with contextlib.suppress(Damage), using(name):
                data = self.read(name)
                keys = keys_of(secret, data[16:32])
                label = cbor2.loads(data[48:]) if name == "meta_vault" else {1: keys.check, 2: data[48:]}
                unseal(keys.meta, header_of(data, data[10], data[16:32]), label[2])
                if label[1] == keys.check:
                    if name != "meta_vault":
                        note(f"damage: meta_vault is missing or damaged; {name} proves the key instead")
                    self.keys = keys
                    return True
        return False
    def unlock(self, text):
        words = re.findall(r"[^\W\d_]+", text.lower())
        if self.opens(secret_of(words)):
            return
        if not self.key_objects or sum(word in INDEX for word in words) > 20:
            sys.exit(wrong_words(words, self.opens))
        for name in self.key_objects:
            try:
                with using(name):
                    data = self.read(name)
                    salt, operations, memory, sealed = (cbor2.loads(data[48:])[key] for key in (1, 2, 3, 4))
                    if not (1 <= operations <= 16 and 8 * MIB <= memory <= 1024 * MIB):
                        raise ValueError("its limits are outside the format")
                    key = argon2id.kdf(32, text.strip("\r\n").encode(), salt, opslimit=operations, memlimit=memory)
                    if self.opens(unseal(key, header_of(data, 2, data[16:32]), sealed)):
                        return
            except Damage as error:
                note(f"wrong passphrase, or {error}")
        sys.exit("wrong passphrase, or the key objects are damaged: the 24 words open the vault without them")

    # Section 5: the log. Every segment that opens is used, and merges where segments are gone.
    def read_log(self):
        segments = [(int(n[9:21]), n) for n in self.logs if re.fullmatch(r"meta_log_\d{12}_\w{64}", n)]
        opened, names = set(), dict(segments)
        for number, name in segments:
            if names[number] != name:
                note(f"double: {name} and {names[number]} have one number; both are used")
            if found := self.load(name, 4):
                opened.add(found[1])  # and it tells the name of the one before
                names.setdefault(found[1] - 1, f"meta_log_{found[1] - 1:012}_{found.get(3, b'').hex()}")
        top = max(opened, default=0)
        gone = (set(names) | set(range(1, top))) - opened - {0}
        for span in filter(None, (re.fullmatch(r"meta_log_(\d+)-(\d+)_\w{64}", name) for name in self.logs)):
            first, last = int(span[1]), int(span[2])
            if (last > top or any(first <= n <= last for n in gone)) and (found := self.load(span[0], 5)):
                note(f"gap: {span[0]} stands in for what is lost of segments {first} to {last}")
                gone, opened = gone - set(range(found[1], found[7] + 1)), opened | {found[7]}
        for number in sorted(gone):
            losses.append(1)
            note(f"gap: {names.get(number, f'segment {number}')} is lost, and all that it alone recorded")
        if not opened:
            sys.exit("no object of the log can be read")

    def load(self, name, kind):
        try:
            with using(name):
                data = self.read(name)
                if hashlib.sha256(data).hexdigest() != name[-64:]:
                    raise ValueError("cut or altered: it is not what its name says")
                if data[8:10] > b"\1\0":  # whole, and not for this reader
                    sys.exit(f"{name} is of a newer format: use a newer release of this reader. Nothing was restored")
                header = header_of(data, kind, self.keys.vault_id)
                found = cbor2.loads(decompress(unseal(self.keys.meta, header, data[48:]), 64 * MIB))
                packs = b"".join(found.get(5, []))
                segment = self.db.execute("INSERT INTO segment(packs) VALUES (?)", (packs,)).lastrowid
                for record in found[6]:
                    self.take(segment, *record)
                return found
        except Damage as error:
            note(f"damage: {error}")
    def take(self, segment, kind, m):
        if kind == 1:
            self.db.execute("INSERT OR IGNORE INTO pack VALUES (?, ?)", (m[1], cbor2.dumps(m)))
        elif kind in (2, 3):
            names, part = m[1].split(b"/"), m.get(23, 0)
            if names[0] or b"\0" in m[1] or m[1] != b"/" and {b"", b".", b".."} & set(names[1:]):
                raise ValueError("a path in it is not absolute and plain")
            shape, moment = (None, None) if part else (m[4] if kind == 2 else DELETED, m[3])
            # With NUL for / all that a folder holds sorts right after it. Where a seq is repeated, the first one stays.
            self.db.execute("INSERT OR IGNORE INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (
                b"\0".join(names).rstrip(b"\0"), m[2], part, bool(m.get(24)), bool(m.get(22)), shape, moment, segment,
                cbor2.dumps(m)))
        elif kind not in (4, 5, 6, 7):  # a pack said to be lost is tried all the same
            note(f"skipped: a record of type {kind}, which this reader does not know")

    # Section 6: what the vault holds.
    def settle(self, at):
        rows = self.db.execute("SELECT path, seq, part, more, torn, shape, time FROM record ORDER BY path, seq, part")
        absent = None  # where all beneath is absent, too
        for path, versions in itertools.groupby(rows, lambda row: row[0]):
            last, shape, torn = None, DELETED, False
            for seq, parts in itertools.groupby(versions, lambda row: row[1]):
                parts = list(parts)
                if [part[2] for part in parts] != list(range(len(parts))) or parts[-1][3]:
                    note(f"not whole, so not used: version {seq} of {escape(path.replace(bytes(1), b'/'))}")
                elif (at is None or parts[0][6] <= at) and (not parts[0][4] or torn or shape == DELETED):
                    last, torn, shape = seq, *parts[0][4:6]
            if last is not None and not (absent and path.startswith(absent)):
                absent = None if shape == FOLDER else path + b"\0"
                if shape != DELETED:
                    self.db.execute("INSERT INTO state VALUES (?, ?)", (path, last))
    def present(self, order=""):  # all that is there: folders before what they hold, or with DESC after it
        for (raw,) in self.db.execute("SELECT map FROM state JOIN record USING (path, seq) WHERE part = 0 "
                                      "ORDER BY path " + order):
            yield cbor2.loads(raw)
    def pieces(self, m):  # content from left to right: (None, 0, n) is a hole, (hash of the pack, first, count) chunks
        for raw, packs in self.db.execute("SELECT map, packs FROM record JOIN segment ON id = segment WHERE path = ? "
                                          "AND seq = ? ORDER BY part", (m[1].rstrip(b"/").replace(b"/", b"\0"), m[2])):
            content = iter(cbor2.loads(raw).get(15, []))
            for pack in content:
                yield (packs[pack * 32 - 32:pack * 32] if pack else None), next(content) if pack else 0, next(content)

    # Section 4: packs, blocks, chunks. The tables of 8 packs and 8 blocks (of at most 8 MiB) are kept.
    def _table(self, hash_):
        row = self.db.execute("SELECT map FROM pack WHERE hash = ?", (hash_,)).fetchone()
        m, names = cbor2.loads(row[0]) if row else {}, [f"{tier}_{hash_.hex()}" for tier in ("data", "hot")]
        name = names[m.get(2, os.path.exists(os.path.join(self.folder, names[1])))]
        with using(name):
            if row:
                header = b"PANICRM\n\1\0\3\0\1\0\0\0" + self.keys.vault_id + m[3]
                return Pack(name, header, m[4], m, self.keys)
            front = self.read(name, 0, 128)  # its record is lost, but its own table says the same
            header, end = header_of(front, 3, self.keys.vault_id), os.path.getsize(os.path.join(self.folder, name)) - 56
            place = unseal(self.keys.meta, header, self.read(name, end, 56))
            offset, size = int.from_bytes(place[:8], "little"), int.from_bytes(place[8:], "little")
            table = unseal(self.keys.meta, header, self.read(name, offset, min(size, 80 * MIB)))
            m = cbor2.loads(table[4:4 + int.from_bytes(table[:4], "little")])
            return Pack(name, header, front[48:], m, self.keys)

    def _block(self, hash_, number):
        pack = self.table(hash_)
        offset, sealed, codec, starts = pack.blocks[number]
        nonce = number.to_bytes(8, "little") + bytes(16)
        plain = unseal(pack.key, pack.header, nonce + self.read(pack.name, offset, sealed))
        return decompress(plain, starts[-1]) if codec else plain
    def chunk_here(self, hash_, number):
        pack = self.table(hash_)
        with using(pack.name):
            block = bisect.bisect_right(pack.firsts, number) - 1
            start, end = pack.blocks[block][3][number - pack.firsts[block]:][:2]
            chunk = self.block(hash_, block)[start:end]
            if blake3.blake3(chunk, key=self.keys.chunk).digest() != pack.ids[number * 32:number * 32 + 32]:
                raise ValueError("a chunk does not match its id")
            return chunk
    def chunk(self, hash_, number):
        try:
            return self.chunk_here(hash_, number)
        except Damage as error:
            id_ = self.table(hash_).ids[number * 32:number * 32 + 32]
            for (other,) in self.db.execute("SELECT hash FROM pack WHERE length(?1) = 32 AND instr(map, ?1)", (id_,)):
                with contextlib.suppress(Damage):
                    chunk = self.chunk_here(other, self.table(other).ids.index(id_) // 32)
                    note(f"damage: {error}; what other packs hold of it is taken from there")
                    return chunk
            raise

# Section 7: what is restored, only ever beneath the target.
class Target:
    def __init__(self, vault, folder):
        os.makedirs(folder, 0o700, exist_ok=True)
        self.root, self.here, self.other = (os.open(folder, os.O_RDONLY) for _ in range(3))
        self.vault, self.path = vault, b""
    def at(self, path):  # name and folder handle; folders are made, paths may be long, no symlink is followed
        folder, _, name = path.rpartition(b"/")
        if folder != self.path:
            self.path = None
            os.dup2(self.root, self.here)
            for part in folder.split(b"/")[1:]:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=self.here)
                deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self.here)
                os.dup2(deeper, self.here)
                os.close(deeper)
            self.path = folder
        return name or b".", self.here

    def restore(self, wanted, above):  # files, then symlinks (nothing goes through them), folders' own metadata last
        for shapes, order in ({FILE, FIFO, 4, 5}, ""), ({SYMLINK}, ""), ({FOLDER}, "DESC"):
            for m in self.vault.present(order):
                try:
                    if m[4] in shapes and (wanted(m[1]) or m[4] == FOLDER and above(m[1])):
                        self.put(m, m[1])
                except Exception as error:  # one bad file never stops the rest
                    fail(m[1], error)

    def put(self, m, path):
        if m[4] == FOLDER:
            self.at(path.rstrip(b"/") + b"/")  # makes it
            return dress(*self.at(path), m)
        (name, where), new = self.at(path), b".panicroom-rescue.tmp"
        with contextlib.suppress(FileNotFoundError):
            there = os.stat(name, dir_fd=where, follow_symlinks=False)
            size = len(m[16]) if m[4] == SYMLINK else m.get(14, 0)
            if (stat.S_IFMT(there.st_mode), there.st_size, there.st_mtime_ns) != (TYPES[m[4]], size, mtime(m)):
                raise FileExistsError("something else stands there already; it is left alone")
            return None
        key = cbor2.dumps([m[20], m[21], *self.vault.pieces(m)]) if 20 in m else None  # for names of one file
        if twin := self.vault.db.execute("SELECT path FROM link WHERE key = ?", (key,)).fetchone():
            source, _ = self.at(twin[0])
            os.dup2(self.here, self.other)
            with contextlib.suppress(OSError):  # where there are no hard links, a copy does
                return os.link(source, name, src_dir_fd=self.other, dst_dir_fd=self.at(path)[1], follow_symlinks=False)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new, dir_fd=where)
        if m[4] == SYMLINK:
            os.symlink(m[16], new, dir_fd=where)
        elif m[4] == FIFO:
            os.mkfifo(new, 0o600, dir_fd=where)
        elif m[4] != FILE:
            os.mknod(new, TYPES[m[4]] | 0o600, os.makedev(m[18], m[19]), dir_fd=where)
        elif lost := self.write(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=where), m):
            os.unlink(new, dir_fd=where)
            return fail(path, *lost)
        dress(new, where, m)
        os.rename(new, name, src_dir_fd=where, dst_dir_fd=where)
        return key and self.vault.db.execute("INSERT OR IGNORE INTO link VALUES (?, ?)", (key, path))

    def write(self, handle, m):
        lost = set()
        with os.fdopen(handle, "wb") as file:
            for pack, first, count in self.vault.pieces(m):
                try:
                    for number in range(first, first + count) if pack else ():
                        file.write(self.vault.chunk(pack, number))
                    file.seek(0 if pack else count, 1)  # a hole is not written
                except Damage as error:
                    lost.add(str(error))  # the rest is still tried, so that every object at fault is named
            file.truncate()
            return lost or file.tell() != m.get(14, 0) and ["its pieces together are not its size"]

def mtime(m):
    return m[10] * NS + m.get(11, 0)
def dress(name, where, m):  # owner, mode, time; only root can give things away, for others set-id bits stay off
    if IS_ROOT:
        try:
            os.chown(name, m[6], m[7], dir_fd=where, follow_symlinks=False)
        except OSError as error:
            note(f"owners cannot be set here: {error.strerror}")
    if m[4] != SYMLINK:
        os.chmod(name, m[5] & (0o7777 if IS_ROOT else 0o1777), dir_fd=where)
    os.utime(name, ns=(mtime(m), mtime(m)), dir_fd=where, follow_symlinks=False)

def show(m):
    when = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=m[10])
    print(f"{stat.filemode(TYPES[m[4]] | m[5])} {m.get(14, 0):>14} {when:%Y-%m-%dT%H:%M:%S}.{m.get(11, 0):09}Z",
          escape(m[1]), "-> " + escape(m[16]) if 16 in m else "", "(changed while read)" if m.get(22) else "")
def moment(text):  # RFC 3339, or local time without a zone, as milliseconds since 1970
    text = re.sub(r"\.(\d+)", lambda m: "." + m[1][:6].ljust(6, "0"), text.upper().replace("Z", "+00:00"))
    return round(datetime.datetime.fromisoformat(text).timestamp() * 1000)

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("list", "restore"))
    parser.add_argument("vault", metavar="VAULT")
    parser.add_argument("paths", metavar="PATH", nargs="*", help="only these, with all beneath them")
    parser.add_argument("--key-file", metavar="FILE", required=True)
    parser.add_argument("--to", metavar="DIR", help="where to restore")
    parser.add_argument("--at", metavar="TIME", type=moment, help="the state then: RFC 3339 or local YYYY-MM-DD HH:MM")
    args = parser.parse_intermixed_args()
    paths = {os.fsencode(path).rstrip(b"/") for path in args.paths} or {b""}
    if (args.command == "restore") != bool(args.to) or any(path[:1] not in (b"", b"/") for path in paths):
        parser.error("restore needs --to, list does not; every PATH begins with /")
    sys.stdout.reconfigure(errors="backslashreplace")
    vault, unmet, text = Vault(args.vault), paths - {b""}, pathlib.Path(args.key_file).read_bytes()
    vault.unlock(text.decode("utf-16" if text[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"))
    vault.read_log()
    vault.settle(args.at)
    def wanted(path):
        met = {chosen for chosen in paths if (path + b"/").startswith(chosen + b"/")}
        unmet.difference_update(met)
        return met
    if args.command == "list":
        for m in filter(lambda m: wanted(m[1]), vault.present()):
            show(m)
    else:
        Target(vault, args.to).restore(wanted, lambda path: any(p.startswith(path.rstrip(b"/") + b"/") for p in paths))
    for path in sorted(unmet):
        fail(path, "there is no such path in the vault at that time")
    sys.exit(3 if losses else 0)

WORDS = """abandon ability able about above absent absorb abstract absurd abuse access accident account accuse achieve
acid acoustic acquire across act action actor actress actual adapt add addict address adjust admit adult advance
advice aerobic affair afford afraid again age agent agree ahead aim air airport aisle alarm album alcohol alert alien
all alley allow almost alone alpha already also alter always amateur amazing among amount amused analyst anchor
ancient anger angle angry animal ankle announce annual another answer antenna antique anxiety any apart apology appear
apple approve april arch arctic area arena argue arm armed armor army around arrange arrest arrive arrow art artefact
artist artwork ask aspect assault asset assist assume asthma athlete atom attack attend attitude attract auction audit
august aunt author auto autumn average avocado avoid awake aware away awesome awful awkward axis baby bachelor bacon
badge bag balance balcony ball bamboo banana banner bar barely bargain barrel base basic basket battle beach bean
beauty because become beef before begin behave behind believe below belt bench benefit best betray better between
beyond bicycle bid bike bind biology bird birth bitter black blade blame blanket blast bleak bless blind blood blossom
blouse blue blur blush board boat body boil bomb bone bonus book boost border boring borrow boss bottom bounce box boy
bracket brain brand brass brave bread breeze brick bridge brief bright bring brisk broccoli broken bronze broom
brother brown brush bubble buddy budget buffalo build bulb bulk bullet bundle bunker burden burger burst bus business
busy butter buyer buzz cabbage cabin cable cactus cage cake call calm camera camp can canal cancel candy cannon canoe
canvas canyon capable capital captain car carbon card cargo carpet carry cart case cash casino castle casual cat
catalog catch category cattle caught cause caution cave ceiling celery cement census century cereal certain chair
chalk champion change chaos chapter charge chase chat cheap check cheese chef cherry chest chicken chief child chimney
choice choose chronic chuckle chunk churn cigar cinnamon circle citizen city civil claim clap clarify claw clay clean
clerk clever click client cliff climb clinic clip clock clog close cloth cloud clown club clump cluster clutch coach
coast coconut code coffee coil coin collect color column combine come comfort comic common company concert conduct
confirm congress connect consider control convince cook cool copper copy coral core corn correct cost cotton couch
country couple course cousin cover coyote crack cradle craft cram crane crash crater crawl crazy cream credit creek
crew cricket crime crisp critic crop cross crouch crowd crucial cruel cruise crumble crunch crush cry crystal cube
culture cup cupboard curious current curtain curve cushion custom cute cycle dad damage damp dance danger daring dash
daughter dawn day deal debate debris decade december decide decline decorate decrease deer defense define defy degree
delay deliver demand demise denial dentist deny depart depend deposit depth deputy derive describe desert design desk
despair destroy detail detect develop device devote diagram dial diamond diary dice diesel diet differ digital dignity
dilemma dinner dinosaur direct dirt disagree discover disease dish dismiss disorder display distance divert divide
divorce dizzy doctor document dog doll dolphin domain donate donkey donor door dose double dove draft dragon drama
drastic draw dream dress drift drill drink drip drive drop drum dry duck dumb dune during dust dutch duty dwarf
dynamic eager eagle early earn earth easily east easy echo ecology economy edge edit educate effort egg eight either
elbow elder electric elegant element elephant elevator elite else embark embody embrace emerge emotion employ empower
empty enable enact end endless endorse enemy energy enforce engage engine enhance enjoy enlist enough enrich enroll
ensure enter entire entry envelope episode equal equip era erase erode erosion error erupt escape essay essence estate
eternal ethics evidence evil evoke evolve exact example excess exchange excite exclude excuse execute exercise exhaust
exhibit exile exist exit exotic expand expect expire explain expose express extend extra eye eyebrow fabric face
faculty fade faint faith fall false fame family famous fan fancy fantasy farm fashion fat fatal father fatigue fault
favorite feature february federal fee feed feel female fence festival fetch fever few fiber fiction field figure file
film filter final find fine finger finish fire firm first fiscal fish fit fitness fix flag flame flash flat flavor
flee flight flip float flock floor flower fluid flush fly foam focus fog foil fold follow food foot force forest
forget fork fortune forum forward fossil foster found fox fragile frame frequent fresh friend fringe frog front frost
frown frozen fruit fuel fun funny furnace fury future gadget gain galaxy gallery game gap garage garbage garden garlic
garment gas gasp gate gather gauge gaze general genius genre gentle genuine gesture ghost giant gift giggle ginger
giraffe girl give glad glance glare glass glide glimpse globe gloom glory glove glow glue goat goddess gold good goose
gorilla gospel gossip govern gown grab grace grain grant grape grass gravity great green grid grief grit grocery group
grow grunt guard guess guide guilt guitar gun gym habit hair half hammer hamster hand happy harbor hard harsh harvest
hat have hawk hazard head health heart heavy hedgehog height hello helmet help hen hero hidden high hill hint hip hire
history hobby hockey hold hole holiday hollow home honey hood hope horn horror horse hospital host hotel hour hover
hub huge human humble humor hundred hungry hunt hurdle hurry hurt husband hybrid ice icon idea identify idle ignore
ill illegal illness image imitate immense immune impact impose improve impulse inch include income increase index
indicate indoor industry infant inflict inform inhale inherit initial inject injury inmate inner innocent input
inquiry insane insect inside inspire install intact interest into invest invite involve iron island isolate issue item
ivory jacket jaguar jar jazz jealous jeans jelly jewel job join joke journey joy judge juice jump jungle junior junk
just kangaroo keen keep ketchup key kick kid kidney kind kingdom kiss kit kitchen kite kitten kiwi knee knife knock
know lab label labor ladder lady lake lamp language laptop large later latin laugh laundry lava law lawn lawsuit layer
lazy leader leaf learn leave lecture left leg legal legend leisure lemon lend length lens leopard lesson letter level
liar liberty library license life lift light like limb limit link lion liquid list little live lizard load loan
lobster local lock logic lonely long loop lottery loud lounge love loyal lucky luggage lumber lunar lunch luxury
lyrics machine mad magic magnet maid mail main major make mammal man manage mandate mango mansion manual maple marble
march margin marine market marriage mask mass master match material math matrix matter maximum maze meadow mean
measure meat mechanic medal media melody melt member memory mention menu mercy merge merit merry mesh message metal
method middle midnight milk million mimic mind minimum minor minute miracle mirror misery miss mistake mix mixed
mixture mobile model modify mom moment monitor monkey monster month moon moral more morning mosquito mother motion
motor mountain mouse move movie much muffin mule multiply muscle museum mushroom music must mutual myself mystery myth
naive name napkin narrow nasty nation nature near neck need negative neglect neither nephew nerve nest net network
neutral never news next nice night noble noise nominee noodle normal north nose notable note nothing notice novel now
nuclear number nurse nut oak obey object oblige obscure observe obtain obvious occur ocean october odor off offer
office often oil okay old olive olympic omit once one onion online only open opera opinion oppose option orange orbit
orchard order ordinary organ orient original orphan ostrich other outdoor outer output outside oval oven over own
owner oxygen oyster ozone pact paddle page pair palace palm panda panel panic panther paper parade parent park parrot
party pass patch path patient patrol pattern pause pave payment peace peanut pear peasant pelican pen penalty pencil
people pepper perfect permit person pet phone photo phrase physical piano picnic picture piece pig pigeon pill pilot
pink pioneer pipe pistol pitch pizza place planet plastic plate play please pledge pluck plug plunge poem poet point
polar pole police pond pony pool popular portion position possible post potato pottery poverty powder power practice
praise predict prefer prepare present pretty prevent price pride primary print priority prison private prize problem
process produce profit program project promote proof property prosper protect proud provide public pudding pull pulp
pulse pumpkin punch pupil puppy purchase purity purpose purse push put puzzle pyramid quality quantum quarter question
quick quit quiz quote rabbit raccoon race rack radar radio rail rain raise rally ramp ranch random range rapid rare
rate rather raven raw razor ready real reason rebel rebuild recall receive recipe record recycle reduce reflect reform
refuse region regret regular reject relax release relief rely remain remember remind remove render renew rent reopen
repair repeat replace report require rescue resemble resist resource response result retire retreat return reunion
reveal review reward rhythm rib ribbon rice rich ride ridge rifle right rigid ring riot ripple risk ritual rival river
road roast robot robust rocket romance roof rookie room rose rotate rough round route royal rubber rude rug rule run
runway rural sad saddle sadness safe sail salad salmon salon salt salute same sample sand satisfy satoshi sauce
sausage save say scale scan scare scatter scene scheme school science scissors scorpion scout scrap screen script
scrub sea search season seat second secret section security seed seek segment select sell seminar senior sense
sentence series service session settle setup seven shadow shaft shallow share shed shell sheriff shield shift shine
ship shiver shock shoe shoot shop short shoulder shove shrimp shrug shuffle shy sibling sick side siege sight sign
silent silk silly silver similar simple since sing siren sister situate six size skate sketch ski skill skin skirt
skull slab slam sleep slender slice slide slight slim slogan slot slow slush small smart smile smoke smooth snack
snake snap sniff snow soap soccer social sock soda soft solar soldier solid solution solve someone song soon sorry
sort soul sound soup source south space spare spatial spawn speak special speed spell spend sphere spice spider spike
spin spirit split spoil sponsor spoon sport spot spray spread spring spy square squeeze squirrel stable stadium staff
stage stairs stamp stand start state stay steak steel stem step stereo stick still sting stock stomach stone stool
story stove strategy street strike strong struggle student stuff stumble style subject submit subway success such
sudden suffer sugar suggest suit summer sun sunny sunset super supply supreme sure surface surge surprise surround
survey suspect sustain swallow swamp swap swarm swear sweet swift swim swing switch sword symbol symptom syrup system
table tackle tag tail talent talk tank tape target task taste tattoo taxi teach team tell ten tenant tennis tent term
test text thank that theme then theory there they thing this thought three thrive throw thumb thunder ticket tide
tiger tilt timber time tiny tip tired tissue title toast tobacco today toddler toe together toilet token tomato
tomorrow tone tongue tonight tool tooth top topic topple torch tornado tortoise toss total tourist toward tower town
toy track trade traffic tragic train transfer trap trash travel tray treat tree trend trial tribe trick trigger trim
trip trophy trouble truck true truly trumpet trust truth try tube tuition tumble tuna tunnel turkey turn turtle twelve
twenty twice twin twist two type typical ugly umbrella unable unaware uncle uncover under undo unfair unfold unhappy
uniform unique unit universe unknown unlock until unusual unveil update upgrade uphold upon upper upset urban urge
usage use used useful useless usual utility vacant vacuum vague valid valley valve van vanish vapor various vast vault
vehicle velvet vendor venture venue verb verify version very vessel veteran viable vibrant vicious victory video view
village vintage violin virtual virus visa visit visual vital vivid vocal voice void volcano volume vote voyage wage
wagon wait walk wall walnut want warfare warm warrior wash wasp waste water wave way wealth weapon wear weasel weather
web wedding weekend weird welcome west wet whale what wheat wheel when where whip whisper wide width wife wild will
win window wine wing wink winner winter wire wisdom wise wish witness wolf woman wonder wood wool word work world
worry worth wrap wreck wrestle wrist write wrong yard year yellow you young youth zebra zero zone zoo""".split()
INDEX = {word: number for number, word in enumerate(WORDS)}
if __name__ == "__main__":
    try:
        main()
    except (Damage, OSError, UnicodeError) as problem:
        sys.exit(f"panicroom-rescue: {problem}")
