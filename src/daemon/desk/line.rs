//! A vault on the line: how it gives way to others, and what went over the wire.

use crate::daemon::console::{MannersStatus, WireStatus};
use crate::store::throttle::{MannersState, Throttle, Way};
use std::time::Duration;

pub(super) fn wire(throttle: &Throttle) -> WireStatus {
    let wire = throttle.wire_bytes();
    WireStatus { sent_bytes: wire.up, received_bytes: wire.down }
}

/// Of a bucket.
pub(super) fn manners(throttle: &Throttle) -> MannersStatus {
    let bounds = throttle.pace(Way::Up) != throttle.rate();
    told(throttle.manners(), bounds)
}

fn told(state: MannersState, bounds: bool) -> MannersStatus {
    let none = |state: &str, text: &str| MannersStatus {
        state: state.to_owned(),
        delay_ms: None,
        rate_bytes_per_s: None,
        bounds: false,
        text: text.to_owned(),
    };
    match state {
        MannersState::Off => none("off", "Polite is off, as configured: the limit alone holds"),
        MannersState::NoTcpInfo => {
            none("no_tcp_info", "Polite is off: this system does not tell of its connections; the limit alone holds")
        }
        MannersState::On { delay, rate } => MannersStatus {
            state: "on".to_owned(),
            delay_ms: delay.map(milliseconds),
            rate_bytes_per_s: Some(rate.get()),
            bounds,
            text: match (delay.map(milliseconds), bounds) {
                (None, true) => format!("Polite: nothing is being sent; it begins with at most {rate}"),
                (None, false) => "Polite: nothing is being sent".to_owned(),
                (Some(delay), true) => format!("Polite: others' packets wait {delay} ms; sending at most {rate}"),
                (Some(delay), false) => {
                    format!("Polite: others' packets wait {delay} ms; it would let {rate} go, the limit is lower")
                }
            },
        },
    }
}

fn milliseconds(delay: Duration) -> u64 {
    u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rate;

    fn rate(bytes: u64) -> Rate {
        Rate::bytes_per_second(bytes).unwrap()
    }

    #[test]
    fn manners_are_told_in_figures_and_in_a_sentence_that_says_the_same() {
        let on = MannersState::On { delay: Some(Duration::from_micros(12_400)), rate: rate(1_200_000) };
        let told_on = told(on, true);
        assert_eq!(told_on.text, "Polite: others' packets wait 12 ms; sending at most 1.20 MB/s");
        assert_eq!((told_on.delay_ms, told_on.rate_bytes_per_s, told_on.bounds), (Some(12), Some(1_200_000), true));
        let deaf = told(MannersState::NoTcpInfo, true);
        assert_eq!((deaf.state.as_str(), deaf.delay_ms, deaf.bounds), ("no_tcp_info", None, false));
        assert_eq!(told(MannersState::Off, false).state, "off");
        assert!(told(on, false).text.contains("the limit is lower"), "it does not say that so much is sent");
        let rest = MannersState::On { delay: None, rate: rate(32_000) };
        assert_eq!(told(rest, true).text, "Polite: nothing is being sent; it begins with at most 32.0 kB/s");
        assert_eq!(told(rest, true).delay_ms, None, "what is not known is not shown as none");
    }
}
