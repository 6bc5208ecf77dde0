//! The status document as Prometheus text (exposition format 0.0.4). What is unknown has no sample: absent, never 0.

use crate::daemon::console::{CapStatus, Overall, RootStatus, Status, UplinkStatus, VaultStatus};
use std::fmt::{Display, Write as _};
use std::time::Duration;

/// Every state of the daemon, in the words of the status document.
const STATES: [(Overall, &str); 7] = [
    (Overall::Starting, "starting"),
    (Overall::Checking, "checking"),
    (Overall::Working, "working"),
    (Overall::Idle, "idle"),
    (Overall::Paused, "paused"),
    (Overall::Attention, "attention"),
    (Overall::Stopped, "stopped"),
];

type OfRoot = fn(&RootStatus) -> Option<u64>;
const OF_ROOTS: [(&str, &str, OfRoot); 10] = [
    ("files", "Files chosen by the filters, failed ones included.", |r| Some(r.files)),
    ("bytes", "Bytes of the files chosen by the filters.", |r| Some(r.bytes)),
    ("safe_files", "Files safe in every vault of the root.", |r| Some(r.safe_files)),
    ("safe_bytes", "Bytes safe in every vault of the root.", |r| Some(r.safe_bytes)),
    ("dirty_paths", "Paths owed a look; at least 1 until the root was walked.", |r| Some(r.dirty)),
    ("failed_paths", "Paths that could not be read.", |r| Some(r.failed)),
    ("torn_files", "Files kept as changed while read.", |r| Some(r.changed_while_read)),
    ("lag_seconds", "Age of the oldest change not yet safe.", |r| r.lag_s),
    ("eta_seconds", "Expected time until all is safe.", |r| r.eta_s),
    ("same_disk", "1 when every vault of the root lies on the root's own disk.", |r| Some(r.same_disk.into())),
];

type OfVault = fn(&VaultStatus) -> Option<u64>;
const OF_VAULTS: [(&str, &str, &str, OfVault); 16] = [
    ("stored_bytes", "gauge", "Bytes the vault confirmed.", |v| Some(v.stored_bytes)),
    ("stored_objects", "gauge", "Objects the vault confirmed.", |v| Some(v.stored_objects)),
    ("queued_bytes", "gauge", "Bytes of files not yet stored.", |v| Some(v.queued_bytes)),
    ("queued_files", "gauge", "Files not yet stored.", |v| Some(v.queued_files)),
    ("spool_bytes", "gauge", "Sealed bytes waiting in the spool.", |v| Some(v.spool_bytes)),
    ("rate_bytes_per_second", "gauge", "What is being sent now.", |v| v.rate_bytes_per_s),
    ("limit_bytes_per_second", "gauge", "The vault's own limit for what is sent; absent when it has none.", |v| {
        v.limit_bytes_per_s
    }),
    ("polite", "gauge", "1 while it gives way to others on the line; absent for a folder.", |v| {
        Some((v.manners.as_ref()?.state == "on").into())
    }),
    ("manners_rate_bytes_per_second", "gauge", "What manners let go now.", |v| v.manners.as_ref()?.rate_bytes_per_s),
    ("sent_bytes_total", "counter", "Bytes sent since the vault was set up here.", |v| Some(v.sent_bytes_total)),
    ("eta_seconds", "gauge", "Expected time until the queue is stored.", |v| v.eta_s),
    ("defects", "gauge", "Objects found not to be as they should be.", |v| Some(v.verify.as_ref()?.defects)),
    ("waiting_packs", "gauge", "Packs missing or damaged that wait for the owner's word.", |v| {
        Some(v.verify.as_ref()?.waiting_packs)
    }),
    ("lost_versions", "gauge", "Versions of files that cannot be brought back.", |v| {
        Some(v.verify.as_ref()?.lost_versions)
    }),
    ("rotten_files", "gauge", "Files of the roots that are not what was captured, under an unchanged stamp.", |v| {
        Some(v.verify.as_ref()?.rotten)
    }),
    ("error", "gauge", "1 when the last step of the vault failed.", |v| Some(v.last_error.is_some().into())),
];

