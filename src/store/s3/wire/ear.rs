//! Listens to one connection while it sends, for manners: what the kernel sees of the way, many times a second.

use crate::kernel::{TcpInfo, tcp_info};
use crate::store::throttle::Throttle;
use crate::uplink::manners::Sample;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Between two looks while something is on its way.
const EVERY: Duration = Duration::from_millis(25);
/// After so many looks at nothing it sleeps until something is written.
const QUIET: u32 = 8;

/// Names connections as long as the process lives.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(super) struct Ear(Arc<Notify>);

impl Ear {
    pub(super) fn open(socket: &Arc<TcpStream>, throttle: &Throttle) -> Self {
        let bell = Arc::new(Notify::new());
        let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(listen(Arc::downgrade(socket), throttle.clone(), Arc::clone(&bell), connection));
        Self(bell)
    }

    /// Something was written.
    pub(super) fn wake(&self) {
        self.0.notify_one();
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Ends with the connection, or where the kernel does not tell.
async fn listen(socket: Weak<TcpStream>, throttle: Throttle, bell: Arc<Notify>, connection: u64) {
    let mut quiet = 0;
    loop {
        if quiet >= QUIET {
            bell.notified().await;
            quiet = 0;
        }
        tokio::time::sleep(EVERY).await;
        let Some(info) = socket.upgrade().map(|socket| tcp_info(socket.as_fd())) else { return };
        let heard = info.and_then(|info| sample(&info, &throttle, connection));
        let Some(sample) = heard else { return throttle.hears_nothing() };
        quiet = if sample.unacked == 0 && sample.unsent == 0 { quiet + 1 } else { 0 };
        throttle.hear(&sample);
    }
}

fn sample(info: &TcpInfo, throttle: &Throttle, connection: u64) -> Option<Sample> {
    Some(Sample {
        connection,
        at: throttle.now(),
        rtt: info.rtt?,
        min_rtt: info.min_rtt.unwrap_or_default(),
        acked: info.bytes_acked?,
        acks: info.segs_in?,
        unacked: info.unacked? * u64::from(info.send_mss?),
        unsent: info.notsent?,
    })
}
