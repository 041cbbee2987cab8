//! Connections that are open when the sensor starts, in different states.

use anyhow::{Result, ensure};
use sensor_tests::edges::calls::{In, Out};
use sensor_tests::edges::control::{at, say};
use sensor_tests::edges::peer::{End, Transport};
use sensor_tests::edges::{Marker, list};

/// How far an exchange is when the sensor starts.
#[derive(Clone, Copy, Debug)]
enum State {
    /// An exchange is complete.
    Idle,
    /// Part of the request's head is sent.
    RequestHead,
    /// The request's head and part of its body are sent.
    RequestBody,
    /// The request is answered in part of a head.
    ResponseHead,
    /// The response's head and part of its body are sent.
    ResponseBody,
}

const STATES: [State; 5] =
    [State::Idle, State::RequestHead, State::RequestBody, State::ResponseHead, State::ResponseBody];

/// An exchange, of which the sensor sees the rest; then three of which it sees all.
pub(crate) fn scene() -> Result<()> {
    let mut held = Vec::new();
    let mut first = 1;
    for transport in Transport::ALL {
        for state in STATES {
            let (client, server) = transport.connect()?;
            let client = End::new(client, In::Read(4096), Out::Write);
            let server = End::new(server, In::Read(4096), Out::Write);
            let mut pair = Pair { client, server, transport, state, first: Marker(first) };
            pair.begin()?;
            held.push(pair);
            first += 10;
        }
    }
    at("start")?;
    for mut pair in held {
        pair.finish()?;
    }
    at("end")
}

struct Pair {
    client: End,
    server: End,
    transport: Transport,
    state: State,
    first: Marker,
}

impl Pair {
    /// What is cut in two, and where.
    fn cut(&self) -> (Vec<u8>, usize) {
        let marker = self.first;
        let mut response = marker.response_head();
        response.extend(marker.response_body());
        match self.state {
            State::Idle => (Vec::new(), 0),
            State::RequestHead => (marker.request(), 30),
            State::RequestBody => (marker.request(), marker.request_head().len() + 10),
            State::ResponseHead => (response, 20),
            State::ResponseBody => (response, marker.response_head().len() + 5),
        }
    }

    fn begin(&mut self) -> Result<()> {
        let (bytes, at) = self.cut();
        match self.state {
            State::Idle => {
                self.client.send(&self.first.request())?;
                ensure!(self.server.answer()? == Some(self.first));
                self.client.answered(self.first)
            }
            State::RequestHead | State::RequestBody => {
                self.client.send(&bytes[..at])?;
                self.server.pull(at)
            }
            State::ResponseHead | State::ResponseBody => {
                self.client.send(&self.first.request())?;
                self.server.message()?;
                self.server.send(&bytes[..at])?;
                self.client.pull(at)
            }
        }
    }

    fn finish(&mut self) -> Result<()> {
        let (bytes, at) = self.cut();
        match self.state {
            State::Idle => {}
            State::RequestHead | State::RequestBody => {
                self.client.send(&bytes[at..])?;
                ensure!(self.server.answer()? == Some(self.first));
                self.client.answered(self.first)?;
            }
            State::ResponseHead | State::ResponseBody => {
                self.server.send(&bytes[at..])?;
                self.client.answered(self.first)?;
            }
        }
        let markers: Vec<_> = (1..=3).map(|n| Marker(self.first.0 + n)).collect();
        for &marker in &markers {
            self.client.send(&marker.request())?;
            ensure!(self.server.answer()? == Some(marker));
            self.client.answered(marker)?;
        }
        let name = format!("{:?}-{:?}", self.transport, self.state).to_lowercase();
        say("older", &format!("{name} {}", list(markers)))
    }
}
