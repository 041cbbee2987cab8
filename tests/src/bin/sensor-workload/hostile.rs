//! Bytes that are no HTTP/1, between exchanges that are.

use std::os::fd::{AsRawFd as _, RawFd};

use anyhow::{Result, ensure};
use sensor_tests::edges::calls::{self, In, Out};
use sensor_tests::edges::control::{at, say};
use sensor_tests::edges::hostile::cases;
use sensor_tests::edges::peer::{End, Transport};
use sensor_tests::edges::{Marker, list};

pub(crate) fn scene() -> Result<()> {
    at("start")?;
    for (case, marker) in cases().into_iter().zip((1..).map(Marker)) {
        let (client, server) = Transport::Tcp4.connect()?;
        let piece = case.piece.min(4096);
        transfer(client.as_raw_fd(), server.as_raw_fd(), &case.request, piece)?;
        transfer(server.as_raw_fd(), client.as_raw_fd(), &case.response, piece)?;
        drop(client);
        drop(server);
        say("case", case.name)?;

        let (client, server) = Transport::Tcp4.connect()?;
        let mut client = End::new(client, In::Read(4096), Out::Write);
        let mut server = End::new(server, In::Read(4096), Out::Write);
        client.send(&marker.request())?;
        ensure!(server.answer()? == Some(marker));
        client.answered(marker)?;
        say("exchanged", &list([marker]))?;
    }
    at("end")
}

/// Sends piece by piece, each of them received before the next one goes.
fn transfer(from: RawFd, to: RawFd, bytes: &[u8], piece: usize) -> Result<()> {
    for piece in bytes.chunks(piece) {
        ensure!(calls::send(from, Out::Write, piece)? == piece.len(), "a short write");
        let mut left = piece.len();
        while left > 0 {
            left -= calls::receive(to, In::Read(left))?.len();
        }
    }
    Ok(())
}
