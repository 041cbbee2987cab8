//! What the two ends of a connection give to a span.

use std::sync::Arc;

use super::{Ends, INFERRED};
use crate::model::{Attribute, SpanKind, Text, Value};

pub(super) fn network(
    attributes: &mut Vec<Attribute>,
    ends: &Ends,
    path: Option<&Arc<str>>,
    kind: SpanKind,
) {
    let mut add = |key, value: Value| attributes.push(Attribute::new(key, value));
    match ends {
        Ends::Tcp { local, remote, network } => {
            add("network.transport", Value::from("tcp"));
            add("network.type", Value::from(*network));
            if kind == SpanKind::Server {
                add("client.address", Value::from(remote.0.clone()));
                add("client.port", Value::from(i64::from(remote.1)));
            }
            add("network.peer.address", Value::from(remote.0.clone()));
            add("network.peer.port", Value::from(i64::from(remote.1)));
            add("network.local.address", Value::from(local.0.clone()));
            add("network.local.port", Value::from(i64::from(local.1)));
        }
        Ends::Unix => {
            add("network.transport", Value::from("unix"));
            // The path is the listening side's: the server's own, and the client's peer.
            let key = match kind {
                SpanKind::Server => "network.local.address",
                SpanKind::Client => "network.peer.address",
            };
            if let Some(path) = path {
                add(key, Value::from(Text::from(Arc::clone(path))));
            }
        }
    }
}

/// What a request says of where it goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named<'a> {
    /// Host and port.
    Host(&'a str, Option<u16>),
    /// Nothing.
    Nothing,
    /// It may say something, which could not be read.
    Unknown,
}

/// `server.address` and `server.port`: as the request names them, else the socket's. A port that
/// is not named is the scheme's (`default_port`), and is told only where the socket says the same.
pub(super) fn server(
    attributes: &mut Vec<Attribute>,
    named: Named<'_>,
    default_port: Option<u16>,
    ends: &Ends,
    path: Option<&Arc<str>>,
    kind: SpanKind,
) {
    let (address, port) = match ends {
        Ends::Unix => match path {
            Some(path) => (Text::from(Arc::clone(path)), None),
            None => return,
        },
        Ends::Tcp { local, remote, network: _ } => {
            let (address, actual) = match kind {
                SpanKind::Server => local,
                SpanKind::Client => remote,
            };
            match named {
                Named::Host(host, port) => {
                    (Text::copy(host), port.or(default_port.filter(|port| port == actual)))
                }
                Named::Nothing => (address.clone(), Some(*actual)),
                Named::Unknown => return,
            }
        }
    };
    attributes.push(Attribute::new("server.address", address));
    if let Some(port) = port {
        attributes.push(Attribute::new("server.port", i64::from(port)));
    }
}

/// Says of an attribute that it rests on inference.
pub(super) fn infer(attributes: &mut Vec<Attribute>, key: &str) {
    let known = attributes.iter_mut().find(|attribute| attribute.key == INFERRED);
    match known.map(|attribute| &mut attribute.value) {
        Some(Value::Strs(keys)) => {
            let all = keys.iter().cloned().chain([key.to_owned()]);
            *keys = all.collect();
        }
        _ => attributes.push(Attribute::new(INFERRED, vec![key.to_owned()])),
    }
}
