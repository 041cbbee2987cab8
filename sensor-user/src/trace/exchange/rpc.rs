//! What makes an exchange a call of gRPC, and what its span tells beyond those of HTTP.

use crate::model::{Attribute, SpanKind, Text, Value};
use crate::stream::Piece;
use crate::wire::Kind;
use crate::wire::grpc::{self, Framing, Messages, Status};

/// Attribute: the text of `grpc-message`, decoded.
pub const MESSAGE: &str = "sensor.grpc.message";
/// Attribute: `grpc-timeout`, the deadline that the client set, in nanoseconds from the call's start.
pub const TIMEOUT: &str = "sensor.grpc.timeout_ns";
/// Attribute: why a call was cancelled (RST_STREAM with CANCEL), where that is certain: `deadline` where
/// the deadline that the client had set was over, `caller` where the client cancelled and had set none.
/// Absent where there was time left by what is seen: the client counts from before it sends the request,
/// and the server from when it reads it.
pub const CANCELLED_BY: &str = "sensor.grpc.cancelled_by";
/// Attribute: whole messages that the client sent.
pub const REQUEST_MESSAGES: &str = "sensor.grpc.request.messages";
/// Attribute: whole messages that the server sent.
pub const RESPONSE_MESSAGES: &str = "sensor.grpc.response.messages";
/// Attribute: of the client's messages, those that are compressed. Absent where none is.
pub const REQUEST_COMPRESSED: &str = "sensor.grpc.request.compressed_messages";
/// Attribute: of the server's messages, those that are compressed. Absent where none is.
pub const RESPONSE_COMPRESSED: &str = "sensor.grpc.response.compressed_messages";
/// Attribute: what the call is for, where that is not the application's business: `health_check`,
/// `reflection`.
pub const CLASS: &str = "sensor.grpc.class";

/// A call, or what may be one until `content-type` is known.
#[derive(Clone, Debug, Default)]
pub(in crate::trace) struct Rpc {
    pub(in crate::trace) framing: Option<Framing>,
    pub(in crate::trace) status: Option<Status>,
    pub(in crate::trace) message: Option<Text>,
    /// Nanoseconds.
    pub(in crate::trace) timeout: Option<u64>,
    /// There may be one that could not be read.
    pub(in crate::trace) timeout_hidden: bool,
    pub(in crate::trace) request: Messages,
    pub(in crate::trace) response: Messages,
}

/// What else a span takes from it.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) name: Option<String>,
    pub(super) error: Option<Value>,
}

impl Rpc {
    /// With what the request says.
    pub(in crate::trace) fn new(framing: Option<Framing>, timeout: Option<u64>) -> Self {
        let messages = || Messages::new(framing.unwrap_or(Framing::Grpc));
        Self { framing, timeout, request: messages(), response: messages(), ..Self::default() }
    }

    /// Why it was cancelled after `elapsed` nanoseconds, `by` this side; see [`CANCELLED_BY`].
    pub(in crate::trace) fn cancelled_by(&self, elapsed: u64, by: Kind) -> Option<&'static str> {
        match (self.timeout, by) {
            (Some(timeout), _) => (elapsed >= timeout).then_some("deadline"),
            (None, Kind::Request) => (!self.timeout_hidden).then_some("caller"),
            (None, Kind::Response) => None,
        }
    }

    /// It is a call for certain.
    pub(in crate::trace) fn is_call(&self) -> bool {
        self.framing.is_some()
    }

    /// Takes what was seen of the response before the request was.
    pub(in crate::trace) fn join(&mut self, early: Self) {
        self.framing = self.framing.or(early.framing);
        self.status = early.status;
        self.message = early.message;
        if early.framing == self.framing {
            self.response = early.response;
        } else {
            // Its messages were not read as what they are.
            self.response = Messages::unknown();
        }
    }

    /// Those of one direction.
    pub(in crate::trace) fn messages(&mut self, kind: Kind) -> &mut Messages {
        match kind {
            Kind::Request => &mut self.request,
            Kind::Response => &mut self.response,
        }
    }

    /// A piece of the response's body.
    pub(in crate::trace) fn response_body(&mut self, piece: Piece<'_>) {
        self.response.feed(piece);
        self.take_trailers(false);
    }

    /// The response's body is complete.
    pub(in crate::trace) fn response_ended(&mut self) {
        self.take_trailers(true);
    }

    /// What is known by `ended` of the trailers in the response's body.
    fn take_trailers(&mut self, ended: bool) {
        let Some(trailers) = self.response.trailers(ended) else { return };
        let (status, message) = grpc::web_trailers(trailers);
        self.status = self.status.or(status);
        if self.message.is_none() {
            self.message = message.map(Text::from);
        }
    }

    /// The response has messages of this framing, by its own word: the client may have asked for another
    /// one. None: it has none, as the error page of a proxy.
    pub(in crate::trace) fn response_is(&mut self, framing: Option<Framing>) {
        self.response = framing.map_or_else(Messages::unknown, Messages::new);
    }

    /// Takes the response, which was seen before the request; none where that says nothing of a call.
    pub(in crate::trace) fn answered(&mut self, early: Option<Self>) {
        match early {
            Some(early) => {
                self.status = early.status;
                self.message = early.message;
                self.response = early.response;
            }
            None => self.response = Messages::unknown(),
        }
    }

    /// Adds what it says to a span's attributes.
    pub(super) fn describe(self, attributes: &mut Vec<Attribute>, kind: SpanKind) -> Told {
        let mut told = Told::default();
        let path = attributes.iter().find(|attribute| attribute.key == "url.path");
        let method = path.and_then(|attribute| match &attribute.value {
            Value::Str(path) => grpc::method(path.as_bytes()),
            _ => None,
        });
        let method = method.map(|(service, method)| (service.to_owned(), method.to_owned()));
        let mut add = |key, value: Value| attributes.push(Attribute::new(key, value));
        add("rpc.system", Value::from("grpc"));
        if let Some((service, method)) = method {
            if let Some(class) = grpc::class(&service) {
                add(CLASS, Value::from(class));
            }
            told.name = Some(format!("{service}/{method}"));
            add("rpc.service", Value::from(service));
            add("rpc.method", Value::from(method));
        }
        let number = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
        if let Some(timeout) = self.timeout {
            add(TIMEOUT, number(timeout));
        }
        for (messages, all, some) in [
            (&self.request, REQUEST_MESSAGES, REQUEST_COMPRESSED),
            (&self.response, RESPONSE_MESSAGES, RESPONSE_COMPRESSED),
        ] {
            if let Some((count, compressed)) = messages.count() {
                add(all, number(count));
                if compressed > 0 {
                    add(some, number(compressed));
                }
            }
        }
        if let Some(status) = self.status {
            add("rpc.grpc.status_code", Value::Int(i64::from(status.0)));
            let error = match kind {
                SpanKind::Client => status.0 != 0,
                SpanKind::Server => status.is_server_error(),
            };
            if error {
                told.error = Some(match status.name() {
                    Some(name) => Value::from(name),
                    None => Value::from(status.0.to_string()),
                });
            }
        }
        if let Some(message) = self.message {
            add(MESSAGE, Value::from(message));
        }
        told
    }
}
