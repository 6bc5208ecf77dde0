//! What one connection owes the line: an estimate for each piece before it goes, settled by what the kernel says.
//!
//! Counted are IP packets: payload, and the headers of IP and TCP for each segment; not what Ethernet, PPP or ATM put
//! around them. The kernel counts its segments (`tcpi_segs_out`, `tcpi_bytes_sent`), acknowledgements and what it sent
//! again included. Where it is too old to tell, the estimate stands.

use crate::kernel::TcpInfo;
use crate::store::throttle::{Throttle, Way};

const IPV4: u64 = 20;
const IPV6: u64 = 40;
const TCP: u64 = 20;
const TIMESTAMPS: u64 = 12;
/// Of a packet on Ethernet, until the connection says better.
const MSS: u64 = 1448;
/// The first packet of a connection, bytes: it has more options than others.
pub(super) const SYN: u64 = IPV6 + TCP + 20;
/// How much longer the first packet's options are than those of others, bytes.
const SYN_MORE: u64 = 8;

/// Which header packets of a connection have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// The count of one connection.
#[derive(Debug)]
pub(super) struct Toll {
    header: u64,
    mss: u64,
    /// Charged so far.
    up: u64,
    down: u64,
    /// Payload so far.
    written: u64,
    read: u64,
}

impl Toll {
    /// The first packet was charged.
    pub(super) fn new(family: Family) -> Self {
        let ip = if family == Family::V4 { IPV4 } else { IPV6 };
        Self { header: ip + TCP + TIMESTAMPS, mss: MSS, up: SYN, down: 0, written: 0, read: 0 }
    }

    pub(super) fn header(&self) -> u64 {
        self.header
    }

    /// What a piece costs on the wire, about.
    pub(super) fn cost(&self, payload: u64) -> u64 {
        payload + payload.div_ceil(self.mss) * self.header
    }

    /// The largest piece that costs no more than was granted; one byte at least.
    pub(super) fn fits(&self, granted: u64) -> u64 {
        let packet = self.mss + self.header;
        (granted / packet * self.mss + (granted % packet).saturating_sub(self.header)).max(1)
    }

    /// A piece went, for which `paid` was charged.
    pub(super) fn went(&mut self, way: Way, payload: u64, paid: u64) {
        match way {
            Way::Up => (self.written, self.up) = (self.written + payload, self.up + paid),
            Way::Down => (self.read, self.down) = (self.read + payload, self.down + paid),
        }
    }

    /// Charges or gives back the difference to what the kernel says.
    pub(super) fn settle(&mut self, info: Option<&TcpInfo>, throttle: &Throttle) {
        let Some(info) = info else { return };
        let Some((up, down)) = self.owed(info) else { return };
        for (way, due, charged) in [(Way::Up, up, &mut self.up), (Way::Down, down, &mut self.down)] {
            match due.checked_sub(*charged) {
                Some(0) => {}
                Some(more) => throttle.charge(way, more),
                None => throttle.refund(way, *charged - due),
            }
            *charged = due;
        }
    }

    /// Both ways, all packets so far and those that wait in the socket. None: the kernel does not tell.
    fn owed(&mut self, info: &TcpInfo) -> Option<(u64, u64)> {
        let (segs_out, segs_in, notsent) = (info.segs_out?, info.segs_in?, info.notsent?);
        if let Some(mss) = info.send_mss.filter(|mss| *mss > 0) {
            self.mss = u64::from(mss);
        }
        let ip_and_tcp = self.header - TIMESTAMPS;
        let header = if info.timestamps { self.header } else { ip_and_tcp };
        let again = info.bytes_retrans.unwrap_or(0);
        let sent = info.bytes_sent.unwrap_or_else(|| self.written.saturating_sub(notsent) + again);
        let waiting = notsent + notsent.div_ceil(self.mss) * header;
        Some((sent + waiting + segs_out * header + SYN_MORE, self.read + segs_in * header + SYN_MORE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Wall};
    use crate::store::throttle::Both;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_fits_a_grant_costs_no_more_and_nearly_all_of_it(granted in 60u64..10_000_000) {
            let toll = Toll::new(Family::V4);
            let fits = toll.fits(granted);
            prop_assert!(toll.cost(fits) <= granted);
            prop_assert!(toll.cost(fits) + toll.header() >= granted);
        }
    }

    #[test]
    fn the_kernels_count_is_what_is_charged_in_the_end() {
        let throttle = Throttle::new(None, ManualClock::at(Wall(0)));
        throttle.charge(Way::Up, SYN);
        let mut toll = Toll::new(Family::V4);
        let paid = toll.cost(3000);
        throttle.charge(Way::Up, paid);
        toll.went(Way::Up, 3000, paid);
        let mut info = TcpInfo {
            timestamps: true,
            send_mss: Some(1448),
            segs_out: Some(5),
            segs_in: Some(2),
            notsent: Some(0),
            bytes_sent: Some(3000),
            ..TcpInfo::default()
        };
        toll.settle(Some(&info), &throttle);
        assert_eq!(throttle.wire_bytes(), Both { up: 3000 + 5 * 52 + 8, down: 2 * 52 + 8 });
        (info.segs_out, info.bytes_sent) = (Some(6), Some(4448));
        toll.settle(Some(&info), &throttle);
        assert_eq!(throttle.wire_bytes().up, 4448 + 6 * 52 + 8, "a packet was sent again");
        toll.settle(Some(&TcpInfo::default()), &throttle);
        toll.settle(None, &throttle);
        assert_eq!(throttle.wire_bytes().up, 4448 + 6 * 52 + 8);
    }
}
