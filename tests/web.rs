//! The faces over real sockets against a console double: who may look, who may change, what is shown.

#[path = "support/browser.rs"]
mod browser;
#[path = "support/console_double.rs"]
mod console_double;

use browser::{Browser, Scheme};
use console_double::{ConsoleDouble, NASTY, alarm, all_good, first_backup, own_limit, same_disk};
use panicroom::clock::{Clock, ManualClock, Wall};
use panicroom::config::HostName;
use panicroom::daemon::console::{Bound, HoldStatus, Lasting, Mood, Status};
use panicroom::error::Kind;
use panicroom::model::{Rate, TreePath};
use panicroom::web::ask::Ask;
use panicroom::web::control::{self, Control};
use panicroom::web::{Face, serve};
use panicroom::worker::Stop;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// 2026-08-03T14:03:20Z: after everything in the scenes.
const NOW: Wall = Wall(1_785_765_800_000);

struct Served {
    address: SocketAddr,
    double: Arc<ConsoleDouble>,
    stop: Stop,
    runtime: Runtime,
}

impl Served {
    fn showing(status: Status) -> Self {
        let double = ConsoleDouble::showing(status);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), Stop::new());
        let face = Face {
            console: double.clone(),
            clock: ManualClock::at(NOW) as Arc<dyn Clock>,
            names: ["nas.example", "nas.home:8420"].map(|name| HostName::parse(name).unwrap()).to_vec(),
            secret: [7; 32],
        };
        let asked = stop.clone();
        runtime.spawn(async move { serve(listener, face, asked).await.unwrap() });
        Self { address, double, stop, runtime }
    }
    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
    /// Sends `head` lines and body as they are; the whole answer.
    fn raw(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { code, head: head.to_ascii_lowercase(), body: body.into() }
    }
    fn get(&self, path: &str) -> Answer {
        self.raw(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address))
    }
    fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let headers = headers.concat();
        self.raw(&format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            self.address,
            body.len()
        ))
    }
    fn token(&self) -> String {
        let page = self.get("/").body;
        let after = page.split("name=\"panicroom-token\" content=\"").nth(1).unwrap();
        after.split('"').next().unwrap().into()
    }
    /// As the page itself asks.
    fn change(&self, path: &str, body: &str) -> Answer {
        let (token, origin) = (self.token(), format!("http://{}", self.address));
        let headers = [
            ("x-panicroom-token", token.as_str()),
            ("content-type", "application/json"),
            ("origin", origin.as_str()),
            ("sec-fetch-site", "same-origin"),
        ];
        self.post(path, &headers, body)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.ask();
    }
}

struct Answer {
    code: u16,
    /// In lower case.
    head: String,
    body: String,
}

const GETS: [&str; 11] = [
    "/",
    "/page.css",
    "/page.js",
    "/mark/good.svg",
    "/api/v1/status",
    "/api/v1/forecast",
    "/forecast",
    "/healthz",
    "/metrics",
    "/nothing",
    "/api/v1/pause",
];

#[test]
fn every_answer_carries_the_headers_that_keep_a_browser_in_bounds() {
    let served = Served::showing(all_good());
    for path in GETS {
        let head = served.get(path).head;
        for header in [
            "content-security-policy: default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
            "x-frame-options: deny",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(head.contains(header), "{path}: {header} is missing in\n{head}");
        }
    }
}

#[test]
fn the_page_has_nothing_inline_and_nothing_from_elsewhere() {
    for scene in [all_good(), first_backup(), same_disk(), alarm()] {
        let page = Served::showing(scene).get("/").body;
        assert!(!page.contains("<script>") && !page.contains("<style") && !page.contains(" style="), "{page}");
        assert!(!page.contains(" onclick") && !page.contains("<script>alert"));
        assert!(!page.contains("https://") && !page.contains("src=\"http") && !page.contains("href=\"http"));
    }
}

/// Issue: "in amber, never green", in every corner of the page.
#[test]
fn what_shares_its_disk_is_nowhere_called_safe_and_nothing_is_green() {
    let page = Served::showing(same_disk()).get("/").body;
    let drawn = page.split("<template").next().unwrap();
    assert!(drawn.contains("100 % copied") && drawn.contains("data-mark=\"mood\" data-state=\"warning\""));
    for word in ["% safe", ">Safe<", "files safe", "data-state=\"safe\""] {
        assert!(!drawn.contains(word), "{word}");
    }
}

