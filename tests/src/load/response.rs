//! Just enough of an HTTP/1.1 client's reading side for a server whose answers are known: a head
//! with Content-Length, then that many bytes.

use anyhow::{Context as _, Result, bail};

/// Longest head that is waited for.
const HEAD: usize = 16 << 10;

/// Finds the end of one response, fed in pieces.
#[derive(Debug, Default)]
pub struct Response {
    head: Vec<u8>,
    /// Bytes of the body that are still to come, once the head is whole.
    rest: Option<u64>,
}

impl Response {
    /// Takes the next bytes; true when the response ended with them. It is then ready for the next.
    ///
    /// # Errors
    /// Not a 200 with Content-Length, or bytes after its end: nobody asked for those.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool> {
        let (rest, body) = match self.rest {
            Some(rest) => (rest, bytes.len()),
            None => {
                // A head that comes in pieces is looked at again from its beginning: it is short.
                self.head.extend_from_slice(bytes);
                let Some(end) = self.head.windows(4).position(|window| window == b"\r\n\r\n")
                else {
                    if self.head.len() > HEAD {
                        bail!("no end of the response's head within {HEAD} bytes");
                    }
                    return Ok(false);
                };
                (content_length(self.head.get(..end).unwrap_or(&[]))?, self.head.len() - end - 4)
            }
        };
        let Some(rest) = rest.checked_sub(u64::try_from(body)?) else {
            bail!("bytes after the end of the response");
        };
        if rest == 0 {
            self.head.clear();
            self.rest = None;
        } else {
            self.rest = Some(rest);
        }
        Ok(rest == 0)
    }
}

/// The length that the head of a 200 announces.
fn content_length(head: &[u8]) -> Result<u64> {
    let head = std::str::from_utf8(head).context("the response's head is not text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200 ") {
        bail!("the server answered `{status}`");
    }
    let value = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    let value = value.context("the server's answer has no Content-Length")?;
    value.parse().with_context(|| format!("Content-Length `{value}`"))
}

#[cfg(test)]
mod tests {
    use super::Response;

    const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nServer: x\r\n\r\nhello";

    #[test]
    fn a_response_ends_where_its_length_says_however_it_is_cut() {
        for cut in 1..HELLO.len() {
            let mut response = Response::default();
            for _ in 0..2 {
                assert!(!response.feed(&HELLO[..cut]).expect("good"), "{cut}");
                assert!(response.feed(&HELLO[cut..]).expect("good"), "{cut}");
            }
        }
        let empty = b"HTTP/1.1 200 OK\r\nContent-Length:0\r\n\r\n";
        assert!(Response::default().feed(empty).expect("good"));
    }

    #[test]
    fn what_was_not_asked_for_is_an_error() {
        for bad in [
            &b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            &[b'x'; 20_000],
        ] {
            assert!(Response::default().feed(bad).is_err());
        }
    }
}
