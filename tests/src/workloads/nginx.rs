//! nginx with one worker, and its access log as lines of JSON.

use std::fs;
use std::process::Command;

use anyhow::Result;

use super::Server;
use crate::sensor::tool;

/// Bytes of `/big`.
pub const BIG: usize = 1 << 20;

/// The access log's name.
pub const ACCESS: &str = "access.log";

/// Starts it: files from its directory by sendfile (`/big` of [`BIG`] bytes, `/small` of 5), `/ok`
/// by itself and whatever `locations` says. Its access log ([`ACCESS`]) has for each request what
/// the tests compare.
///
/// # Errors
/// When it does not come to listen.
pub fn nginx(locations: &str) -> Result<Option<Server>> {
    let Some(program) = tool("nginx") else {
        return Ok(None);
    };
    let server = Server::start("nginx", |port, directory| {
        let html = directory.join("html");
        fs::create_dir(&html)?;
        fs::write(html.join("big"), vec![b'x'; BIG])?;
        fs::write(html.join("small"), "small")?;
        let root = directory.display();
        let log = r#"{"method":"$request_method","uri":"$request_uri","status":$status,"bytes":$bytes_sent,"body":$body_bytes_sent,"length":"$content_length","port":$remote_port,"nth":$connection_requests,"marker":"$http_x_marker"}"#;
        let config = format!(
            "daemon off; worker_processes 1; user root; pid {root}/pid; error_log {root}/error.log;
             events {{ worker_connections 512; }}
             http {{
               log_format all escape=json '{log}';
               access_log {root}/{ACCESS} all;
               sendfile on; keepalive_requests 1000000; large_client_header_buffers 4 32k;
               client_max_body_size 8m; client_body_temp_path {root}/body;
               proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
               uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
               server {{
                 listen 127.0.0.1:{port}; root {root}/html;
                 location = /ok {{ return 200 'ok'; }}
                 {locations}
               }}
             }}"
        );
        let file = directory.join("nginx.conf");
        fs::write(&file, config)?;
        let mut command = Command::new(program);
        command.arg("-p").arg(directory).arg("-c").arg(file);
        Ok(command)
    })?;
    Ok(Some(server))
}
