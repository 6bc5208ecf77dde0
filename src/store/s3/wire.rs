//! The way out to a server: our own connections beneath the AWS SDK, so that every byte of a vault's traffic is
//! counted and paced where it leaves: heads, TLS, bodies, retries, listings, the keys' own requests (promise 7).
//!
//! The SDK hands over whole requests; hyper speaks HTTP/1.1 over connections that [`dial`] opens and [`stream`] paces.
//! As with the SDK's own client: the system's certificates are trusted (`SSL_CERT_FILE` too), proxies are not used.
//! Names are looked up by the system: a question of some hundred bytes before a connection is not counted.
//!
//! A [`Pulse`] is how whoever waits for a request knows that it still moves, however low the limit.

mod dial;
mod ear;
mod stream;
mod toll;

use crate::store::throttle::{Freight, Throttle};
use aws_sdk_s3::config::http::{HttpRequest, HttpResponse};
use aws_sdk_s3::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use dial::Dial;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{CaptureConnection, Connected, capture_connection};
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use stream::Gauge;

/// Largest buffer of a connection before the socket, bytes: what is in it when a window closes is not yet spent.
const BUFFER: usize = 64 << 10;

tokio::task_local! {
    static PULSE: Arc<Pulse>;
}

/// A client for the SDK whose traffic goes through `throttle`.
pub(super) fn client(throttle: &Throttle) -> SharedHttpClient {
    SharedHttpClient::new(Wire { throttle: throttle.clone(), ways: Mutex::default() })
}

/// What is seen of one request: which connection carries it, and how much went over that.
#[derive(Debug)]
pub(super) struct Pulse {
    freight: Freight,
    on: Mutex<Option<(CaptureConnection, u64)>>,
}

impl Pulse {
    pub(super) fn new(freight: Freight) -> Arc<Self> {
        Arc::new(Self { freight, on: Mutex::default() })
    }

    /// Runs a request of the SDK under this pulse.
    pub(super) async fn of<T>(self: &Arc<Self>, request: impl Future<Output = T>) -> T {
        PULSE.scope(Arc::clone(self), request).await
    }

    /// Grows whenever a byte goes either way; 0 before there is a connection.
    pub(super) fn moved(&self) -> u64 {
        self.look(|gauge, _| gauge.written() + gauge.read()).unwrap_or(0)
    }

    /// Bytes written to the socket for this request, its head and TLS included.
    pub(super) fn written(&self) -> u64 {
        self.look(|gauge, before| gauge.written().saturating_sub(before)).unwrap_or(0)
    }

    fn look<T>(&self, of: impl FnOnce(&Gauge, u64) -> T) -> Option<T> {
        let on = self.on.lock().expect("pulse lock");
        let (bound, before) = on.as_ref()?;
        let gauge = bound.connection_metadata().as_ref().and_then(gauge_of)?;
        Some(of(&gauge, *before))
    }

    /// As soon as a connection carries the request, it is told what it carries. Never ends.
    async fn bind(&self, mut bound: CaptureConnection) {
        let gauge = bound.wait_for_connection_metadata().await.as_ref().and_then(gauge_of);
        if let Some(gauge) = gauge {
            gauge.carries(self.freight);
            *self.on.lock().expect("pulse lock") = Some((bound, gauge.written()));
        }
        std::future::pending().await
    }
}

fn gauge_of(connected: &Connected) -> Option<Arc<Gauge>> {
    let mut extras = http::Extensions::new();
    connected.get_extras(&mut extras);
    extras.get::<Arc<Gauge>>().cloned()
}

/// The SDK asks for a connector with its time-outs; those with the same share their connections.
#[derive(Debug)]
struct Wire {
    throttle: Throttle,
    ways: Mutex<Vec<(Times, Way)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    connect: Option<Duration>,
    answer: Option<Duration>,
}

impl HttpClient for Wire {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let times = Times { connect: settings.connect_timeout(), answer: settings.read_timeout() };
        let mut ways = self.ways.lock().expect("ways lock");
        let known = ways.iter().find(|(t, _)| *t == times).map(|(_, way)| way.clone());
        let way = known.unwrap_or_else(|| {
            let way = Way::new(&self.throttle, times);
            ways.push((times, way.clone()));
            way
        });
        SharedHttpConnector::new(way)
    }
}

#[derive(Clone, Debug)]
struct Way(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    answer: Option<Duration>,
    dial: Dial,
    plain: Client<Dial, SdkBody>,
    /// Certificates are read when the first `https` request is made; what was wrong with them.
    secure: OnceLock<Result<Client<HttpsConnector<Dial>, SdkBody>, String>>,
}

impl Way {
    fn new(throttle: &Throttle, times: Times) -> Self {
        let dial = Dial::new(throttle, times.connect);
        let plain = builder().build(dial.clone());
        Self(Arc::new(Inner { answer: times.answer, dial, plain, secure: OnceLock::new() }))
    }

    fn secure(&self) -> Result<&Client<HttpsConnector<Dial>, SdkBody>, ConnectorError> {
        let made = self.0.secure.get_or_init(|| {
            let connector = HttpsConnectorBuilder::new()
                .with_native_roots()
                .map_err(|e| format!("load the system's list of certificate authorities: {e}"))?
                .https_or_http()
                .enable_http1()
                .wrap_connector(self.0.dial.clone());
            Ok(builder().build(connector))
        });
        made.as_ref().map_err(|e| ConnectorError::user(e.clone().into()))
    }
}

fn builder() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).http1_max_buf_size(BUFFER);
    builder
}

impl HttpConnector for Way {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(e) => return HttpConnectorFuture::ready(Err(ConnectorError::user(e.into()))),
        };
        let bound = capture_connection(&mut request);
        let answer = if request.uri().scheme_str() == Some("https") {
            match self.secure() {
                Ok(client) => client.request(request),
                Err(e) => return HttpConnectorFuture::ready(Err(e)),
            }
        } else {
            self.0.plain.request(request)
        };
        let pulse = PULSE.try_with(Arc::clone).unwrap_or_else(|_| Pulse::new(Freight::Talk));
        let patience = self.0.answer;
        HttpConnectorFuture::new(async move {
            tokio::select! {
                biased;
                answer = answer => match answer {
                    Ok(answer) => HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                        .map_err(|e| ConnectorError::other(e.into(), None)),
                    Err(e) => Err(ConnectorError::io(e.into())),
                },
                () = pulse.bind(bound) => Err(ConnectorError::other("a request without end".into(), None)),
                () = late(patience) => Err(ConnectorError::timeout("no answer came in time".into())),
            }
        })
    }
}

async fn late(patience: Option<Duration>) {
    match patience {
        Some(patience) => tokio::time::sleep(patience).await,
        None => std::future::pending().await,
    }
}
