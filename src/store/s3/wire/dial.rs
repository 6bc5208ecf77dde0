//! Opening a connection, at the throttle's pace too, and how long a silent one is believed in.
//!
//! A network may die without a word: a cable pulled, a route gone, a router that forgot us. The kernel alone would repeat
//! itself for a quarter of an hour. Here a connection ends when the other side confirmed nothing for [`SILENCE`] though
//! something waits to be confirmed (`TCP_USER_TIMEOUT`), or when nothing is under way and it answers no question of the
//! kernel's own ([`ASKS_AFTER`], [`ASKS_EVERY`]). Whoever waits on it gets an error that is tried again. A line that is
//! only slow confirms now and then, and each time counts anew; in a pause nothing waits to be confirmed.

use super::stream::Stream;
use super::toll::SYN;
use crate::store::throttle::{Freight, Throttle, Way};
use crate::uplink::Grant;
use aws_sdk_s3::error::BoxError;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// The longest the other side may be silent. One that takes no more bytes (a window of zero) counts as silent too: longer
/// than a disk of it needs to wake.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only questions end a connection there"))]
const SILENCE: Duration = Duration::from_secs(60);
/// Where nothing is under way the kernel asks whether the other side is still there: after so long, and again. A pause
/// keeps its connection alive behind routers that forget quiet ones.
const ASKS_AFTER: Duration = Duration::from_secs(30);
const ASKS_EVERY: Duration = Duration::from_secs(10);
/// Where only questions end a connection, so many without an answer do.
const ASKS: u32 = 3;
/// Smallest receive buffer that still takes packets of a common size, bytes.
const RECEIVE_MIN: u64 = 4096;
/// Largest that is asked for; above it the system's own growth is as good, bytes.
const RECEIVE_MAX: u64 = 4 << 20;

/// Opens connections for one vault.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    tcp: HttpConnector,
    throttle: Throttle,
}

impl Dial {
    pub(super) fn new(throttle: &Throttle, patience: Option<Duration>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(patience);
        tcp.set_keepalive(Some(ASKS_AFTER));
        tcp.set_keepalive_interval(Some(ASKS_EVERY));
        tcp.set_keepalive_retries(Some(ASKS));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(SILENCE));
        Self { tcp, throttle: throttle.clone() }
    }

    /// What the other side may send before anybody reads. Under a limit no more than flows in 0.1 s: so much the limit
    /// may be exceeded at once, and no more.
    fn receives(&self) -> Option<usize> {
        let rate = self.throttle.pace(Way::Down)?;
        let bytes = (rate.get() / 10).clamp(RECEIVE_MIN, RECEIVE_MAX);
        Some(usize::try_from(bytes).expect("a few megabytes"))
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<Stream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        self.tcp.set_recv_buffer_size(self.receives());
        let (throttle, mut tcp) = (self.throttle.clone(), self.tcp.clone());
        Box::pin(async move {
            while let Grant::Wait(by) = throttle.take(Way::Up, SYN, Freight::Talk) {
                tokio::time::sleep(by).await;
            }
            let socket = tcp.call(to).await?.into_inner();
            Ok(TokioIo::new(Stream::new(socket, throttle)))
        })
    }
}
