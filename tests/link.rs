//! Which link leads to an address, and when that changed, in a network namespace of this test's own; and the real daemon
//! on links it may use and may not. Needs root, `unshare` and `ip`, the daemon a server of `PANICROOM_PYTHON` besides:
//! skipped, and said, where they are not to be had.

#[path = "support/servers.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod servers;

use panicroom::link::{Changes, addresses_of, links_to};
use panicroom::model::LinkChoice;
use panicroom::uplink::link::{Decision, Link, Metered, decide};
use panicroom::worker::Stop;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Set in the child that runs inside.
const INSIDE: &str = "PANICROOM_LINK_TEST_INSIDE";
/// Nobody waits this long.
const LONG: Duration = Duration::from_secs(60);

/// Runs this test again in a network namespace of its own; whether this is that run.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let works = |command: &mut Command| command.output().is_ok_and(|o| o.status.success());
    if !works(Command::new("unshare").args(["-n", "ip", "link", "set", "lo", "up"])) {
        eprintln!("SKIPPED {test}: no network namespace to be had (needs root, unshare, ip)");
        return false;
    }
    let me = std::env::current_exe().unwrap();
    let mut again = Command::new("unshare");
    again.arg("-n").arg(me).args(["--exact", test, "--nocapture"]).env(INSIDE, "yes");
    assert!(again.status().unwrap().success(), "{test} failed inside its namespace");
    false
}

fn ip(args: &str) {
    let out = Command::new("ip").args(args.split(' ')).output().unwrap();
    assert!(out.status.success(), "ip {args}: {}", String::from_utf8_lossy(&out.stderr));
}

fn to(address: &str) -> Vec<Link> {
    links_to(&[address.parse().unwrap()]).unwrap()
}

fn pause_on(entry: &str) -> LinkChoice {
    LinkChoice { pause_on: vec![entry.parse().unwrap()], only_on: vec![] }
}

fn cable_and_phone() {
    for link in ["cable", "phone"] {
        ip(&format!("link add {link} type veth peer name {link}.far"));
        ip(&format!("link set {link} up"));
        ip(&format!("link set {link}.far up"));
    }
    ip("addr add 10.11.12.13/24 dev cable");
    ip("addr add 192.168.43.77/24 dev phone");
    ip("addr add fd00:43::77/64 dev phone nodad");
}

#[test]
fn interface_gateway_and_network_are_told_right() {
    if !inside("interface_gateway_and_network_are_told_right") {
        return;
    }
    assert_eq!(to("203.0.113.5"), [], "no way leads there");
    cable_and_phone();
    assert_eq!(to("203.0.113.5"), []);
    ip("route add default via 10.11.12.1 dev cable metric 100");
    ip("route add default via 192.168.43.1 dev phone metric 600");
    ip("-6 route add default via fd00:43::1 dev phone metric 600");

    let link = &to("203.0.113.5")[0];
    assert_eq!((link.interface.as_str(), link.metered), ("cable", Metered::Unknown));
    assert_eq!(link.gateways, ["10.11.12.1".parse::<IpAddr>().unwrap()]);
    assert!(link.networks.iter().any(|n| n.to_string() == "10.11.12.13/24"), "{link:?}");
    assert_eq!(to("10.11.12.99")[0].interface, "cable", "on the link itself");
    assert_eq!(to("10.11.12.13")[0].interface, "lo", "this machine");

    // By its new address it leads over the phone, which is known by its old gateway and network too.
    let link = to("2001:db8::5");
    let gateways: Vec<String> = link[0].gateways.iter().map(ToString::to_string).collect();
    assert_eq!((link[0].interface.as_str(), gateways), ("phone", vec!["fd00:43::1".into(), "192.168.43.1".into()]));
    for entry in ["phone", "ph*", "192.168.43.1", "fd00:43::1", "192.168.0.0/16", "fd00:43::/64"] {
        assert!(matches!(decide(&pause_on(entry), &link), Decision::Wait(_)), "{entry}");
    }
    for entry in ["cable", "10.11.12.1", "10.0.0.0/8", "metered"] {
        assert_eq!(decide(&pause_on(entry), &link), Decision::Go, "{entry}");
    }
    // A server with an address of each family may be reached either way.
    let both = links_to(&["203.0.113.5".parse().unwrap(), "2001:db8::5".parse().unwrap()]).unwrap();
    assert_eq!(both.iter().map(|l| &*l.interface).collect::<Vec<_>>(), ["cable", "phone"]);

    // The cable is pulled: everything goes over the phone.
    ip("link set cable down");
    assert_eq!(to("203.0.113.5")[0].interface, "phone");
    // A route of the administrator's own counts as it does for real traffic.
    ip("link set cable up");
    ip("route add 203.0.113.0/24 via 10.11.12.7 dev cable");
    assert_eq!(to("203.0.113.5")[0].gateways, ["10.11.12.7".parse::<IpAddr>().unwrap()]);
    ip("route add unreachable 203.0.113.5/32");
    assert_eq!(to("203.0.113.5"), []);
    assert_eq!(addresses_of("127.0.0.1", 80), ["127.0.0.1".parse::<IpAddr>().unwrap()]);
}

