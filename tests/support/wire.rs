//! A server of one port that plays the answers of AWS which no local server gives, and shows what was on the wire.
//! It speaks just enough HTTP/1.1: one request per connection, bodies with a length.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What the server does with a request.
pub enum Answer {
    Say {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Closes the connection without a word, after the body came.
    HangUp,
}

impl Answer {
    pub fn ok(headers: Vec<(&'static str, String)>) -> Self {
        Self::Say { status: 200, headers, body: String::new() }
    }
    /// An error as S3 writes it.
    pub fn error(status: u16, code: &str, words: &str) -> Self {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{words}</Message></Error>");
        Self::Say { status, headers: vec![("content-type", "application/xml".to_owned())], body }
    }
    /// A listing of these (key, size, etag).
    pub fn listing(objects: &[(&str, u64, &str)]) -> Self {
        let contents = objects.iter().fold(String::new(), |all, (key, size, etag)| {
            all + &format!("<Contents><Key>{key}</Key><Size>{size}</Size><ETag>&quot;{etag}&quot;</ETag></Contents>")
        });
        let body = format!(
            "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
        );
        Self::Say { status: 200, headers: vec![("content-type", "application/xml".to_owned())], body }
    }
    /// A page of versions, as [`version`] and [`marker`] write them; `next`: the key and version it ends at.
    pub fn versions(entries: &[String], next: Option<(&str, &str)>) -> Self {
        let more = next.map_or("<IsTruncated>false</IsTruncated>".to_owned(), |(key, version)| {
            format!(
                "<IsTruncated>true</IsTruncated><NextKeyMarker>{key}</NextKeyMarker>\
                 <NextVersionIdMarker>{version}</NextVersionIdMarker>"
            )
        });
        let body =
            format!("<?xml version=\"1.0\"?><ListVersionsResult>{more}{}</ListVersionsResult>", entries.concat());
        Self::Say { status: 200, headers: vec![("content-type", "application/xml".to_owned())], body }
    }
    /// What a name answers that a delete marker lies on.
    pub fn hidden() -> Self {
        let body = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>none</Message></Error>".to_owned();
        let headers = vec![("content-type", "application/xml".to_owned()), ("x-amz-delete-marker", "true".to_owned())];
        Self::Say { status: 404, headers, body }
    }
}

/// One version in a page of them: key, id, size, ETag, and whether it is what the name answers with.
pub fn version((key, id): (&str, &str), (size, etag): (u64, &str), latest: bool) -> String {
    format!(
        "<Version><Key>{key}</Key><VersionId>{id}</VersionId><IsLatest>{latest}</IsLatest><Size>{size}</Size>\
         <ETag>&quot;{etag}&quot;</ETag><StorageClass>DEEP_ARCHIVE</StorageClass></Version>"
    )
}

pub fn marker((key, id): (&str, &str), latest: bool) -> String {
    format!("<DeleteMarker><Key>{key}</Key><VersionId>{id}</VersionId><IsLatest>{latest}</IsLatest></DeleteMarker>")
}

/// Ends with its process; a test holds it for what it heard.
pub struct Wire {
    pub endpoint: String,
    heard: Arc<Mutex<Vec<Request>>>,
}

impl Wire {
    /// `play` answers each request; it is told how many came before.
    pub fn new(play: impl Fn(&Request, usize) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(request) = hear(&stream) else { continue };
                let before = {
                    let mut notes = notes.lock().expect("notes");
                    notes.push(request.clone());
                    notes.len() - 1
                };
                answer(stream, play(&request, before));
            }
        });
        Self { endpoint, heard }
    }

    pub fn heard(&self) -> Vec<Request> {
        self.heard.lock().expect("notes").clone()
    }
}

fn hear(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, target, headers, body })
}

fn answer(mut stream: TcpStream, answer: Answer) {
    if let Answer::Say { status, headers, body } = answer {
        let length = ("content-length", body.len().to_string());
        let text = headers
            .into_iter()
            .chain([("connection", "close".to_owned()), length])
            .fold(format!("HTTP/1.1 {status} Answer\r\n"), |text, (name, value)| text + name + ": " + &value + "\r\n");
        let _ = stream.write_all(format!("{text}\r\n{body}").as_bytes());
    }
    let _ = stream.shutdown(Shutdown::Both);
}