#[test]
fn a_name_that_is_not_ours_is_refused_on_every_route() {
    let served = Served::showing(all_good());
    for path in GETS.iter().chain(&["/live", "/api/v1/events"]) {
        for host in ["Host: evil.example\r\n", "Host: 127.0.0.1.evil.example\r\n", "", "Host: a\r\nHost: localhost\r\n"]
        {
            let code = served.raw(&format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n")).code;
            assert!(code == 421 || (code == 400 && host.is_empty()), "{path} {host:?}: {code}");
        }
    }
    for host in ["localhost", "localhost:1", "127.0.0.1", "[::1]:8420", "NAS.example"] {
        let answer = served.raw(&format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        assert_eq!(answer.code, 200, "{host}");
    }
    let answer = served.raw("GET / HTTP/1.1\r\nHost: nas.lan:8420\r\nConnection: close\r\n\r\n");
    assert!(answer.code == 421 && answer.body.contains("hosts under [http]"), "{}", answer.body);
    let absolute = "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(served.raw(absolute).code, 421);
}

#[test]
fn nothing_changes_on_get_nor_without_the_token_nor_from_another_site() {
    let served = Served::showing(all_good());
    let token = served.token();
    let json = ("content-type", "application/json");
    for path in ["/api/v1/pause", "/api/v1/resume", "/api/v1/rescan", "/api/v1/limit"] {
        assert_eq!(served.get(path).code, 405, "{path}");
        let token = ("x-panicroom-token", token.as_str());
        for headers in [
            &[json][..],
            &[json, ("x-panicroom-token", "wrong")],
            &[json, token, ("origin", "http://evil.example")],
            &[json, token, ("origin", "null")],
            &[json, token, ("sec-fetch-site", "cross-site")],
            &[json, token, ("sec-fetch-site", "same-site")],
        ] {
            assert_eq!(served.post(path, headers, r#"{"rate":null}"#).code, 403, "{path} {headers:?}");
        }
        assert_eq!(served.post(path, &[token, ("content-type", "text/plain")], "{}").code, 415, "{path}");
    }
    assert_eq!(served.double.asked(), Vec::<String>::new());
}

#[test]
fn a_listed_name_answers_for_its_port_and_its_changes_are_guarded_as_all_are() {
    let served = Served::showing(all_good());
    let get = |host: &str| served.raw(&format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    for (host, code) in [
        ("nas.example", 200),
        ("NAS.example:99", 200),
        ("nas.home:8420", 200),
        ("nas.home:8421", 421),
        ("nas.home", 421),
        ("home:8420", 421),
        ("sub.nas.example", 421),
    ] {
        assert_eq!(get(host).code, code, "{host}");
    }
    let token = served.token();
    let change = |host: &str, origin: &str, token: &str| {
        let head = format!("Host: {host}\r\nOrigin: {origin}\r\nX-Panicroom-Token: {token}\r\n");
        served.raw(&format!(
            "POST /api/v1/pause HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        ))
    };
    for (host, origin, token, code) in [
        ("evil.example", "http://evil.example", token.as_str(), 421),
        ("nas.home:8420", "http://evil.example", &token, 403),
        ("nas.home:8420", "http://nas.example:8420", &token, 403),
        ("nas.home:8420", "http://nas.home", &token, 403),
        ("nas.home:8420", "http://nas.home:8420", "guessed", 403),
    ] {
        assert_eq!(change(host, origin, token).code, code, "{host} {origin}");
    }
    assert_eq!(served.double.asked(), Vec::<String>::new());
    assert_eq!(change("nas.home:8420", "http://nas.home:8420", &token).code, 200);
    assert_eq!(served.double.asked(), ["pause"]);
}

#[test]
fn the_page_may_pause_resume_and_limit_and_hears_why_not() {
    let served = Served::showing(all_good());
    assert_eq!(served.change("/api/v1/pause", "{}").code, 200);
    assert_eq!(served.change("/api/v1/resume", "").code, 200);
    assert_eq!(served.change("/api/v1/limit", r#"{"rate":"2 Mbit/s"}"#).code, 200);
    assert_eq!(served.change("/api/v1/limit", r#"{"rate":100000}"#).code, 200);
    assert_eq!(served.change("/api/v1/limit", r#"{"rate":null}"#).code, 200);
    let busy = served.change("/api/v1/rescan", "{}");
    let said: Value = serde_json::from_str(&busy.body).unwrap();
    assert_eq!((busy.code, said["kind"].as_str()), (503, Some("retry")));
    assert!(said["error"].as_str().unwrap().contains("under way already"));
    let asked = served.double.asked();
    assert_eq!(asked, ["pause", "resume", "limit Some(250000)", "limit Some(100000)", "limit None", "rescan"]);
    for bad in ["{}", "", r#"{"rate":0}"#, r#"{"rate":"fast"}"#, r#"{"limit":5}"#, "nonsense"] {
        assert_eq!(served.change("/api/v1/limit", bad).code, 400, "{bad}");
    }
    assert_eq!(served.change("/api/v1/pause", &format!("\"{}\"", "x".repeat(1 << 20))).code, 413);
    assert_eq!(served.double.asked().len(), asked.len());
}

#[test]
fn names_are_shown_as_text_whatever_they_try() {
    let served = Served::showing(alarm());
    let page = served.get("/").body;
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(page.contains("&lt;script&gt;") || page.contains("&#60;script&#62;"), "{page}");
    assert!(!page.contains(NASTY));
}

#[test]
fn the_status_document_is_the_consoles_own() {
    let served = Served::showing(alarm());
    let answer = served.get("/api/v1/status");
    assert!(answer.head.contains("content-type: application/json"));
    let shown: Status = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(shown, alarm());
}

#[test]
fn health_is_200_while_a_first_backup_moves_and_503_with_the_reason_when_not() {
    let served = Served::showing(first_backup());
    let well = served.get("/healthz");
    assert_eq!((well.code, well.body.as_str()), (200, "ok\n"));
    *served.double.unhealthy.lock().unwrap() = Some("the vault cloud refuses us".into());
    let ill = served.get("/healthz");
    assert_eq!((ill.code, ill.body.as_str()), (503, "the vault cloud refuses us\n"));
}

/// Every line of the text is HELP, TYPE or a sample of the family announced last; no sample comes twice.
fn check_exposition(text: &str) -> HashSet<String> {
    let (mut family, mut seen) = (String::new(), HashSet::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap().into();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            assert!(kind == format!("{family} gauge") || kind == format!("{family} counter"), "{line}");
            assert_eq!(kind.ends_with("counter"), family.ends_with("_total"), "{line}");
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let rest = sample.strip_prefix(&family).unwrap_or_else(|| panic!("{line} is not of {family}"));
            assert!(rest.is_empty() || rest.starts_with('{') && rest.ends_with('}'), "{line}");
            assert!(family.starts_with("panicroom_"), "{line}");
            assert!(seen.insert(sample.to_owned()), "{line} comes twice");
        }
    }
    assert!(text.ends_with('\n'));
    seen
}

#[test]
fn metrics_are_prometheus_text_and_silent_about_what_is_unknown() {
    let mut status = alarm();
    status.roots[0].path = "/a\"b\\c\nd".into();
    let served = Served::showing(status);
    let answer = served.get("/metrics");
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"));
    let samples = check_exposition(&answer.body);
    for sample in [
        r#"panicroom_root_files{root="/a\"b\\c\nd"}"#,
        r#"panicroom_vault_requests_total{vault="cloud",request="put"}"#,
        r#"panicroom_vault_error{vault="cloud"}"#,
        r#"panicroom_state{state="attention"}"#,
        r#"panicroom_root_lag_seconds{root="/volume1/photos"}"#,
    ] {
        assert!(samples.contains(sample), "{sample}");
    }
    assert!(!samples.contains(r#"panicroom_root_lag_seconds{root="/mnt/usb2/video"}"#));
    assert!(!samples.contains(r#"panicroom_vault_rate_bytes_per_second{vault="cloud"}"#));
}

#[test]
fn metrics_tell_the_line_its_caps_what_holds_it_and_the_manners_of_each_vault() {
    let mut status = own_limit();
    let hold = HoldStatus { kind: "cap".into(), text: "used up".into(), log_goes: true, folders_too: false };
    status.uplink.as_mut().unwrap().hold = Some(hold);
    let text = Served::showing(status).get("/metrics").body;
    check_exposition(&text);
    for line in [
        r#"panicroom_vault_wire_bytes_total{vault="cloud",direction="up"} 434000000000"#,
        r#"panicroom_vault_wire_bytes_total{vault="cloud",direction="down"} 9100000000"#,
        r#"panicroom_cap_bytes{span="month"} 200000000000"#,
        r#"panicroom_cap_used_bytes{span="month"} 61400000000"#,
        r#"panicroom_cap_left_bytes{span="month"} 136600000000"#,
        r#"panicroom_held{reason="cap"} 1"#,
        r#"panicroom_held{reason="paused"} 0"#,
        r#"panicroom_vault_limit_bytes_per_second{vault="cloud"} 400000"#,
        r#"panicroom_vault_manners_delay_seconds{vault="cloud"} 0.012"#,
        r#"panicroom_vault_manners_rate_bytes_per_second{vault="cloud"} 1200000"#,
        r#"panicroom_vault_polite{vault="cloud"} 1"#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("panicroom_line_limit_bytes_per_second{"), "there is none: {text}");
    let text = Served::showing(first_backup()).get("/metrics").body;
    assert!(text.contains(r#"panicroom_line_limit_bytes_per_second{direction="up"} 62500"#), "{text}");
    let text = Served::showing(same_disk()).get("/metrics").body;
    assert!(!text.contains("manners") && !text.contains("polite"), "a folder has none: {text}");
}

#[test]
fn every_metric_is_in_the_documents_and_no_other() {
    let page = include_str!("../docs/metrics.md");
    let named: HashSet<&str> = page.split('`').filter(|word| word.starts_with("panicroom_")).collect();
    let text: String = [own_limit(), alarm(), first_backup()].map(|s| Served::showing(s).get("/metrics").body).concat();
    let told: HashSet<&str> = text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(told.difference(&named).collect::<Vec<_>>(), Vec::<&&str>::new(), "not in docs/metrics.md");
    assert_eq!(named.difference(&told).collect::<Vec<_>>(), Vec::<&&str>::new(), "not told");
}

#[test]
fn the_page_says_the_limit_a_vault_keeps_for_itself_and_how_it_gives_way() {
    let page = Served::showing(own_limit()).get("/").body;
    assert!(page.contains(r#"Uplink: <b data-text="limit">no limit</b>"#), "the line has none: {page}");
    assert!(page.contains("Vault cloud keeps its own limit of 400 kB/s."), "{page}");
    assert!(page.contains("<dt>Its own limit</dt><dd data-text=\"limit\">at most 3.20\u{a0}Mbit/s"), "{page}");
    assert!(page.contains("packets wait 12 ms; it would let 1.20 MB/s go"), "{page}");
    let busy = Served::showing(first_backup()).get("/").body;
    assert!(busy.contains("packets wait 12 ms; sending at most 248 kB/s"), "{busy}");
    let folder = Served::showing(same_disk()).get("/").body;
    assert!(folder.contains(r#"<div data-show="manners" hidden>"#) && !folder.contains("Polite"), "{folder}");
}

/// The data lines of a stream, as they come.
fn listen(served: &Served, path: &str) -> impl Iterator<Item = (String, Value)> + use<> {
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut event = String::new();
    BufReader::new(stream).lines().map_while(Result::ok).filter_map(move |line| {
        if let Some(name) = line.strip_prefix("event: ") {
            event = name.into();
        }
        let data = line.strip_prefix("data: ")?;
        Some((event.clone(), serde_json::from_str(data).unwrap()))
    })
}

#[test]
fn the_stream_sends_the_status_at_once_and_again_when_it_changes() {
    let served = Served::showing(first_backup());
    let mut events = listen(&served, "/api/v1/events");
    let (name, first) = events.next().unwrap();
    assert_eq!((name.as_str(), &first["mood"]), ("status", &json!("busy")));
    assert_eq!(serde_json::from_value::<Status>(first).unwrap(), first_backup());
    *served.double.status.lock().unwrap() = all_good();
    assert!(events.any(|(_, status)| status["mood"] == "good"));
    served.double.status.lock().unwrap().mood = Mood::Alarm;
    assert!(events.any(|(_, status)| status["mood"] == "alarm"));
}

#[test]
fn unchanged_news_come_again_so_that_silence_means_trouble() {
    let served = Served::showing(all_good());
    assert_eq!(listen(&served, "/live").take(3).filter(|(name, _)| name == "page").count(), 3);
}

#[test]
fn streams_are_counted_and_a_stop_ends_them() {
    let served = Served::showing(all_good());
    let mut readers: Vec<_> = (0..32).map(|_| listen(&served, "/live")).collect();
    assert!(readers.iter_mut().all(|reader| reader.next().is_some()));
    assert_eq!(served.get("/live").code, 503);
    assert_eq!(served.get("/api/v1/events").code, 503);
    assert_eq!(served.get("/healthz").code, 200);
    served.stop.ask();
    for reader in readers {
        assert!(reader.count() < 10);
    }
}

// --- the control socket --------------------------------------------------------------------------------------------

fn controlled(served: &Served, path: &std::path::Path) {
    let control = {
        let _inside = served.runtime.enter();
        Control::bind(path).unwrap()
    };
    let (double, stop) = (served.double.clone(), served.stop.clone());
    served.runtime.spawn(async move { control.serve(double, stop).await.unwrap() });
}

#[test]
fn the_command_line_asks_over_the_socket_what_the_page_asks_over_the_port() {
    let (served, folder) = (Served::showing(alarm()), tempfile::tempdir().unwrap());
    let socket = folder.path().join("control.sock");
    controlled(&served, &socket);
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let status: Status = serde_json::from_value(control::ask(&socket, &Ask::Status).unwrap()).unwrap();
    assert_eq!(status, alarm());
    let nine = Bound::At(Rate::bytes_per_second(9).unwrap());
    let always = Lasting::Always;
    for ask in
        [Ask::Pause(always), Ask::Resume, Ask::Backup, Ask::Limit(nine, always), Ask::Limit(Bound::Unlimited, always)]
    {
        assert_eq!(control::ask(&socket, &ask).unwrap(), json!(true));
    }
    assert_eq!(served.double.asked(), ["pause", "resume", "backup", "limit Some(9)", "limit None"]);
    let odd = TreePath::from_bytes(b"/a/\xff".to_vec()).unwrap();
    assert_eq!(control::ask(&socket, &Ask::Explain(odd)).unwrap()["path"], "/a/\\xff");
    let refused = control::ask(&socket, &Ask::Rescan).unwrap_err();
    assert_eq!(refused.kind(), Kind::Retry);
    assert!(refused.to_string().contains("under way already"));
}

#[test]
fn nonsense_on_the_socket_is_answered_and_harms_nobody() {
    let (served, folder) = (Served::showing(all_good()), tempfile::tempdir().unwrap());
    let socket = folder.path().join("control.sock");
    controlled(&served, &socket);
    for nonsense in ["\n".to_owned(), "{}\n".into(), "{\"ask\":\"delete\"}\n".into(), "x".repeat(100_000)] {
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        let _ = stream.write_all(nonsense.as_bytes());
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said);
        assert!(said.is_empty() || said.contains("\"error\""), "{said}");
    }
    assert!(control::ask(&socket, &Ask::Status).is_ok());
}

#[test]
fn a_socket_left_behind_is_replaced_but_one_that_answers_is_another_daemon() {
    let (served, folder) = (Served::showing(all_good()), tempfile::tempdir().unwrap());
    let socket = folder.path().join("control.sock");
    assert!(control::nobody_answers(&control::ask(&socket, &Ask::Status).unwrap_err()));
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(control::nobody_answers(&control::ask(&socket, &Ask::Status).unwrap_err()));
    controlled(&served, &socket);
    let second = Control::bind(&socket).err().unwrap();
    assert_eq!(second.kind(), Kind::Operator);
    assert!(second.to_string().contains("another panicroom answers"), "{second}");
    assert!(control::ask(&socket, &Ask::Status).is_ok());
    let file = folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    assert_eq!(Control::bind(&file).err().unwrap().kind(), Kind::Operator);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_stop_takes_the_socket_away() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let control = Control::bind(&socket).unwrap();
    let stop = Stop::new();
    stop.ask();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(control.serve(ConsoleDouble::showing(all_good()), stop)).unwrap();
    assert!(!socket.exists());
}

// --- in a real browser ---------------------------------------------------------------------------------------------

/// None, and a word about it, where there is no Chromium.
fn browser() -> Option<Browser> {
    let browser = Browser::start();
    if browser.is_none() {
        eprintln!("skipped: no chromium on this machine");
    }
    browser
}

const WIDE: (u32, u32) = (1280, 900);
const PHONE: (u32, u32) = (360, 740);
const LIVE: &str = "document.getElementById('link').textContent === 'Live'";

fn headline_says(text: &str) -> String {
    format!("document.querySelector('h1').textContent.includes({})", json!(text))
}

#[test]
fn a_browser_follows_the_daemon_from_mood_to_mood_and_complains_about_nothing() {
    let Some(mut browser) = browser() else { return };
    let served = Served::showing(first_backup());
    browser.open(&served.url(), WIDE, Scheme::Light);
    assert!(browser.sees(LIVE));
    for scene in [alarm(), all_good(), same_disk(), alarm(), first_backup(), all_good()] {
        *served.double.status.lock().unwrap() = scene.clone();
        assert!(browser.sees(&headline_says(&scene.headline)), "{}", scene.headline);
        // What the script made of the news is what the server draws for somebody who comes now.
        let fresh = served.get("/").body;
        let same = browser.eval(&format!(
            "(() => {{ const fresh = new DOMParser().parseFromString({}, 'text/html');
                const said = (d) => [...d.querySelectorAll('main [data-text], footer [data-text]')]
                    .map((e) => [e.textContent, e.hidden, e.closest('[data-item]')?.dataset.state ?? null]);
                const bars = (d) => [...d.querySelectorAll('progress')].map((e) => e.value);
                const now = JSON.stringify([said(document), bars(document)]);
                return now === JSON.stringify([said(fresh), bars(fresh)]) ? 'same' : now }})()",
            json!(fresh)
        ));
        assert_eq!(same, "same", "{}", scene.headline);
    }
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn nasty_names_are_text_in_a_browser_too_and_never_widen_a_phone() {
    let Some(mut browser) = browser() else { return };
    let served = Served::showing(alarm());
    browser.open(&served.url(), PHONE, Scheme::Dark);
    assert!(browser.sees(LIVE));
    assert_eq!(browser.eval("document.querySelectorAll('main script, main img').length"), 0);
    let shown = "[...document.querySelectorAll('.failed .path')].map((e) => e.textContent)";
    assert_eq!(browser.eval(shown)[0], NASTY);
    assert_eq!(browser.eval("document.documentElement.scrollWidth"), PHONE.0);
    assert_eq!(browser.complaints, Vec::<String>::new());
}

#[test]
fn a_lost_connection_is_said_before_anything_else_and_green_goes_away() {
    let Some(mut browser) = browser() else { return };
    let served = Served::showing(all_good());
    browser.open(&served.url(), WIDE, Scheme::Light);
    assert!(browser.sees(LIVE));
    assert_eq!(browser.eval("document.getElementById('lost').hidden"), true);
    served.stop.ask();
    assert!(browser.sees("!document.getElementById('lost').hidden"));
    assert_eq!(browser.eval("document.title"), "No connection · panicroom");
    assert_eq!(browser.eval("getComputedStyle(document.querySelector('main')).filter"), "grayscale(1)");
    assert_eq!(browser.eval("[...document.querySelectorAll('button')].every((b) => b.disabled)"), true);
}

#[test]
fn the_buttons_do_what_they_say() {
    let Some(mut browser) = browser() else { return };
    let served = Served::showing(first_backup());
    browser.open(&served.url(), WIDE, Scheme::Light);
    assert!(browser.sees(LIVE));
    let answer = |text: &str| format!("document.getElementById('answer').textContent.includes({})", json!(text));
    browser.eval("document.querySelector('[data-do=pause]').click()");
    assert!(browser.sees("!document.querySelector('[data-do=resume]').hidden"));
    assert_eq!(browser.eval("document.querySelector('[data-do=pause]').hidden"), true);
    browser
        .eval("document.getElementById('rate').value = '800 kbit/s'; document.querySelector('#limit button').click()");
    assert!(browser.sees("document.querySelector('.uplink').textContent.includes('800\\u00a0kbit/s')"));
    browser.eval("document.getElementById('rate').value = 'fast'; document.querySelector('#limit button').click()");
    assert!(browser.sees(&answer("is not a rate")));
    browser.eval("document.querySelector('[data-do=rescan]').click()");
    assert!(browser.sees(&answer("under way already")));
    assert_eq!(served.double.asked(), ["pause", "limit Some(100000)", "rescan"]);
    browser.eval("document.getElementById('limit-term').value = 'until:change'; document.getElementById('rate').value = 'none'; document.querySelector('#limit button').click()");
    assert!(browser.sees("document.getElementById('answer').textContent === 'Limit set.'"));
    assert_eq!(served.double.asked()[3], "limit None Change");
}

#[test]
fn without_javascript_the_page_still_tells_all() {
    let Some(mut browser) = browser() else { return };
    let served = Served::showing(alarm());
    browser.without_scripts();
    browser.open(&served.url(), WIDE, Scheme::Light);
    assert!(browser.sees(&headline_says(&alarm().headline)));
    assert_eq!(browser.eval("document.getElementById('buttons').hidden"), true);
    assert_eq!(browser.eval("document.querySelectorAll('.failed li').length"), 5);
    assert!(browser.eval("document.body.innerText").as_str().unwrap().contains("reloads itself"));
}

/// `PANICROOM_PICTURES=DIR cargo test --test web pictures -- --ignored`: every scene for a person to look at.
#[test]
#[ignore = "makes pictures for a person to look at; wants PANICROOM_PICTURES"]
fn pictures_of_every_mood() {
    let folder = std::path::PathBuf::from(std::env::var_os("PANICROOM_PICTURES").expect("PANICROOM_PICTURES"));
    let mut browser = Browser::start().expect("chromium");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, scene) in [
        ("good", all_good()),
        ("busy", first_backup()),
        ("own-limit", own_limit()),
        ("same-disk", same_disk()),
        ("alarm", alarm()),
    ] {
        let served = Served::showing(scene);
        for (width, size) in [("wide", WIDE), ("phone", PHONE)] {
            for (light, scheme) in [("light", Scheme::Light), ("dark", Scheme::Dark)] {
                browser.open(&served.url(), size, scheme);
                assert!(browser.sees(LIVE));
                browser.picture(&folder.join(format!("{name}-{width}-{light}.png")));
            }
        }
        served.stop.ask();
        assert!(browser.sees("!document.getElementById('lost').hidden"));
        browser.picture(&folder.join(format!("{name}-lost.png")));
    }
}

/// `PANICROOM_PICTURES=DIR PANICROOM_PAGE=http://127.0.0.1:8420 cargo test --test web daemon_that_runs -- --ignored`.
#[test]
#[ignore = "makes pictures of a daemon that runs; wants PANICROOM_PICTURES and PANICROOM_PAGE"]
fn pictures_of_a_daemon_that_runs() {
    let folder = std::path::PathBuf::from(std::env::var_os("PANICROOM_PICTURES").expect("PANICROOM_PICTURES"));
    let page = std::env::var("PANICROOM_PAGE").expect("PANICROOM_PAGE");
    let mut browser = Browser::start().expect("chromium");
    for (name, size) in [("wide", WIDE), ("phone", PHONE)] {
        browser.open(&page, size, Scheme::Light);
        assert!(browser.sees(LIVE));
        browser.picture(&folder.join(format!("running-{name}.png")));
    }
}

#[test]
fn the_forecast_is_told_as_json_and_as_a_page_with_what_was_supposed() {
    let served = Served::showing(all_good());
    let json = served.get("/api/v1/forecast?what_if=limit+5+Mbit%2Fs&what_if=sat%2Csun%20off");
    assert!(json.code == 200 && json.body.contains("\"limit 5 Mbit/s\",\"sat,sun off\""), "{}", json.body);
    let page = served.get("/forecast?what_if=%3Cscript%3Ealert(1)%3C%2Fscript%3E").body;
    assert!(page.contains("/volume1/documents") && page.contains("never, as things are"), "{page}");
    assert!(!page.contains("<script>"), "{page}");
    for wrong in ["/api/v1/forecast?what_if=nonsense", "/api/v1/forecast?what=1"] {
        assert_eq!(served.get(wrong).code, 400, "{wrong}");
    }
    assert!(served.get("/forecast?what_if=nonsense").body.contains("nonsense"));
}
