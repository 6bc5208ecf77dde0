//! A folder vault served as a bucket that can only be read, as rudely as a test likes: busy, mute, cutting bodies,
//! down, slow. One request per connection, a thread for each.

use panicroom::worker::Stop;
use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How requests are met.
#[derive(Clone, Debug)]
pub enum Mood {
    Polite,
    /// So many of a hundred requests fail, in turn by an answer of 503, by none at all, by a body cut short.
    Rude(u64),
    /// Every request is answered by this status and code.
    Says(u16, &'static str),
    /// As [`Mood::Says`], but only where a pack is to be read.
    KeepsPacks(u16, &'static str),
    /// Packs come at this pace.
    Slow(Duration),
}

/// Ends with its process.
pub struct Bucket {
    endpoint: String,
    shared: Arc<Shared>,
}

struct Shared {
    folder: PathBuf,
    mood: Mutex<Mood>,
    dice: Mutex<u64>,
    refused: AtomicU64,
    packs: AtomicU64,
}

impl Bucket {
    pub fn of(folder: &Path, mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            mood: Mutex::new(mood),
            dice: Mutex::new(4711),
            refused: AtomicU64::new(0),
            packs: AtomicU64::new(0),
        });
        let mine = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mine = Arc::clone(&mine);
                thread::spawn(move || mine.serve(stream));
            }
        });
        Self { endpoint, shared }
    }

    pub fn is_now(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }
    pub fn url(&self) -> String {
        format!("s3://box.of.tests/v?region=eu-west-1&path_style=true&endpoint={}", self.endpoint)
    }
    /// Requests that failed so far.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::SeqCst)
    }
    /// Reads of packs so far.
    pub fn packs_read(&self) -> u64 {
        self.shared.packs.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let Some((method, target, range)) = hear(&stream) else { return };
        let is_pack = target.contains("/data_");
        if is_pack && method == "GET" {
            self.packs.fetch_add(1, Ordering::SeqCst);
        }
        let mood = self.mood.lock().unwrap().clone();
        match mood {
            Mood::Says(status, code) => return self.refuse(stream, status, code),
            Mood::KeepsPacks(status, code) if is_pack && method == "GET" => return self.refuse(stream, status, code),
            Mood::Slow(by) if is_pack => drop(Stop::new().wait(by)),
            Mood::Rude(percent) if self.roll() % 100 < percent => {
                match self.refused.load(Ordering::SeqCst) % 3 {
                    0 => return self.refuse(stream, 503, "SlowDown"),
                    1 => {
                        self.refused.fetch_add(1, Ordering::SeqCst);
                        return drop(stream.shutdown(Shutdown::Both));
                    }
                    _ => {
                        self.refused.fetch_add(1, Ordering::SeqCst);
                        return self.answer(stream, &method, &target, range, Whole::No);
                    }
                };
            }
            _ => {}
        }
        self.answer(stream, &method, &target, range, Whole::Yes);
    }

    fn roll(&self) -> u64 {
        let mut dice = self.dice.lock().unwrap();
        *dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn refuse(&self, stream: TcpStream, status: u16, code: &str) {
        self.refused.fetch_add(1, Ordering::SeqCst);
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as asked</Message></Error>");
        say(stream, status, "content-type: application/xml\r\n", body.as_bytes(), body.len());
    }

    fn answer(&self, stream: TcpStream, method: &str, target: &str, range: Span, whole: Whole) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if let Some(prefix) = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")) {
            let body = self.listing(&prefix.replace("%2F", "/"));
            let send = if whole == Whole::Yes { body.len() } else { body.len() / 2 };
            return say(stream, 200, "content-type: application/xml\r\n", &body.as_bytes()[..send], body.len());
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let Ok(mut file) = fs::File::open(self.folder.join(name)) else {
            let body = b"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>none</Message></Error>";
            let body = if method == "HEAD" { &body[..0] } else { &body[..] };
            return say(stream, 404, "content-type: application/xml\r\n", body, body.len());
        };
        let size = file.metadata().unwrap().len();
        if method == "HEAD" {
            return say(stream, 200, "", b"", usize::try_from(size).unwrap());
        }
        let (from, to) = range.map_or((0, size), |(from, last)| (from, (last + 1).min(size)));
        if from >= size {
            return self.refuse(stream, 416, "InvalidRange");
        }
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        file.seek(SeekFrom::Start(from)).unwrap();
        file.read_exact(&mut bytes).unwrap();
        let send = if whole == Whole::Yes { bytes.len() } else { bytes.len() / 2 };
        let (status, head) = match range {
            Some(_) => (206, format!("content-range: bytes {from}-{}/{size}\r\n", to - 1)),
            None => (200, String::new()),
        };
        say(stream, status, &head, &bytes[..send], bytes.len());
    }

    fn listing(&self, prefix: &str) -> String {
        let prefix = prefix.strip_prefix("v/").unwrap_or(prefix);
        let mut names: Vec<(String, u64)> = fs::read_dir(&self.folder)
            .unwrap()
            .map(|e| e.unwrap())
            .map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().len()))
            .filter(|(name, _)| name.starts_with(prefix))
            .collect();
        names.sort();
        let contents = names.iter().fold(String::new(), |all, (name, size)| {
            all + &format!("<Contents><Key>v/{name}</Key><Size>{size}</Size><ETag>&quot;x&quot;</ETag></Contents>")
        });
        format!(
            "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
        )
    }
}

/// Whether a body is sent to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Yes,
    No,
}

/// First and last byte that are asked for.
type Span = Option<(u64, u64)>;

/// Method, target and range of a request.
fn hear(stream: &TcpStream) -> Option<(String, String, Span)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut range = None;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("range") {
            let (from, last) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
            range = Some((from.parse().ok()?, last.parse().ok()?));
        }
    }
    Some((method, target, range))
}

/// The body may be shorter than it is said to be.
fn say(mut stream: TcpStream, status: u16, head: &str, body: &[u8], length: usize) {
    let text = format!("HTTP/1.1 {status} Answer\r\n{head}connection: close\r\ncontent-length: {length}\r\n\r\n");
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.write_all(body);
    let _ = stream.shutdown(Shutdown::Both);
}
