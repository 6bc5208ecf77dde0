//! A vault nobody has time to fill: 10 TB in 5,000,000 files, as a catalog and as a server that lists it, so that what a
//! plan and a bill take can be measured. Run by `bench/huge.py`.
//!
//! `fill` writes rows through the very import a rebuild uses; `serve` answers listings of the same packs, all in
//! DEEP_ARCHIVE and none thawed, and counts every other request, of which there should be none.

use panicroom::catalog::{Catalog, SegmentRow};
use panicroom::clock::{SystemClock, Wall};
use panicroom::error::Result;
use panicroom::format::Name;
use panicroom::format::pack::{BlockInfo, PackRecord, Table};
use panicroom::model::{ChunkId, Entry, FileTime, Piece, SegmentNo, Seq, Sha256, Shape, Size, Tier, TreePath, Version};
use panicroom::seal::compress::Codec;
use panicroom::seal::sha256;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

/// One in six files is this many chunks long, the others one chunk.
const LONG: u32 = 11;
const LONG_CHUNK: u32 = 1_000_000;
const SHORT_CHUNK: u32 = 400_000;
/// Packs a segment names; one segment a day.
const PACKS_A_SEGMENT: u64 = 1000;
const FILES_A_FOLDER: u64 = 200;
const DAY_MS: i64 = 86_400_000;
/// Sealed bytes of a block beyond its text, and of a pack beyond its blocks.
const TAG: u32 = 16;
const AROUND: u64 = 40_000;

#[derive(Clone, Copy)]
struct Huge {
    files: u64,
    packs: u64,
}

impl Huge {
    fn hash(pack: u64) -> Sha256 {
        sha256(&pack.to_be_bytes())
    }

    fn files_of(self, pack: u64) -> std::ops::Range<u64> {
        let first = |pack: u64| pack * self.files / self.packs;
        first(pack)..first(pack + 1)
    }

    fn chunks_of(file: u64) -> (u32, u32) {
        if file.is_multiple_of(6) { (LONG, LONG_CHUNK) } else { (1, SHORT_CHUNK) }
    }

    /// Every chunk is a block of its own. Ids grow with the packs: filling is quicker so, and no plan looks for a chunk.
    fn record(self, pack: u64) -> PackRecord {
        let mut table = Table::new(Tier::Cold);
        for file in self.files_of(pack) {
            let (count, size) = Self::chunks_of(file);
            for _ in 0..count {
                let mut id = [0; ChunkId::LEN];
                id[..8].copy_from_slice(&pack.to_be_bytes());
                id[8..16].copy_from_slice(&(table.ids.len() as u64).to_be_bytes());
                table.blocks.push(BlockInfo { sealed: size + TAG, text: size, codec: Codec::Raw, chunks: 1 });
                table.ids.push(ChunkId(id));
                table.lens.push(size);
            }
        }
        let size = AROUND + table.blocks.iter().map(|b| u64::from(b.sealed)).sum::<u64>();
        PackRecord { hash: Self::hash(pack), size, random: [7; 16], key_box: [7; _], table }
    }

    fn version(pack: u64, file: u64, first: u32, captured: Wall) -> Version {
        let (count, size) = Self::chunks_of(file);
        let path = format!("/volume1/media/{:04}/{:05}/file {file}.bin", file / 100_000, file / FILES_A_FOLDER);
        let entry = Entry {
            uid: 1000,
            gid: 1000,
            user: Some(b"somebody".to_vec()),
            group: Some(b"somebody".to_vec()),
            mtime: FileTime { secs: captured.0 / 1000, nanos: 123_456_789 },
            size: Size(u64::from(count) * u64::from(size)),
            ..Entry::bare(Shape::File, 0o644)
        };
        let content = vec![Piece::Run { pack: Self::hash(pack), first, count }];
        let path = TreePath::from_bytes(path).expect("a plain path");
        Version { path, seq: Seq(file + 1_000_000), captured, entry, content, torn: false }
    }

    /// After what the catalog knows already.
    fn fill(self, path: &Path) -> Result<()> {
        let catalog = Catalog::open(path)?;
        let begin = catalog.last_segment()?.map_or(0, |s| s.number.0);
        let segments = self.packs.div_ceil(PACKS_A_SEGMENT);
        let now = SystemClock::shared().wall();
        for n in 0..segments {
            let written = Wall(now.0 - DAY_MS * (segments - n).cast_signed());
            let number = SegmentNo(begin + 1 + n);
            let row = SegmentRow { number, hash: sha256(&number.0.to_le_bytes()), size: 2_000_000, written };
            catalog.import(number.0, Some(&row), |importer| {
                for pack in n * PACKS_A_SEGMENT..((n + 1) * PACKS_A_SEGMENT).min(self.packs) {
                    importer.pack(self.record(pack))?;
                    let mut first = 0;
                    for file in self.files_of(pack) {
                        importer.version(&Self::version(pack, file, first, written))?;
                        first += Self::chunks_of(file).0;
                    }
                }
                Ok(())
            })?;
        }
        catalog.finish_import(&[TreePath::from_bytes("/volume1/media").expect("a plain path")])?;
        catalog.close()
    }

