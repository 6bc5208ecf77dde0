//! Which link leads to an address, and when that changed, in a network namespace of this test's own. Needs root and
//! `unshare` and `ip`: skipped, and said, where they are not to be had.

use panicroom::link::{Changes, addresses_of, links_to};
use panicroom::model::LinkChoice;
use panicroom::uplink::link::{Decision, Link, Metered, decide};
use std::net::IpAddr;
use std::process::Command;
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
