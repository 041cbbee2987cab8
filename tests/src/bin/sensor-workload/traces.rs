//! A middle service on tokio (hyper at both ends), and the leaf that all of them call. What the service does is
//! told in `tests/workloads/traces-go/work`.

use std::convert::Infallible;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// How long `late` sleeps.
const LATE: Duration = Duration::from_millis(5);

const TRACEPARENT: &str = "traceparent";

/// Answers everything, after 0 to 3 milliseconds, by the path: so answers come in another order than
/// requests.
pub(crate) fn leaf(port: u64) -> Result<()> {
    serve(port, |request| async move {
        let sum: u64 = request.uri().path().bytes().map(u64::from).sum();
        tokio::time::sleep(Duration::from_millis(sum % 4)).await;
        Ok(())
    })
}

/// The service.
pub(crate) fn middle(port: u64) -> Result<()> {
    let leaf = env::var("LEAF").context("LEAF is the address of the leaf")?;
    let file = env::var("TRUTH").context("TRUTH is the file of the calls")?;
    let truth = OpenOptions::new().append(true).create(true).open(file)?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let lines = match env::var("LINES") {
        Ok(kind) if kind == "tracing" => {
            tracing_subscriber::fmt().with_ansi(false).init();
            true
        }
        Ok(kind) => bail!("no logger {kind}"),
        Err(_) => false,
    };
    let service = Arc::new(Service { leaf, truth, client, lines });
    serve(port, move |request| Arc::clone(&service).answer(request))
}

fn serve<F>(
    port: u64,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, u16::try_from(port)?)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move {
                    let (status, body) = match answered.await {
                        Ok(()) => (StatusCode::OK, Bytes::from_static(b"done\n")),
                        Err(error) => {
                            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}").into())
                        }
                    };
                    let mut response = Response::new(Full::new(body));
                    *response.status_mut() = status;
                    Ok::<_, Infallible>(response)
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

struct Service {
    leaf: String,
    truth: File,
    client: Client<HttpConnector, Empty<Bytes>>,
    /// It logs what it does.
    lines: bool,
}

/// What a request asks for.
#[derive(Clone)]
struct Asked {
    pattern: String,
    marker: String,
    pass_on: String,
    traceparent: Option<String>,
    /// Lines of it until now.
    notes: Arc<AtomicU32>,
}

impl Asked {
    fn of(request: &Request<Incoming>) -> Result<Self> {
        let parts: Vec<_> = request.uri().path().split('/').collect();
        let ["", "work", pattern, marker] = parts[..] else {
            bail!("not /work/PATTERN/MARKER: {}", request.uri());
        };
        let header = |name| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
        Ok(Self {
            pattern: pattern.to_owned(),
            marker: marker.to_owned(),
            pass_on: header("pass-on").unwrap_or_default(),
            traceparent: header(TRACEPARENT),
            notes: Arc::default(),
        })
    }

    /// The context of a call.
    fn passed(&self) -> Option<String> {
        let traceparent = self.traceparent.as_deref()?;
        match self.pass_on.as_str() {
            "forwarded" => Some(traceparent.to_owned()),
            "fresh" => {
                let (trace, flags) = (traceparent.get(..36)?, traceparent.get(52..)?);
                let id = RandomState::new().build_hasher().finish() | 1;
                Some(format!("{trace}{id:016x}{flags}"))
            }
            _ => None,
        }
    }
}

impl Service {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<()> {
        let asked = Asked::of(&request)?;
        self.note(&asked, "begin");
        match asked.pattern.as_str() {
            "one" => self.noted(&asked, 1, "called").await?,
            "seq" => {
                self.noted(&asked, 1, "called").await?;
                self.noted(&asked, 2, "called").await?;
            }
            "par" => {
                tokio::try_join!(self.branch(&asked, 1), self.branch(&asked, 2))?;
                self.note(&asked, "joined");
            }
            "late" => {
                tokio::time::sleep(LATE).await;
                self.note(&asked, "slept");
                self.noted(&asked, 1, "called").await?;
            }
            "pool" => {
                let (service, of) = (Arc::clone(&self), asked.clone());
                let read = move || {
                    let read = fs::read("/proc/self/comm");
                    service.note(&of, "pooled");
                    read
                };
                tokio::task::spawn_blocking(read).await??;
                self.note(&asked, "joined");
                self.noted(&asked, 1, "called").await?;
            }
            "after" => {
                // The answer is out some time after this has returned.
                let (service, of) = (Arc::clone(&self), asked.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(LATE).await;
                    service.note(&of, "later");
                    service.noted(&of, 1, "later").await
                });
            }
            other => bail!("no pattern {other}"),
        }
        self.note(&asked, "end");
        Ok(())
    }

    /// A line with the request's marker, numbered from 1: the truth which the sensor's records are held against.
    fn note(&self, asked: &Asked, place: &str) {
        if self.lines {
            let number = asked.notes.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::info!("working on {}: {place}.{number}", asked.marker);
        }
    }

    /// A call, and a line when it is over.
    async fn noted(&self, asked: &Asked, number: u32, place: &str) -> Result<()> {
        self.call(asked, number).await?;
        self.note(asked, place);
        Ok(())
    }

    /// What is under way beside something else, in the same task.
    async fn branch(&self, asked: &Asked, number: u32) -> Result<()> {
        self.note(asked, "started");
        self.noted(asked, number, "started").await
    }

    async fn call(&self, asked: &Asked, number: u32) -> Result<()> {
        let marker = &asked.marker;
        (&self.truth).write_all(format!("{marker} {marker}.{number}\n").as_bytes())?;
        let mut request = Request::get(format!("http://{}/leaf/{marker}.{number}", self.leaf));
        if let Some(context) = asked.passed() {
            request = request.header(TRACEPARENT, context);
        }
        let response = self.client.request(request.body(Empty::new())?).await?;
        ensure!(response.status() == StatusCode::OK, "the leaf answered {}", response.status());
        response.into_body().collect().await?;
        Ok(())
    }
}
