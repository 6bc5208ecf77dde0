//! The live streams (server-sent events): the status document for programs, the words of the page for the page.
//!
//! One watcher asks the daemon once a second while anybody reads, and sends what changed; unchanged news are sent
//! again every few seconds, so that silence means trouble and nothing else. A daemon that does not answer sends
//! nothing: the page then says that it has no news. A slow reader misses moments in between, never the last one.

use super::{PATIENCE, Room, page, plain};
use crate::daemon::console::Status;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use http_body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;

/// Live readers at once; further ones are told to come back.
const READERS: usize = 32;
const PACE: Duration = Duration::from_secs(1);
/// The page calls its news old after three of these (see `page.js`).
const HEARTBEAT: Duration = Duration::from_secs(5);

/// One state of the world as both streams send it.
struct Moment {
    status: Bytes,
    page: Bytes,
}

#[derive(Clone)]
enum News {
    /// Nobody read for a while: what was known is old.
    None,
    At(Arc<Moment>),
    Over,
}

pub(super) struct Hub {
    news: watch::Sender<News>,
    joined: Notify,
    seats: Arc<Semaphore>,
}

impl Hub {
    pub(super) fn new() -> Self {
        Self { news: watch::Sender::new(News::None), joined: Notify::new(), seats: Arc::new(Semaphore::new(READERS)) }
    }
    /// Ends every stream.
    pub(super) fn close(&self) {
        self.news.send_replace(News::Over);
    }
    fn over(&self) -> bool {
        matches!(*self.news.borrow(), News::Over)
    }
    fn tell(&self, news: News) {
        self.news.send_if_modified(|now| {
            let goes_on = !matches!(now, News::Over);
            if goes_on {
                *now = news;
            }
            goes_on
        });
    }
}

/// Runs as long as the page is served.
pub(super) async fn watch(room: Arc<Room>) {
    let hub = &room.events;
    let mut last: Option<(Vec<u8>, Instant)> = None;
    while !hub.over() {
        if hub.news.receiver_count() == 0 {
            hub.tell(News::None);
            last = None;
            hub.joined.notified().await;
            continue;
        }
        if let Ok(status) = room.status().await {
            let page = page::words(&status, room.now(), &room.start);
            let same = sameness(&status, &page);
            let due = last.as_ref().is_none_or(|(told, at)| *told != same || at.elapsed() >= HEARTBEAT);
            if due && let Ok(document) = serde_json::to_vec(&status) {
                hub.tell(News::At(Arc::new(Moment { status: event("status", &document), page: event("page", &page) })));
                last = Some((same, Instant::now()));
            }
        }
        tokio::time::sleep(PACE).await;
    }
}

/// What makes two moments the same: everything but the seconds since the start.
fn sameness(status: &Status, page: &[u8]) -> Vec<u8> {
    let mut same = serde_json::to_vec(&Status { uptime_s: 0, ..status.clone() }).unwrap_or_default();
    same.extend_from_slice(page);
    same
}

/// `data` is JSON without a line break.
fn event(name: &str, data: &[u8]) -> Bytes {
    [b"event: ", name.as_bytes(), b"\ndata: ", data, b"\n\n"].concat().into()
}

pub(super) async fn live_status(State(room): State<Arc<Room>>) -> Response {
    stream(&room, |moment| moment.status.clone())
}

pub(super) async fn live_page(State(room): State<Arc<Room>>) -> Response {
    stream(&room, |moment| moment.page.clone())
}

fn stream(room: &Room, part: fn(&Moment) -> Bytes) -> Response {
    let Ok(seat) = room.events.seats.clone().try_acquire_owned() else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "too many are watching already; close a page");
    };
    let mut news = room.events.news.subscribe();
    // What is there already is news to this reader.
    news.mark_changed();
    room.events.joined.notify_one();
    let (send, frames) = mpsc::channel(1);
    tokio::spawn(async move {
        // Tells a browser to come back soon after a break.
        let _ = send.send(Bytes::from_static(b"retry: 3000\n\n")).await;
        loop {
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = send.closed() => return,
            }
            let now = news.borrow_and_update().clone();
            match now {
                News::None => {}
                News::Over => return,
                News::At(moment) => {
                    // A reader that takes nothing for so long is gone.
                    let sent = tokio::time::timeout(3 * PATIENCE, send.send(part(&moment))).await;
                    if !matches!(sent, Ok(Ok(()))) {
                        return;
                    }
                }
            }
        }
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (HeaderName::from_static("x-accel-buffering"), "no")];
    (headers, Body::new(Stream { frames, _seat: seat })).into_response()
}

struct Stream {
    frames: mpsc::Receiver<Bytes>,
    _seat: OwnedSemaphorePermit,
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.frames.poll_recv(cx).map(|frame| frame.map(|bytes| Ok(Frame::data(bytes))))
    }
}
