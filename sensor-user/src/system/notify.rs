//! The service manager's notification protocol (sd_notify(3)): a datagram with an assignment on each line.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// How long a manager that does not read may hold up the sensor.
const PATIENCE: Duration = Duration::from_millis(100);

/// The service manager, if there is one.
#[derive(Debug, Default)]
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Watchdog>,
}

#[derive(Debug)]
struct Watchdog {
    interval: Duration,
    next: Instant,
}

impl ServiceManager {
    /// None: nothing is sent.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The one that `NOTIFY_SOCKET` names; one that cannot be reached is a warning.
    #[must_use]
    pub fn from_environment() -> Self {
        let Some(address) = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())
        else {
            return Self::none();
        };
        let (timeout, of) = (env::var_os("WATCHDOG_USEC"), env::var_os("WATCHDOG_PID"));
        match connect(&address) {
            Ok(socket) => Self {
                socket: Some(socket),
                watchdog: interval(timeout, of, std::process::id())
                    .map(|interval| Watchdog { interval, next: Instant::now() }),
            },
            Err(error) => {
                tracing::warn!(
                    "the service manager cannot be notified by NOTIFY_SOCKET={}: {error}",
                    address.display()
                );
                Self::none()
            }
        }
    }

    /// The start is over.
    pub fn ready(&mut self) {
        self.send(b"READY=1");
    }

    /// The caller is not stuck. Call it more often than twice in the watchdog's time; it sends what is due.
    pub fn alive(&mut self) {
        let now = Instant::now();
        if let Some(watchdog) = &mut self.watchdog
            && now >= watchdog.next
        {
            watchdog.next = now + watchdog.interval;
            self.send(b"WATCHDOG=1");
        }
    }

    /// The end has begun.
    pub fn stopping(&mut self) {
        self.send(b"STOPPING=1");
    }

    fn send(&self, message: &[u8]) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(message)
        {
            let message = String::from_utf8_lossy(message);
            tracing::warn!("the service manager was not notified of {message}: {error}");
        }
    }
}

/// A path, or a name in the abstract namespace after an `@`.
fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match address.as_bytes() {
        [b'@', name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        [b'/', ..] => socket.connect(address)?,
        _ => {
            let reason = "neither an absolute path nor an abstract name (@…)";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
    }
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// How often the watchdog is notified: half of its time, as sd_watchdog_enabled(3) recommends. None where
/// there is no watchdog, or it watches another process.
fn interval(timeout: Option<OsString>, of: Option<OsString>, pid: u32) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    if of.is_some_and(|of| number(of) != Some(pid.into())) {
        return None;
    }
    let timeout = number(timeout?).filter(|&microseconds| microseconds > 0)?;
    Some(Duration::from_micros(timeout) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let len = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    }

    fn managed(address: &OsStr, interval: Option<Duration>) -> ServiceManager {
        let next = Instant::now();
        ServiceManager {
            socket: Some(connect(address).unwrap()),
            watchdog: interval.map(|interval| Watchdog { interval, next }),
        }
    }

    #[test]
    fn datagrams_to_an_abstract_socket() {
        let name = format!("sensor-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let mut manager = managed(OsStr::new(&format!("@{name}")), Some(Duration::from_secs(3600)));
        manager.ready();
        manager.alive();
        // Not due before half of the watchdog's time is over.
        manager.alive();
        manager.stopping();
        let received = [(); 3].map(|()| receive(&socket));
        assert_eq!(received, ["READY=1", "WATCHDOG=1", "STOPPING=1"]);
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nothing_up_for_long() {
        let (_full, socket) = UnixDatagram::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        while socket.send(&[0; 1024]).is_ok() {}
        socket.set_nonblocking(false).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut manager = ServiceManager { socket: Some(socket), watchdog: None };
        let started = Instant::now();
        manager.ready();
        assert!(started.elapsed() < PATIENCE * 20, "{:?}", started.elapsed());
    }

    #[test]
    fn addresses_of_other_kinds_are_refused() {
        for address in ["vsock:2:1234", "relative/path", ""] {
            let error = connect(OsStr::new(address)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{address}");
        }
    }

    /// sd_watchdog_enabled(3).
    #[test]
    fn the_watchdog_is_notified_twice_in_its_time() {
        let text = |text: &str| Some(OsString::from(text));
        assert_eq!(interval(text("30000000"), None, 7), Some(Duration::from_secs(15)));
        assert_eq!(interval(text("30000000"), text("7"), 7), Some(Duration::from_secs(15)));
        assert_eq!(interval(text("30000000"), text("8"), 7), None);
        assert_eq!(interval(None, None, 7), None);
        assert_eq!(interval(text("0"), None, 7), None);
        assert_eq!(interval(text("soon"), None, 7), None);
    }
}
