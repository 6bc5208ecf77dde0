//! The kernel's routing over a netlink socket: questions with their answers, and news.

use super::message::{Address, Answer, Route, answers, ask_addresses, ask_routes, ask_way};
use crate::error::{Error, Result};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netdevice, recv, send, socket_with,
};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// The kernel answers at once; a sandbox that swallows the question must not hold anybody up.
const PATIENCE: Duration = Duration::from_secs(2);
/// What the kernel puts into one datagram at most.
const DATAGRAM: usize = 32 << 10;
/// Answers read for one question: a machine with a larger table is a router, and its way out stands first.
const ANSWERS: usize = 100_000;

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV4_ROUTE`, `RTMGRP_IPV6_IFADDR`, `RTMGRP_IPV6_ROUTE`.
const NEWS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

fn refused(e: Errno) -> Error {
    Error::retry("ask the kernel which network is in use")
        .because(std::io::Error::from(e))
        .remedy("allow netlink sockets (AF_NETLINK) in the sandbox that the daemon runs in")
}

fn open(groups: u32) -> rustix::io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    Ok(socket)
}

/// Asks, one question at a time.
pub(super) struct Asker {
    socket: OwnedFd,
    seq: u32,
    datagram: Vec<u8>,
}

impl Asker {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { socket: open(0).map_err(refused)?, seq: 0, datagram: vec![0; DATAGRAM] })
    }

    /// None: no way leads there.
    pub(super) fn way_to(&mut self, to: IpAddr) -> Result<Option<Route>> {
        self.seq += 1;
        let mut way = None;
        self.ask(&ask_way(to, self.seq), |answer| match answer {
            Answer::Route(route) => way = Some(route),
            // ENETUNREACH and the like: an answer too.
            Answer::Failed(_) | Answer::Address(_) | Answer::Done | Answer::Other => {}
        })?;
        Ok(way)
    }

    /// Routes to everywhere.
    pub(super) fn ways_out(&mut self) -> Result<Vec<Route>> {
        self.seq += 1;
        let mut routes = Vec::new();
        self.ask(&ask_routes(self.seq), |answer| {
            if let Answer::Route(route) = answer
                && route.prefix == 0
            {
                routes.push(route);
            }
        })?;
        Ok(routes)
    }

    pub(super) fn own_addresses(&mut self) -> Result<Vec<Address>> {
        self.seq += 1;
        let mut addresses = Vec::new();
        self.ask(&ask_addresses(self.seq), |answer| {
            if let Answer::Address(address) = answer {
                addresses.push(address);
            }
        })?;
        Ok(addresses)
    }

    pub(super) fn name_of(&mut self, interface: u32) -> Result<String> {
        netdevice::index_to_name(&self.socket, interface).map_err(refused)
    }

    /// A question about one thing has one answer; one about all ends with Done.
    fn ask(&mut self, request: &[u8], mut told: impl FnMut(Answer)) -> Result<()> {
        /// `NLM_F_DUMP`, in the flags of the request.
        const ALL: u8 = 3;
        let about_all = request.get(6..8).is_some_and(|flags| flags.contains(&ALL));
        send(&self.socket, request, SendFlags::empty()).map_err(refused)?;
        let mut heard = 0;
        while heard < ANSWERS {
            let (_, n) = match recv(&self.socket, &mut self.datagram[..], RecvFlags::empty()) {
                Err(Errno::INTR) => continue,
                other => other.map_err(refused)?,
            };
            for answer in answers(&self.datagram[..n], self.seq) {
                heard += 1;
                if answer == Answer::Done {
                    return Ok(());
                }
                told(answer);
                if !about_all || matches!(answer, Answer::Failed(_)) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Hears when links, addresses or routes changed.
#[derive(Debug)]
pub struct Changes {
    socket: OwnedFd,
}

impl Changes {
    /// Retry: the kernel, or the sandbox, gives no news; then somebody looks now and then.
    pub fn listen() -> Result<Self> {
        Ok(Self { socket: open(NEWS).map_err(refused)? })
    }

    /// Waits at most `by`; whether there was news. All news of one moment is one.
    pub fn wait(&self, by: Duration) -> bool {
        // Zero would be for ever.
        let by = by.max(Duration::from_millis(1));
        let mut datagram = [0; 1024];
        if set_socket_timeout(&self.socket, Timeout::Recv, Some(by)).is_err() {
            return false;
        }
        match recv(&self.socket, &mut datagram[..], RecvFlags::empty()) {
            Err(Errno::AGAIN | Errno::INTR) => return false,
            _ => {}
        }
        // What does not fit is cut, and where the kernel could not keep all of it (ENOBUFS) there was news as well.
        while recv(&self.socket, &mut datagram[..], RecvFlags::DONTWAIT).is_ok() {}
        true
    }
}
