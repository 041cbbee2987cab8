//! Network namespaces of a test's own, with a router between them. Nothing of the host's network is touched: the
//! interfaces are made within the namespaces, and go away with them.
//!
//! ```text
//!   client 10.77.1.2 ── 10.77.1.1 router 10.77.2.1 ── 10.77.2.2 server
//! ```

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};

use crate::sensor::tool;
use crate::skip;

/// The client's address.
pub const CLIENT: &str = "10.77.1.2";
/// The router's, on the way to the server.
pub const ROUTER: &str = "10.77.2.1";
/// The server's.
pub const SERVER: &str = "10.77.2.2";
/// One that nobody has.
pub const SERVICE: &str = "10.96.0.10";

/// Three of them. Removed when dropped: so it has to outlive the processes in them.
#[derive(Debug)]
pub struct Namespaces {
    ip: PathBuf,
    /// Client, router, server.
    names: [String; 3],
}

impl Namespaces {
    /// Makes them; the router has these rules, in the chains of a table of nftables. None where there are no
    /// such programs, or the kernel has no such rules.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn new(rules: &str) -> Result<Option<Self>> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (Some(ip), Some(nft)) = (tool("ip"), tool("nft")) else { return Ok(None) };
        let unique = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let names = ["client", "router", "server"].map(|of| format!("sensor-{unique}-{of}"));
        let these = Self { ip, names };
        these.connect()?;
        let [_, router, _] = &these.names;
        let mut command = these.command_in(router);
        let said =
            fed(command.arg(nft).args(["-f", "-"]), &format!("table ip nat {{\n{rules}\n}}\n"))?;
        // So it begins where the kernel is the one that says no.
        if said.contains("Could not process rule") {
            skip("a NAT", &said);
            return Ok(None);
        }
        ensure!(said.is_empty(), "{command:?}: {said}");
        Ok(Some(these))
    }

    fn connect(&self) -> Result<()> {
        let [client, router, server] = &self.names;
        for name in &self.names {
            self.ip(&format!("netns add {name}"))?;
            self.ip(&format!("-n {name} link set lo up"))?;
        }
        for (end, address, port, gateway) in
            [(client, CLIENT, "to-client", "10.77.1.1"), (server, SERVER, "to-server", ROUTER)]
        {
            self.ip(&format!("-n {end} link add up0 type veth peer name {port} netns {router}"))?;
            self.ip(&format!("-n {end} addr add {address}/24 dev up0"))?;
            self.ip(&format!("-n {router} addr add {gateway}/24 dev {port}"))?;
            self.ip(&format!("-n {end} link set up0 up"))?;
            self.ip(&format!("-n {router} link set {port} up"))?;
            self.ip(&format!("-n {end} route add default via {gateway}"))?;
        }
        let mut forward = self.command_in(router);
        forward.args(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
        let said = fed(&mut forward, "")?;
        ensure!(said.is_empty(), "{forward:?}: {said}");
        Ok(())
    }

    /// `command` in the client's.
    #[must_use]
    pub fn client(&self, command: &Command) -> Command {
        self.wrapped(&self.names[0], command)
    }

    /// `command` in the server's.
    #[must_use]
    pub fn server(&self, command: &Command) -> Command {
        self.wrapped(&self.names[2], command)
    }

    /// `ip netns exec` becomes the command: the process keeps its id.
    fn wrapped(&self, name: &str, command: &Command) -> Command {
        let mut wrapped = self.command_in(name);
        wrapped.arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(key, value),
                None => wrapped.env_remove(key),
            };
        }
        wrapped
    }

    fn command_in(&self, name: &str) -> Command {
        let mut command = Command::new(&self.ip);
        command.args(["netns", "exec", name]);
        command
    }

    fn ip(&self, arguments: &str) -> Result<()> {
        let mut command = Command::new(&self.ip);
        let said = fed(command.args(arguments.split(' ')), "")?;
        ensure!(said.is_empty(), "{command:?}: {said}");
        Ok(())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.names {
            // One that was never made is not there.
            let _ = self.ip(&format!("netns del {name}"));
        }
    }
}

/// Runs a command with `input`; what it says if it fails.
fn fed(command: &mut Command, input: &str) -> Result<String> {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("{command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // It may end without reading; its status tells.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(match output.status.success() {
        true => String::new(),
        false if said.is_empty() => output.status.to_string(),
        false => said,
    })
}
