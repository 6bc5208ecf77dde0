//! One connection, paced: each piece that is written or read is asked for first, and what really went is settled.
//!
//! Written is only what was granted, and only while next to nothing waits in the socket: what is called sent is gone
//! soon, and the kernel makes no burst of it. Read is only what was granted: the socket's small buffer fills, and TCP
//! tells the other side to wait. Acknowledgements of what is read are paid for on the way up.

use super::ear::Ear;
use super::toll::{Family, Toll};
use crate::kernel::{keep_unsent_below, tcp_info};
use crate::store::throttle::{Freight, Throttle, Way};
use crate::uplink::{Grant, bucket};
use hyper_util::client::legacy::connect::{Connected, Connection};
use rustix::net::Shutdown;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// Largest piece without a limit, bytes.
const PIECE: u64 = 256 << 10;
/// Packets that end a connection, either way.
const GOODBYE: u64 = 2;

/// What others may know of a connection.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    written: AtomicU64,
    read: AtomicU64,
    body: AtomicBool,
}

impl Gauge {
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
    pub(super) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
    /// What its next request is.
    pub(super) fn carries(&self, freight: Freight) {
        self.body.store(freight == Freight::Body, Ordering::Relaxed);
    }
    fn freight(&self) -> Freight {
        if self.body.load(Ordering::Relaxed) { Freight::Body } else { Freight::Talk }
    }
}

#[derive(Debug)]
pub(super) struct Stream {
    socket: Arc<TcpStream>,
    throttle: Throttle,
    gauge: Arc<Gauge>,
    toll: Toll,
    ear: Option<Ear>,
    /// Bytes that may wait unsent, as the kernel was told.
    unsent: u32,
    writes: Turn,
    reads: Turn,
    /// Paid for acknowledgements not sent yet.
    acks: u64,
}

/// Until when nothing is asked for.
#[derive(Debug, Default)]
struct Turn(Option<Pin<Box<Sleep>>>);

impl Turn {
    fn wait(&mut self, by: Duration) {
        self.0 = Some(Box::pin(sleep(by)));
    }
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(sleep) = &mut self.0 {
            ready!(sleep.as_mut().poll(cx));
            self.0 = None;
        }
        Poll::Ready(())
    }
}

impl Stream {
    /// The first packet was paid for.
    pub(super) fn new(socket: TcpStream, throttle: Throttle) -> Self {
        let v4 = socket.peer_addr().is_ok_and(|to| matches!(to.ip().to_canonical(), IpAddr::V4(_)));
        let mut stream = Self {
            socket: Arc::new(socket),
            throttle,
            gauge: Arc::default(),
            toll: Toll::new(if v4 { Family::V4 } else { Family::V6 }),
            ear: None,
            unsent: 0,
            writes: Turn::default(),
            reads: Turn::default(),
            acks: 0,
        };
        stream.settle();
        stream
    }

    fn settle(&mut self) {
        let info = tcp_info(self.socket.as_fd());
        self.toll.settle(info.as_ref(), &self.throttle);
    }

    /// Next to nothing waits in the socket: a piece of the limit, no more.
    fn keep_short(&mut self) {
        let piece = self.throttle.pace(Way::Up).map_or(PIECE, |rate| match bucket::grant(rate) {
            // A single packet: the next only when that is gone.
            small if small <= bucket::PACKET => 1,
            large => large,
        });
        let piece = u32::try_from(piece).unwrap_or(u32::MAX);
        if piece != self.unsent {
            keep_unsent_below(self.socket.as_fd(), piece);
            self.unsent = piece;
        }
    }

    /// One try to write, of what may go now. None: not yet, ask again.
    fn write_some(&mut self, data: &[u8]) -> Option<io::Result<usize>> {
        let freight = self.gauge.freight();
        let want = self.toll.cost((data.len() as u64).min(PIECE));
        let granted = match self.throttle.take(Way::Up, want, freight) {
            Grant::Go(granted) => granted,
            Grant::Wait(by) => {
                self.writes.wait(by);
                return None;
            }
        };
        let fits = usize::try_from(self.toll.fits(granted)).unwrap_or(usize::MAX).min(data.len());
        let wrote = match self.socket.try_write(&data[..fits]) {
            Ok(n) => n,
            Err(e) => {
                self.throttle.refund(Way::Up, granted);
                return (e.kind() != io::ErrorKind::WouldBlock).then_some(Err(e));
            }
        };
        self.toll.went(Way::Up, wrote as u64, granted);
        self.gauge.written.fetch_add(wrote as u64, Ordering::Relaxed);
        self.settle();
        if freight == Freight::Body && self.throttle.is_mannered() {
            self.ear.get_or_insert_with(|| Ear::open(&self.socket, &self.throttle)).wake();
        }
        Some(Ok(wrote))
    }

    /// One try to read, of what may come now. None: not yet, ask again.
    fn read_some(&mut self, into: &mut ReadBuf<'_>) -> Option<io::Result<()>> {
        if self.acks == 0 {
            match self.throttle.take(Way::Up, self.toll.header(), Freight::Talk) {
                Grant::Go(paid) => self.acks = paid,
                Grant::Wait(by) => {
                    self.reads.wait(by);
                    return None;
                }
            }
        }
        let want = self.toll.cost((into.remaining() as u64).min(PIECE));
        let granted = match self.throttle.take(Way::Down, want, Freight::Talk) {
            Grant::Go(granted) => granted,
            Grant::Wait(by) => {
                self.reads.wait(by);
                return None;
            }
        };
        let fits = usize::try_from(self.toll.fits(granted)).unwrap_or(usize::MAX).min(into.remaining());
        match self.socket.try_read(into.initialize_unfilled_to(fits)) {
            Ok(n) => {
                into.advance(n);
                self.toll.went(Way::Down, n as u64, granted);
                self.toll.went(Way::Up, 0, std::mem::take(&mut self.acks));
                self.gauge.read.fetch_add(n as u64, Ordering::Relaxed);
                self.settle();
                Some(Ok(()))
            }
            Err(e) => {
                self.throttle.refund(Way::Down, granted);
                (e.kind() != io::ErrorKind::WouldBlock).then_some(Err(e))
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.keep_short();
        loop {
            ready!(self.writes.poll(cx));
            ready!(self.socket.poll_write_ready(cx))?;
            if let Some(done) = self.write_some(data) {
                return Poll::Ready(done);
            }
        }
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(rustix::net::shutdown(&*self.socket, Shutdown::Write).map_err(Into::into))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.reads.poll(cx));
            ready!(self.socket.poll_read_ready(cx))?;
            if let Some(done) = self.read_some(into) {
                return Poll::Ready(done);
            }
        }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().extra(Arc::clone(&self.gauge))
    }
}

impl Drop for Stream {
    /// The last packets are the kernel's own: they are paid for though nobody sees them go.
    fn drop(&mut self) {
        self.throttle.refund(Way::Up, self.acks);
        self.settle();
        self.throttle.charge(Way::Up, GOODBYE * self.toll.header());
        self.throttle.charge(Way::Down, GOODBYE * self.toll.header());
    }
}
