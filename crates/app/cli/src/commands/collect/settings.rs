//! What `collect` is told, by options and by the project's configuration.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use intake::{Allowed, LISTENERS, ListenKind, ListenerOptions, listen_kind};
use model::{IpSet, Prefix, Region as _};
use serde::Deserialize;

use super::Collect;
use super::follow::Followed;
use crate::UsageError;
use crate::project::Project;

/// The table `[collect]` of the project's configuration.
#[derive(Clone, Deserialize, Default, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct CollectConfig {
    listen: Option<Vec<String>>,
    allow: Option<Vec<String>>,
    follow: Option<Vec<String>>,
    every_s: Option<u64>,
    workers: Option<usize>,
    receive_buffer_bytes: Option<usize>,
    connections: Option<usize>,
    idle_s: Option<u64>,
    templates: Option<PathBuf>,
    metrics: Option<SocketAddr>,
}

/// A kind and an address, as `KIND://ADDRESS:PORT`.
#[derive(Clone, Copy)]
pub(crate) struct Port {
    pub(crate) kind: &'static ListenKind,
    pub(crate) address: SocketAddr,
}

impl PartialEq for Port {
    fn eq(&self, other: &Self) -> bool {
        (self.kind.name, self.address) == (other.kind.name, other.address)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.kind.name, self.address)
    }
}

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, address) = text.split_once("://").unwrap_or(("netflow", text));
        let known = || LISTENERS.iter().map(|kind| format!("`{}`", kind.name)).collect::<Vec<_>>().join(", ");
        let kind = listen_kind(kind)
            .ok_or_else(|| format!("nothing to listen for is called `{kind}`; known are {}", known()))?;
        let address = address.parse().map_err(|_| {
            format!("`{address}` is not an address with a port, such as `192.0.2.10:{}` or `[::1]:{}`", kind.port, kind.port)
        })?;
        Ok(Self { kind, address })
    }
}

/// Everything that `collect` goes by.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) ports: Vec<Port>,
    pub(crate) follow: Vec<Followed>,
    pub(crate) allowed: Allowed,
    pub(crate) every: Duration,
    pub(crate) options: ListenerOptions,
    pub(crate) templates: PathBuf,
    pub(crate) metrics: Option<SocketAddr>,
}

impl Settings {
    /// Options go before the configuration, that before defaults.
    pub(crate) fn new(given: &Collect, project: &Project) -> Result<Self, UsageError> {
        let config = &project.collect;
        let follow = if given.follow.is_empty() {
            let texts = config.follow.iter().flatten().map(|text| text.parse());
            texts.collect::<Result<Vec<Followed>, _>>().map_err(UsageError)?
        } else {
            given.follow.clone()
        };
        let ports = if given.listen.is_empty() {
            // Who follows files and says nothing of ports wants none.
            let usual = || if follow.is_empty() { vec!["127.0.0.1:2055".to_owned()] } else { Vec::new() };
            let texts = config.listen.clone().unwrap_or_else(usual);
            texts.iter().map(|text| text.parse()).collect::<Result<Vec<Port>, _>>().map_err(UsageError)?
        } else {
            given.listen.clone()
        };
        let texts = if given.allow.is_empty() { config.allow.as_ref() } else { Some(&given.allow) };
        let allowed = allowed(texts.map_or(&[][..], Vec::as_slice))?;
        for port in &ports {
            if texts.is_none_or(Vec::is_empty) && !port.address.ip().is_loopback() {
                return Err(open_to_all(port));
            }
        }
        let default = ListenerOptions::default();
        let options = ListenerOptions {
            workers: given.workers.or(config.workers).unwrap_or_else(workers).clamp(1, 64),
            receive_buffer_bytes: given
                .receive_buffer_bytes
                .or(config.receive_buffer_bytes)
                .unwrap_or(default.receive_buffer_bytes),
            connections: config.connections.unwrap_or(default.connections),
            idle: config.idle_s.map_or(default.idle, Duration::from_secs),
            ..default
        };
        let metrics = given.metrics.or(config.metrics);
        if let Some(address) = metrics.filter(|address| !address.ip().is_loopback()) {
            return Err(UsageError(format!(
                "metrics at `{address}` would show every exporter to the network without encryption or a password; \
                 use a loopback address such as `127.0.0.1:{}`, and put a proxy with TLS before it",
                address.port()
            )));
        }
        let every = given.every.or(config.every_s).unwrap_or(10).clamp(1, 3_600);
        let configured = config.templates.as_ref().map(|path| project.root.join(path));
        let templates = configured.unwrap_or_else(|| project.lake.join("collect.templates"));
        Ok(Self { ports, follow, allowed, every: Duration::from_secs(every), options, templates, metrics })
    }
}

fn allowed(texts: &[String]) -> Result<Allowed, UsageError> {
    if texts.is_empty() || texts.iter().any(|text| text == "any") {
        return Ok(Allowed::Any);
    }
    let mut set = IpSet::default();
    for text in texts {
        let block: Prefix = text.parse().map_err(|error| UsageError(format!("{error}, nor `any`")))?;
        set = set.union(&block.to_set());
    }
    Ok(Allowed::Only(set))
}

fn open_to_all(port: &Port) -> UsageError {
    UsageError(format!(
        "`{port}` can be reached from other machines, and what exporters send carries no authentication: name the \
         exporters with `--allow 10.0.0.0/8` (as often as needed) or `allow = [..]` below `[collect]` in ringfence.toml, or \
         say `--allow any`"
    ))
}

/// One thread keeps up with some hundred thousand datagrams a second; storing needs processors too.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |all| (all.get() / 4).clamp(1, 4))
}