#[test]
fn a_route_that_comes_back_is_heard() {
    if !inside("a_route_that_comes_back_is_heard") {
        return;
    }
    cable_and_phone();
    let changes = Changes::listen().unwrap();
    assert!(!changes.wait(Duration::from_millis(1)), "nothing happened since");
    ip("route add default via 10.11.12.1 dev cable");
    assert!(changes.wait(LONG));
    while changes.wait(Duration::from_millis(50)) {}
    ip("link set cable down");
    assert!(changes.wait(LONG));
    while changes.wait(Duration::from_millis(50)) {}
    // More news than a socket holds is news as well.
    for n in 1..250 {
        ip(&format!("route add 198.18.{n}.0/24 dev phone"));
    }
    assert!(changes.wait(LONG));
    assert_eq!(to("198.18.200.1")[0].interface, "phone");
}

/// The server's address as the daemon knows it, wherever that leads.
const SERVER: &str = "203.0.113.9";

/// Carries connections to every address of this machine on to `to`, a port of 127.0.0.1; the port it has itself.
fn relay(to: u16) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
            for (mut from, mut into) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
                std::thread::spawn(move || {
                    let mut buffer = [0; 16 << 10];
                    while let Ok(n @ 1..) = from.read(&mut buffer) {
                        if into.write_all(&buffer[..n]).is_err() {
                            break;
                        }
                    }
                    let _ = into.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    port
}

/// Connections this namespace ever began.
fn began() -> u64 {
    let text = std::fs::read_to_string("/proc/net/snmp").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split_whitespace().position(|name| name == "ActiveOpens").unwrap();
    values.split_whitespace().nth(at).unwrap().parse().unwrap()
}

struct Daemon {
    dir: tempfile::TempDir,
    child: Option<Child>,
}

impl Daemon {
    fn panicroom(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_panicroom"));
        command.arg("--config").arg(self.dir.path().join("config.toml")).args(args).stdin(Stdio::null());
        command
    }
    fn status(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.panicroom(&["--json", "status"]).output().unwrap().stdout).ok()
    }
    fn wait(&self, what: &str, is_so: impl Fn(&serde_json::Value) -> bool) {
        let mut last = None;
        for _ in 0..600 {
            last = self.status();
            if last.as_ref().is_some_and(&is_so) {
                return;
            }
            Stop::new().wait(Duration::from_millis(200));
        }
        panic!("waited in vain for: {what}: {last:#?}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn the_daemon_leaves_a_phone_alone_and_is_back_with_the_cable() {
    if std::env::var_os("PANICROOM_PYTHON").is_none() {
        eprintln!("SKIPPED: no real S3 server; set PANICROOM_PYTHON");
        return;
    }
    if !inside("the_daemon_leaves_a_phone_alone_and_is_back_with_the_cable") {
        return;
    }
    ip("link set lo up");
    cable_and_phone();
    ip("route add default via 192.168.43.1 dev phone");
    ip(&format!("addr add {SERVER}/32 dev lo"));
    let server = servers::Server::moto().unwrap();
    server.make_bucket("linked");
    let query = server.query();
    let (before, port) = query.rsplit_once(':').unwrap();
    let port = relay(port.parse().unwrap());
    let query = before.replace("127.0.0.1", SERVER) + &format!(":{port}");

    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("source")).unwrap();
    std::fs::write(dir.path().join("source/letter"), "dear").unwrap();
    let config = format!(
        "[[root]]\npath = \"{0}/source\"\nquiet = \"0s\"\n[[vault]]\nname = \"v\"\nurl = \"s3://linked/v?{query}\"\n\
         credentials_file = \"{1}\"\ngather = \"0s\"\n[uplink]\npause_on = [\"ph*\"]\n[state]\ndir = \"{0}/state\"\n\
         [http]\nlisten = \"off\"\n",
        dir.path().display(),
        server.credentials().display()
    );
    std::fs::write(dir.path().join("config.toml"), config).unwrap();
    let mut daemon = Daemon { dir, child: None };
    let words = daemon.dir.path().join("words");
    let made = daemon.panicroom(&["init", "--words-file", words.to_str().unwrap()]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    // Now the way there is the phone.
    ip(&format!("addr del {SERVER}/32 dev lo"));
    let connections = began();
    daemon.child = Some(daemon.panicroom(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    daemon.wait("it says why it waits", |status| status.to_string().contains("the network is phone by 192.168.43.1"));
    assert_eq!(began(), connections, "not one connection was tried");
    // The cable is back.
    ip(&format!("addr add {SERVER}/32 dev lo"));
    daemon.wait("all is safe", |status| status["roots"][0]["safe_files"] == 1 && status["roots"][0]["dirty"] == 0);
    // The phone again, and something to send.
    ip(&format!("addr del {SERVER}/32 dev lo"));
    daemon.wait("it says so again", |status| status.to_string().contains("the network is phone"));
    let connections = began();
    std::fs::write(daemon.dir.path().join("source/another"), "dear").unwrap();
    daemon.wait("it was noticed", |status| status["roots"][0]["dirty"].as_u64() >= Some(1));
    // Nor is the vault looked at when somebody asks the daemon to.
    let looked = daemon.panicroom(&["verify"]).output().unwrap();
    let said = String::from_utf8_lossy(&[looked.stdout, looked.stderr].concat()).into_owned();
    assert!(!looked.status.success() && said.contains("the network is phone"), "{said}");
    assert_eq!(began(), connections, "not one connection was tried");
}
