//! A network of its own to be measured: two namespaces' worth of a veth pair, and a relay to a server on this machine.
//!
//! Threads that [`Narrow::enter`] speak through the pair; what passes is read off the near end, IP packets alone. The
//! pair splits large sends itself, so that packets are counted as a line would carry them. Nobody asks for neighbours:
//! each end is told of the other, and told wrong while the line is cut.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Ethernet's header, which the counters include.
const ETHERNET: u64 = 14;
/// The two ends, and one that is not there.
const NEAR: &str = "02:00:00:00:00:01";
const FAR: &str = "02:00:00:00:00:02";
const NOBODY: &str = "02:00:00:00:00:03";

/// Which addresses the pair has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

pub struct Narrow {
    name: String,
    near: String,
    far: String,
    /// Of the near end.
    address: String,
}

/// IP bytes through the pair, as seen by those who entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    pub up: u64,
    pub down: u64,
}

fn run(command: &str) -> Result<(), String> {
    let mut words = command.split(' ');
    let output = Command::new(words.next().expect("a command")).args(words).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(e) => Err(format!("{command}: {e}")),
    }
}

impl Narrow {
    /// Else why it cannot be had here.
    pub fn new(family: Family) -> Result<Self, String> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let id = std::process::id() % 1000 * 10 + u32::from(NEXT.fetch_add(1, Ordering::Relaxed) % 10);
        let (net, length) = match family {
            Family::V4 => (format!("198.{}.{}.", 18 + id / 256 % 2, id % 256), 24),
            Family::V6 => (format!("fd70:616e:{id:x}::"), 64),
        };
        let narrow = Self {
            name: format!("narrow{id}"),
            near: format!("nn{id}"),
            far: format!("nf{id}"),
            address: format!("{net}1"),
        };
        let Self { name, near, far, address } = &narrow;
        let v4_alone = u8::from(family == Family::V4);
        // IPv6 looks for doubles of its addresses before it uses them, unless told not to.
        let at_once = if family == Family::V6 { " nodad" } else { "" };
        for command in [
            format!("ip netns add {name}"),
            format!("ip link add {near} address {NEAR} gso_max_segs 1 type veth peer name {far} address {FAR}"),
            format!("ip link set {near} addrgenmode none"),
            format!("ip link set {far} addrgenmode none"),
            format!("ip link set {far} gso_max_segs 1 netns {name}"),
            format!("ip -n {name} link set {far} addrgenmode none"),
            format!("ip netns exec {name} sysctl -qw net.ipv6.conf.all.disable_ipv6={v4_alone}"),
            format!("sysctl -qw net.ipv6.conf.{near}.disable_ipv6={v4_alone}"),
            format!("ip addr add {address}/{length} dev {near}{at_once}"),
            format!("ip link set {near} up"),
            format!("ip -n {name} addr add {net}2/{length} dev {far}{at_once}"),
            format!("ip -n {name} link set {far} up"),
            format!("ip -n {name} link set lo up"),
            format!("ip neigh replace {net}2 lladdr {FAR} dev {near} nud permanent"),
        ] {
            run(&command)?;
        }
        narrow.lead_to(NEAR)?;
        Ok(narrow)
    }

    /// Where the far end believes the near one to be.
    fn lead_to(&self, whom: &str) -> Result<(), String> {
        let Self { name, far, address, .. } = self;
        run(&format!("ip -n {name} neigh replace {address} lladdr {whom} dev {far} nud permanent"))
    }

    /// From now on nothing that is sent at the far end arrives, and nobody is told.
    pub fn cut(&self) {
        self.lead_to(NOBODY).expect("cut the line");
    }
    pub fn mend(&self) {
        self.lead_to(NEAR).expect("mend the line");
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// This thread, and those it starts, are at the far end from now on.
    pub fn enter(&self) {
        enter(&self.name);
    }
    /// As [`enter`](Self::enter), for a thread that does not know us.
    pub fn entrance(&self) -> impl Fn() + Send + Sync + 'static {
        let name = self.name.clone();
        move || enter(&name)
    }

    /// Passes on to a server on this machine; `host:port` as seen from the far end.
    pub fn relay_to(&self, server: &str) -> String {
        let listener = TcpListener::bind((self.address.as_str(), 0)).expect("listen on the pair");
        let here = listener.local_addr().expect("an address").to_string();
        let server = server.to_owned();
        std::thread::spawn(move || {
            for asked in listener.incoming().flatten() {
                let Ok(answers) = TcpStream::connect(&server) else { continue };
                for (from, to) in [(&asked, &answers), (&answers, &asked)] {
                    let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                    std::thread::spawn(move || pass(from, to));
                }
            }
        });
        here
    }

    /// One that takes whatever comes and never answers; its `host:port`, and how much it took.
    pub fn mute(&self) -> (String, Arc<AtomicU64>) {
        let listener = TcpListener::bind((self.address.as_str(), 0)).expect("listen on the pair");
        let here = listener.local_addr().expect("an address").to_string();
        let took = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&took);
        std::thread::spawn(move || {
            for mut asked in listener.incoming().flatten() {
                let counts = Arc::clone(&counts);
                std::thread::spawn(move || {
                    let mut piece = [0; 64 << 10];
                    while let Ok(n @ 1..) = asked.read(&mut piece) {
                        counts.fetch_add(n as u64, Ordering::Relaxed);
                    }
                });
            }
        });
        (here, took)
    }

    pub fn passed(&self) -> Passed {
        let count = |what: &str| -> u64 {
            let path = format!("/sys/class/net/{}/statistics/{what}", self.near);
            std::fs::read_to_string(path).expect("the counters").trim().parse().expect("a number")
        };
        let ip = |way: &str| count(&format!("{way}_bytes")).saturating_sub(count(&format!("{way}_packets")) * ETHERNET);
        Passed { up: ip("rx"), down: ip("tx") }
    }
}

fn enter(name: &str) {
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    use std::os::fd::AsFd;
    let file = File::open(format!("/run/netns/{name}")).expect("the namespace");
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("enter the namespace");
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut piece = [0; 64 << 10];
    while let Ok(n) = from.read(&mut piece) {
        if n == 0 || to.write_all(&piece[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

impl Drop for Narrow {
    fn drop(&mut self) {
        let _ = run(&format!("ip link del {}", self.near));
        let _ = run(&format!("ip netns del {}", self.name));
    }
}

/// One look: the counters stood so somewhere between the two instants.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub before: Instant,
    pub after: Instant,
    pub passed: Passed,
}

/// Looks ten times a second until told to end.
pub fn watch(narrow: &Narrow, end: &std::sync::atomic::AtomicBool) -> Vec<Look> {
    let mut looks = vec![];
    loop {
        let before = Instant::now();
        let passed = narrow.passed();
        looks.push(Look { before, after: Instant::now(), passed });
        if end.load(Ordering::Relaxed) {
            return looks;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The worst of all windows of at least `window`: bytes by the longest time they can have taken, bytes per second.
pub fn worst(looks: &[Look], window: Duration, way: impl Fn(&Passed) -> u64) -> f64 {
    let mut worst: f64 = 0.0;
    for (i, first) in looks.iter().enumerate() {
        let last = looks[i..].iter().find(|l| l.after - first.before >= window);
        let Some(last) = last else { break };
        let bytes = way(&last.passed) - way(&first.passed);
        worst = worst.max(bytes as f64 / (last.after - first.before).as_secs_f64());
    }
    worst
}