pub(super) fn text(status: &Status, unhealthy: Option<&str>) -> String {
    let mut out = String::new();
    family(
        &mut out,
        "healthy",
        "gauge",
        "1 when /healthz answers 200.",
        [(String::new(), u64::from(unhealthy.is_none()))],
    );
    family(&mut out, "info", "gauge", "The version that runs.", [(label("version", &status.version), 1)]);
    family(&mut out, "uptime_seconds", "gauge", "Time since the start.", [(String::new(), status.uptime_s)]);
    let states = STATES.map(|(state, word)| (label("state", word), u64::from(state == status.state)));
    family(&mut out, "state", "gauge", "1 for the state the daemon is in.", states);
    let limit = status.limit_bytes_per_s.map(|rate| (String::new(), rate));
    family(&mut out, "limit_bytes_per_second", "gauge", "The limit of the uplink; absent when there is none.", limit);
    if let Some(uplink) = &status.uplink {
        line(&mut out, uplink);
    }
    for (name, help, value) in OF_ROOTS {
        let samples = status.roots.iter().filter_map(|r| Some((label("root", &r.path), value(r)?)));
        family(&mut out, &format!("root_{name}"), "gauge", help, samples);
    }
    for (name, kind, help, value) in OF_VAULTS {
        let samples = status.vaults.iter().filter_map(|v| Some((label("vault", &v.name), value(v)?)));
        family(&mut out, &format!("vault_{name}"), kind, help, samples);
    }
    let delays = status.vaults.iter().filter_map(|v| {
        let delay = Duration::from_millis(v.manners.as_ref()?.delay_ms?);
        Some((label("vault", &v.name), delay.as_secs_f64()))
    });
    let help = "How long packets wait before the line, as its uploads see it; absent at rest.";
    family(&mut out, "vault_manners_delay_seconds", "gauge", help, delays);
    let wire = status.vaults.iter().flat_map(|v| {
        let both = v.wire.map(|w| [("up", w.sent_bytes), ("down", w.received_bytes)]);
        both.into_iter().flatten().map(|(way, bytes)| (directed(&v.name, way), bytes))
    });
    let help = "Everything that went over the wire since the start, heads, TLS and repeats included.";
    family(&mut out, "vault_wire_bytes_total", "counter", help, wire);
    let segments = status.vaults.iter().filter_map(|v| {
        let at: jiff::Timestamp = v.last_segment.as_deref()?.parse().ok()?;
        Some((label("vault", &v.name), u64::try_from(at.as_second()).ok()?))
    });
    family(&mut out, "vault_last_segment_timestamp_seconds", "gauge", "When the log last grew.", segments);
    let looks = status.vaults.iter().flat_map(|v| {
        let looks = v.verify.iter().flat_map(|l| {
            [("inventory", &l.inventory), ("checksum", &l.checksum), ("read", &l.read), ("reread", &l.reread)]
        });
        looks.filter_map(|(level, look)| {
            let at: jiff::Timestamp = look.as_ref()?.at.parse().ok()?;
            let labels = format!("{},{}", label("vault", &v.name), label("level", level));
            Some((labels, u64::try_from(at.as_second()).ok()?))
        })
    });
    family(&mut out, "vault_verified_timestamp_seconds", "gauge", "When the vault was last looked through.", looks);
    let requests = status.vaults.iter().flat_map(|v| {
        let r = v.requests;
        [("put", r.put), ("get", r.get), ("head", r.head), ("list", r.list), ("thaw", r.thaw)]
            .map(|(what, count)| (format!("{},{}", label("vault", &v.name), label("request", what)), count))
    });
    family(&mut out, "vault_requests_total", "counter", "Requests made to the vault: calls are money.", requests);
    out
}

type OfCap = fn(&CapStatus) -> u64;

/// Why nothing, or nothing but the log, goes to buckets.
const HOLDS: [&str; 4] = ["paused", "link", "window", "cap"];

/// What may go over the line now, and what is left of it.
fn line(out: &mut String, uplink: &UplinkStatus) {
    let limits = [("up", uplink.up_bytes_per_s), ("down", uplink.down_bytes_per_s)];
    let limits = limits.into_iter().filter_map(|(way, rate)| Some((label("direction", way), rate?)));
    family(
        out,
        "line_limit_bytes_per_second",
        "gauge",
        "Limit of all vaults together; absent when there is none.",
        limits,
    );
    let held = uplink.hold.as_ref().map(|hold| hold.kind.as_str());
    let holds = HOLDS.map(|reason| (label("reason", reason), u64::from(held == Some(reason))));
    family(out, "held", "gauge", "1 while that keeps buckets from being sent to.", holds);
    let of_caps: [(&str, &str, OfCap); 3] = [
        ("bytes", "The cap of the period that runs, bytes both ways.", |c| c.bytes),
        ("used_bytes", "What was used of the cap.", |c| c.used),
        ("left_bytes", "What is left of the cap, without its reserve.", |c| c.left),
    ];
    for (name, help, value) in of_caps {
        let samples = uplink.caps.iter().map(|cap| (label("span", &cap.span), value(cap)));
        family(out, &format!("cap_{name}"), "gauge", help, samples);
    }
}

fn directed(vault: &str, way: &str) -> String {
    format!("{},{}", label("vault", vault), label("direction", way))
}

/// One metric with its help, type and samples; nothing at all where there is no sample.
fn family(
    out: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    samples: impl IntoIterator<Item = (String, impl Display)>,
) {
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_none() {
        return;
    }
    let _ = writeln!(out, "# HELP panicroom_{name} {help}\n# TYPE panicroom_{name} {kind}");
    for (labels, value) in samples {
        let _ = match labels.as_str() {
            "" => writeln!(out, "panicroom_{name} {value}"),
            _ => writeln!(out, "panicroom_{name}{{{labels}}} {value}"),
        };
    }
}

fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        assert_eq!(label("root", "/a\"} 1\nb\\"), r#"root="/a\"} 1\nb\\""#);
    }

    #[test]
    fn what_is_unknown_has_no_sample() {
        let mut out = String::new();
        family(&mut out, "x", "gauge", "Help.", None::<(String, u64)>);
        assert_eq!(out, "");
    }
}
