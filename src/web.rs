//! The page and its neighbours: what a browser, a script or Prometheus sees of the daemon, on one local port.
//!
//! It shows the status document and passes on four requests (pause, resume, rescan, limit); it decides nothing. What
//! it promises: nothing changes on GET; a change needs the token of the page and the same origin; a name that is not
//! ours is refused (421), so no foreign site reaches it through DNS; number of connections, live readers, questions
//! to the daemon, sizes and waits are bounded; when the daemon does not answer, it says so instead of showing the
//! last good news. It is no lock: whoever reaches the port may read the page and use its buttons.
//!
//! Dying here loses nothing: it holds no state but the token, which is new each start.

pub mod ask;
pub mod control;
mod events;
mod guard;
mod listen;
mod mark;
mod metrics;
mod page;
mod phrase;

use crate::clock::{Clock, Wall};
use crate::config::HostName;
use crate::daemon::console::{Console, ForecastStatus, Status};
use crate::error::{Doing, Error, Kind, Result};
use crate::worker::Stop;
use ask::Ask;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tower_http::limit::RequestBodyLimitLayer;

/// How long the daemon may take to answer a question before the page says that it does not.
const PATIENCE: Duration = Duration::from_secs(10);
/// A whole request, its body included.
const REQUEST_TIME: Duration = Duration::from_secs(15);
/// Questions in the daemon's hands at once; others wait.
const ASKING: usize = 4;
/// No request has more to say.
const BODY_LIMIT: usize = 4096;
/// Open requests get this long to end after a stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the faces need to know.
pub struct Face {
    pub console: Arc<dyn Console>,
    pub clock: Arc<dyn Clock>,
    /// Names the page may be called by besides `localhost`, the loopback addresses and the address listened on.
    pub names: Vec<HostName>,
    /// Random, new each start: the page's token is made of it.
    pub secret: [u8; 32],
}

/// What every route shares.
struct Room {
    console: Arc<dyn Console>,
    clock: Arc<dyn Clock>,
    hosts: guard::Hosts,
    token: String,
    /// Tells a page of an earlier start from one of this one.
    start: String,
    asking: Arc<Semaphore>,
    events: events::Hub,
}

/// Serves until `stop` is asked. Retry: the listener broke.
pub async fn serve(listener: TcpListener, face: Face, stop: Stop) -> Result<()> {
    let address = listener.local_addr().doing(Kind::Retry, || "ask which address the page listens on".into())?;
    let room = Arc::new(Room {
        hosts: guard::Hosts::new(address.ip(), face.names),
        token: guard::token(&face.secret),
        start: face.clock.wall().0.to_string(),
        asking: Arc::new(Semaphore::new(ASKING)),
        events: events::Hub::new(),
        console: face.console,
        clock: face.clock,
    });
    let watching = tokio::spawn(events::watch(room.clone()));
    let ending = room.clone();
    let (ended, end) = oneshot::channel();
    let serving = axum::serve(listen::Bounded::new(listener), router(room)).with_graceful_shutdown(async move {
        asked(stop).await;
        ending.events.close();
        let _ = ended.send(());
    });
    let outcome = tokio::select! {
        outcome = serving => outcome.doing(Kind::Retry, || format!("serve the page on {address}")),
        () = async { if end.await.is_ok() { tokio::time::sleep(FAREWELL).await } else { std::future::pending().await } } => Ok(()),
    };
    watching.abort();
    outcome
}

/// Ends when `stop` is asked. The thread holds nothing but its copy of `stop`.
async fn asked(stop: Stop) {
    let (tell, told) = oneshot::channel();
    let waiting = std::thread::Builder::new().name("web-stop".into()).spawn(move || {
        while !stop.wait(Duration::from_secs(3600)) {}
        let _ = tell.send(());
    });
    if let Err(error) = waiting {
        tracing::warn!(%error, "no thread to wait for the stop: the page ends with the process");
        std::future::pending::<()>().await;
    }
    let _ = told.await;
}

fn router(room: Arc<Room>) -> Router {
    let changes = Router::new()
        .route("/api/v1/pause", post(|room, body| change(room, "pause", body)))
        .route("/api/v1/resume", post(|room, body| change(room, "resume", body)))
        .route("/api/v1/rescan", post(|room, body| change(room, "rescan", body)))
        .route("/api/v1/limit", post(|room, body| change(room, "limit", body)))
        .route_layer(axum::middleware::from_fn_with_state(room.clone(), guard::own_page_only));
    Router::new()
        .route("/", get(front))
        .route("/page.css", get(|| async { file("text/css; charset=utf-8", include_str!("web/page/page.css")) }))
        .route("/page.js", get(|| async { file("text/javascript; charset=utf-8", include_str!("web/page/page.js")) }))
        .route("/mark/{mood}", get(tab_mark))
        .route("/live", get(events::live_page))
        .route("/api/v1/status", get(status))
        .route("/api/v1/forecast", get(foretold))
        .route("/forecast", get(when))
        .route("/api/v1/events", get(events::live_status))
        .route("/healthz", get(healthz))
        .route("/metrics", get(prometheus))
        .merge(changes)
        .fallback(|| async { plain(StatusCode::NOT_FOUND, "there is nothing here") })
        .method_not_allowed_fallback(|| async { plain(StatusCode::METHOD_NOT_ALLOWED, "not in this way") })
        .layer(RequestBodyLimitLayer::new(BODY_LIMIT))
        .layer(axum::middleware::from_fn(in_time))
        .layer(axum::middleware::from_fn_with_state(room.clone(), guard::our_names_only))
        .layer(axum::middleware::map_response(guard::harden))
        .with_state(room)
}