    /// Serves until killed; each request on standard output.
    fn serve(self, prefix: &str) -> std::io::Result<()> {
        let mut packs: Vec<(Sha256, u64)> = (0..self.packs).map(|n| (Self::hash(n), self.record(n).size)).collect();
        packs.sort_unstable();
        let listener = TcpListener::bind("127.0.0.1:0")?;
        println!("port {}", listener.local_addr()?.port());
        for stream in listener.incoming() {
            let (stream, packs) = (stream?, &packs);
            // A client that goes away is no concern of ours.
            let _ = answer_all(stream, packs, prefix);
        }
        Ok(())
    }
}

fn answer_all(stream: TcpStream, packs: &[(Sha256, u64)], prefix: &str) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(request) = lines.next().transpose()? {
        for header in lines.by_ref() {
            if header?.is_empty() {
                break;
            }
        }
        let query = request.split(' ').nth(1).and_then(|target| target.split_once('?')).map(|(_, query)| query);
        let lists =
            |q: &str| q.split('&').any(|pair| pair == "list-type=2" || pair.trim_end_matches('=') == "versions");
        let is_list = request.starts_with("GET ") && query.is_some_and(lists);
        println!("{} {request}", if is_list { "list" } else { "other" });
        let (status, body) = match query.filter(|_| is_list) {
            Some(query) => ("200 OK", page(packs, prefix, query)),
            None => ("404 Not Found", "<Error><Code>NoSuchKey</Code></Error>".to_owned()),
        };
        write!(
            out,
            "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        out.flush()?;
    }
    Ok(())
}

/// A thousand names, of objects or of their versions, of which each has one; the token is the number of the next.
fn page(packs: &[(Sha256, u64)], prefix: &str, query: &str) -> String {
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let of_versions = !query.contains("list-type=2");
    let (root, item, more_words) = if of_versions {
        ("ListVersionsResult", "Version", "<VersionId>null</VersionId><IsLatest>true</IsLatest>")
    } else {
        ("ListBucketResult", "Contents", "")
    };
    let asked = value("prefix").unwrap_or_default().replace("%2F", "/");
    let wanted = asked.strip_prefix(prefix).unwrap_or_default();
    let marker = value("key-marker").unwrap_or_default().replace("%2F", "/");
    let after_marker = marker.strip_prefix(prefix).unwrap_or_default();
    let from: usize = value("continuation-token").and_then(|t| t.parse().ok()).unwrap_or_default();
    let most: usize = value("max-keys").and_then(|t| t.parse().ok()).unwrap_or(1000);
    let name = |n: usize| Name::Pack(Tier::Cold, packs[n].0).to_string();
    let is_before = |hash: &Sha256| {
        let name = Name::Pack(Tier::Cold, *hash).to_string();
        name.as_str() < wanted || name.as_str() <= after_marker
    };
    let begin = packs.partition_point(|(hash, _)| is_before(hash)).max(from);
    let end =
        (begin..packs.len()).take(most).take_while(|n| name(*n).starts_with(wanted)).last().map_or(begin, |n| n + 1);
    let more = end < packs.len() && name(end).starts_with(wanted);
    let mut xml = format!(
        "<?xml version=\"1.0\"?><{root}><Name>huge</Name><Prefix>{asked}</Prefix><KeyCount>{}</KeyCount>\
         <MaxKeys>1000</MaxKeys><IsTruncated>{more}</IsTruncated>",
        end - begin
    );
    if more {
        let _ = if of_versions {
            let last = name(end - 1);
            write!(xml, "<NextKeyMarker>{prefix}{last}</NextKeyMarker><NextVersionIdMarker>null</NextVersionIdMarker>")
        } else {
            write!(xml, "<NextContinuationToken>{end}</NextContinuationToken>")
        };
    }
    for (n, (hash, size)) in (begin..).zip(&packs[begin..end]) {
        let name = Name::Pack(Tier::Cold, *hash);
        let _ = write!(
            xml,
            "<{item}><Key>{prefix}{name}</Key>{more_words}<LastModified>2026-01-02T03:04:05.000Z</LastModified>\
             <ETag>&quot;{n:032x}&quot;</ETag><Size>{size}</Size><StorageClass>DEEP_ARCHIVE</StorageClass></{item}>"
        );
    }
    xml + &format!("</{root}>")
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize| words.get(n).and_then(|w| w.parse::<u64>().ok()).filter(|n| *n > 0);
    let done = match (words.first().map(String::as_str), words.get(1), number(2), number(3)) {
        (Some("fill"), Some(catalog), Some(files), Some(packs)) => {
            Huge { files, packs }.fill(Path::new(catalog)).map_err(|e| e.to_string())
        }
        (Some("serve"), Some(prefix), Some(files), Some(packs)) => {
            Huge { files, packs }.serve(prefix).map_err(|e| e.to_string())
        }
        _ => Err("usage: huge fill CATALOG FILES PACKS | huge serve PREFIX FILES PACKS".to_owned()),
    };
    if let Err(e) = done {
        eprintln!("huge: {e}");
        std::process::exit(1);
    }
}
