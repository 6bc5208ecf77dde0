//! Netlink's messages as bytes: what is asked, and what is made of the answers. Pure. Numbers are those of
//! `linux/netlink.h`, `linux/rtnetlink.h` and `linux/if_addr.h`; all are in the machine's own order of bytes, addresses
//! in the network's. What is cut short or not understood is left out, never guessed.

use crate::model::Network;
use std::net::IpAddr;

const HEAD: usize = 16;
/// `struct rtmsg`, `struct ifaddrmsg`.
const ROUTE: usize = 12;
const ADDRESS: usize = 8;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;

const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

const RTN_UNICAST: u8 = 1;
/// An address of this machine itself.
const RTN_LOCAL: u8 = 2;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_VIA: u16 = 18;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// A way out of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Index of the interface.
    pub(super) interface: u32,
    pub(super) gateway: Option<IpAddr>,
    /// Bits of its destination; 0: everything.
    pub(super) prefix: u8,
}

/// An address of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) interface: u32,
    pub(super) network: Network,
}

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Route(Route),
    Address(Address),
    /// The kernel's error number; 0: none.
    Failed(i32),
    Done,
    /// Something else, or a route that leads nowhere.
    Other,
}

/// Which way leads to this address?
pub(super) fn ask_way(to: IpAddr, seq: u32) -> Vec<u8> {
    let (family, bytes) = match to {
        IpAddr::V4(a) => (AF_INET, a.octets().to_vec()),
        IpAddr::V6(a) => (AF_INET6, a.octets().to_vec()),
    };
    let bits = u8::try_from(bytes.len() * 8).unwrap_or(128);
    let mut body = vec![family, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    body.extend(u16::try_from(4 + bytes.len()).unwrap_or(4).to_ne_bytes());
    body.extend(RTA_DST.to_ne_bytes());
    body.extend(bytes);
    request(RTM_GETROUTE, 0, seq, &body)
}

/// All routes.
pub(super) fn ask_routes(seq: u32) -> Vec<u8> {
    request(RTM_GETROUTE, NLM_F_DUMP, seq, &[AF_UNSPEC, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

/// All addresses of this machine.
pub(super) fn ask_addresses(seq: u32) -> Vec<u8> {
    request(RTM_GETADDR, NLM_F_DUMP, seq, &[AF_UNSPEC, 0, 0, 0, 0, 0, 0, 0])
}

fn request(kind: u16, flags: u16, seq: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + body.len());
    out.extend(u32::try_from(HEAD + body.len()).unwrap_or(0).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    out.extend(seq.to_ne_bytes());
    out.extend(0_u32.to_ne_bytes());
    out.extend(body);
    out
}

/// The messages of one datagram that answer request `seq`.
pub(super) fn answers(datagram: &[u8], seq: u32) -> impl Iterator<Item = Answer> {
    Messages(datagram).filter(move |m| m.seq == seq).map(|m| answer(&m))
}

struct Message<'a> {
    kind: u16,
    seq: u32,
    body: &'a [u8],
}

struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;
    fn next(&mut self) -> Option<Message<'a>> {
        let len = usize::try_from(u32_at(self.0, 0)?).ok().filter(|len| *len >= HEAD)?;
        let message = Message { kind: u16_at(self.0, 4)?, seq: u32_at(self.0, 8)?, body: self.0.get(HEAD..len)? };
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    }
}

fn answer(message: &Message<'_>) -> Answer {
    let understood = match message.kind {
        NLMSG_DONE => Some(Answer::Done),
        NLMSG_ERROR => u32_at(message.body, 0).map(|n| Answer::Failed(n.cast_signed())),
        RTM_NEWROUTE => route(message.body).map(Answer::Route),
        RTM_NEWADDR => address(message.body).map(Answer::Address),
        _ => None,
    };
    understood.unwrap_or(Answer::Other)
}

fn route(body: &[u8]) -> Option<Route> {
    let (prefix, kind) = (*body.get(1)?, *body.get(7)?);
    if kind != RTN_UNICAST && kind != RTN_LOCAL {
        return None;
    }
    let (mut interface, mut gateway) = (None, None);
    for (kind, value) in attributes(body.get(ROUTE..)?) {
        match kind {
            RTA_OIF => interface = u32_at(value, 0),
            RTA_GATEWAY => gateway = ip(value),
            // A gateway of the other family: two bytes say which.
            RTA_VIA => gateway = value.get(2..).and_then(ip),
            _ => {}
        }
    }
    Some(Route { interface: interface?, gateway, prefix })
}

fn address(body: &[u8]) -> Option<Address> {
    let (prefix, interface) = (*body.get(1)?, u32_at(body, 4)?);
    let (mut own, mut other) = (None, None);
    for (kind, value) in attributes(body.get(ADDRESS..)?) {
        match kind {
            IFA_LOCAL => own = ip(value),
            // On a link between two machines this is the other one, unless it is the only address told.
            IFA_ADDRESS => other = ip(value),
            _ => {}
        }
    }
    Some(Address { interface, network: Network::new(own.or(other)?, prefix)? })
}

fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// Above the kind: "nested" and "network's order of bytes".
    const KIND: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(bytes, 0)?);
        let (kind, value) = (u16_at(bytes, 2)? & KIND, bytes.get(4..len)?);
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut out = u16::try_from(4 + value.len()).unwrap().to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    proptest! {
        #[test]
        fn what_the_kernel_would_send_is_read_and_anything_else_is_survived(
            interface in 1u32.., gateway in any::<[u8; 4]>(), bits in 0u8..=32, seq in any::<u32>(),
            noise in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..200,
        ) {
            let mut body = vec![AF_INET, bits, 0, 0, 254, 3, 0, RTN_UNICAST, 0, 0, 0, 0];
            body.extend(attribute(99, &noise[..noise.len().min(7)]));
            body.extend(attribute(RTA_OIF, &interface.to_ne_bytes()));
            body.extend(attribute(RTA_GATEWAY, &gateway));
            let mut datagram = request(RTM_NEWROUTE, 0, seq, &body);
            datagram.extend(request(RTM_NEWROUTE, 0, seq ^ 1, &body));
            datagram.extend(request(NLMSG_DONE, 0, seq, &[0; 4]));
            let route = Route { interface, gateway: Some(gateway.into()), prefix: bits };
            prop_assert_eq!(answers(&datagram, seq).collect::<Vec<_>>(), [Answer::Route(route), Answer::Done]);
            prop_assert!(answers(&datagram[..cut.min(datagram.len())], seq).count() <= 2);
            prop_assert!(answers(&noise, seq).count() <= noise.len());
        }
    }

    #[test]
    fn a_route_that_leads_nowhere_is_none() {
        let body = [AF_INET6, 0, 0, 0, 0, 0, 0, 7 /* unreachable */, 0, 0, 0, 0];
        assert_eq!(answers(&request(RTM_NEWROUTE, 0, 3, &body), 3).collect::<Vec<_>>(), [Answer::Other]);
    }
}
