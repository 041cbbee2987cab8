//! Connections that are held open: each has one exchange, and is then idle.

use std::io::{BufRead, Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::response::Response;
use super::{CONNECTIONS, room_for};

/// How long one exchange may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// For each line of `orders`, a number, opens connections until there are so many, and writes the
/// number back. Closes them all at the end.
///
/// # Errors
/// Not a number, too many, or an exchange that went wrong.
pub fn run(address: SocketAddr, orders: impl BufRead, mut report: impl Write) -> Result<()> {
    let mut held = Vec::new();
    for order in orders.lines() {
        let order = order?;
        let wanted: usize = order.trim().parse().with_context(|| format!("`{order}`"))?;
        if wanted > CONNECTIONS {
            bail!("at most {CONNECTIONS} connections");
        }
        room_for(wanted)?;
        while held.len() < wanted {
            let number = held.len();
            held.push(
                open(address, number)
                    .with_context(|| format!("connection {number} to {address}"))?,
            );
        }
        writeln!(report, "{}", held.len())?;
        report.flush()?;
    }
    Ok(())
}

/// A connection after its one exchange.
pub(super) fn open(address: SocketAddr, number: usize) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream
        .write_all(format!("GET /held-{number} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut response = Response::default();
    let mut input = [0; 4096];
    loop {
        let n = stream.read(&mut input)?;
        if n == 0 {
            bail!("closed by the server");
        }
        if response.feed(input.get(..n).unwrap_or(&[]))? {
            return Ok(stream);
        }
    }
}