impl Room {
    /// Asks the daemon off the network threads; Retry where it does not answer in time.
    async fn ask<T: Send + 'static>(&self, question: impl FnOnce(&dyn Console) -> T + Send + 'static) -> Result<T> {
        let (console, asking) = (self.console.clone(), self.asking.clone());
        let answer = async move {
            let place = asking.acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let _place = place;
                question(&*console)
            })
            .await
        };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(broken)) => Err(Error::retry("ask the daemon").because(broken)),
            Err(_) => Err(Error::retry(format!("the daemon gave no answer within {} s", PATIENCE.as_secs()))),
        }
    }
    async fn status(&self) -> Result<Status> {
        self.ask(|console| console.status()).await
    }
    fn now(&self) -> Wall {
        self.clock.wall()
    }
}

type Shared = State<Arc<Room>>;

async fn front(State(room): Shared) -> Response {
    match room.status().await {
        Ok(status) => page::html(&status, room.now(), &room.token, &room.start),
        Err(error) => unavailable(&error),
    }
}

async fn status(State(room): Shared) -> Response {
    match room.status().await {
        Ok(status) => axum::Json(status).into_response(),
        Err(error) => unavailable(&error),
    }
}

type Asked = Query<Vec<(String, String)>>;

/// `?what_if=…`, as often as something is supposed. Operator: it asks for anything else.
fn supposed(asked: Vec<(String, String)>) -> Result<Vec<String>> {
    if let Some((key, _)) = asked.iter().find(|(key, _)| key != "what_if") {
        return Err(Error::operator(format!("understand the request: a forecast knows no \"{key}\"")));
    }
    let said: Vec<String> = asked.into_iter().map(|(_, text)| text).filter(|text| !text.trim().is_empty()).collect();
    if said.len() > ask::MOST_SUPPOSED {
        return Err(Error::operator("understand the request: so much cannot be supposed at once"));
    }
    Ok(said)
}

async fn told_ahead(room: &Room, asked: Vec<(String, String)>) -> Result<ForecastStatus> {
    let what_if = supposed(asked)?;
    room.ask(move |console| console.forecast(&what_if)).await?
}

async fn foretold(State(room): Shared, Query(asked): Asked) -> Response {
    match told_ahead(&room, asked).await {
        Ok(document) => axum::Json(document).into_response(),
        Err(error) if error.kind() == Kind::Operator => said(StatusCode::BAD_REQUEST, &error),
        Err(error) => said(StatusCode::SERVICE_UNAVAILABLE, &error),
    }
}

async fn when(State(room): Shared, Query(asked): Asked) -> Response {
    page::when::html(&told_ahead(&room, asked).await, room.now())
}

async fn healthz(State(room): Shared) -> Response {
    match room.ask(|console| console.unhealthy()).await {
        Ok(None) => plain(StatusCode::OK, "ok"),
        Ok(Some(reason)) => plain(StatusCode::SERVICE_UNAVAILABLE, &reason),
        Err(error) => unavailable(&error),
    }
}

async fn prometheus(State(room): Shared) -> Response {
    match room.ask(|console| (console.status(), console.unhealthy())).await {
        Ok((status, unhealthy)) => {
            let text = metrics::text(&status, unhealthy.as_deref());
            ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Err(error) => unavailable(&error),
    }
}

async fn tab_mark(Path(mood): Path<String>) -> Response {
    match mark::svg(&mood) {
        Some(svg) => file("image/svg+xml", &svg),
        None => plain(StatusCode::NOT_FOUND, "there is nothing here"),
    }
}

/// One of the four changes. Its body is JSON: `{}` or nothing, and `{"rate": …}` for `limit`.
async fn change(State(room): Shared, what: &'static str, body: axum::body::Bytes) -> Response {
    let ask = match Ask::of_body(what, &body) {
        Ok(ask) => ask,
        Err(error) => return said(StatusCode::BAD_REQUEST, &error),
    };
    match room.ask(move |console| ask.put_to(console)).await {
        Ok(Ok(answer)) => axum::Json(serde_json::json!({ "ok": answer })).into_response(),
        Ok(Err(error)) if matches!(error.kind(), Kind::Retry | Kind::Stopping) => {
            said(StatusCode::SERVICE_UNAVAILABLE, &error)
        }
        Ok(Err(error)) => said(StatusCode::CONFLICT, &error),
        Err(error) => said(StatusCode::SERVICE_UNAVAILABLE, &error),
    }
}

fn said(code: StatusCode, error: &Error) -> Response {
    (code, axum::Json(ask::refusal(error))).into_response()
}

fn unavailable(error: &Error) -> Response {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, &error.to_string());
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
    response
}

fn plain(code: StatusCode, text: &str) -> Response {
    (code, [(CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{text}\n")).into_response()
}

fn file(kind: &'static str, text: &str) -> Response {
    ([(CONTENT_TYPE, kind)], text.to_owned()).into_response()
}

/// No request takes for ever; a live stream is answered at once and goes on after.
async fn in_time(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    match tokio::time::timeout(REQUEST_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => plain(StatusCode::REQUEST_TIMEOUT, "that took too long"),
    }
}
