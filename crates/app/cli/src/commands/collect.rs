//! `ringfence collect`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use converse::{Rollup, ServiceTable};
use intake::{ListenerOptions, UdpListener};
use lake::{Begun, HOUR_US, Lake, SourceIdentity};
use model::FlowBatch;

use crate::flow_input::print_losses;
use crate::output::grouped;
use crate::{Exit, Global};

/// Most flows held before they are stored, however short the time (about 120 bytes each).
const HELD_ROWS: usize = 500_000;

#[derive(clap::Args)]
pub(crate) struct Collect {
    /// Where to listen for NetFlow v5, v9 and IPFIX. UDP carries no authentication: stay on loopback or a management
    /// network.
    #[arg(long, default_value = "127.0.0.1:2055", value_name = "ADDRESS:PORT", env = "RINGFENCE_LISTEN")]
    listen: SocketAddr,
    /// Store what was received at least this often; what is not yet stored is lost if the machine dies.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Stop by itself after so long.
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
}

impl Collect {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let project = global.project()?;
        let mut lake = Lake::open(&project.lake)?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot listen for signals")?;
        }
        let mut listener = UdpListener::bind(self.listen, ListenerOptions::default())?;
        let address = listener.address();
        eprintln!("listening on udp {address}; Ctrl-C stops and stores what was received");
        if !address.ip().is_loopback() {
            eprintln!("warning: flow exports over UDP carry no authentication; only trusted exporters should reach {address}");
        }
        let mut store = Store {
            lake: &mut lake,
            name: format!("udp {address}"),
            started: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64),
            sequence: 0,
            table: ServiceTable::new(),
            held: FlowBatch::new("netflow"),
            since: Instant::now(),
            stored: 0,
        };
        let begun = Instant::now();
        let every = Duration::from_secs(self.every);
        let ended = Arc::clone(&stop);
        let timer = self.duration.map(Duration::from_secs);
        if let Some(limit) = timer {
            std::thread::spawn(move || {
                std::thread::sleep(limit.saturating_sub(begun.elapsed()));
                ended.store(true, std::sync::atomic::Ordering::Relaxed);
            });
        }
        listener.run(&stop, |batch| -> anyhow::Result<()> {
            store.table.learn(batch);
            store.held.append(batch);
            if store.held.len() >= HELD_ROWS || store.since.elapsed() >= every {
                store.commit()?;
            }
            Ok(())
        })?;
        store.commit()?;
        let stored = store.stored;
        print_losses(listener.summary());
        eprintln!(
            "stopped; {} datagrams received, {} flows stored",
            grouped(listener.summary().packets),
            grouped(stored)
        );
        Ok(Exit::Ok)
    }
}

struct Store<'a> {
    lake: &'a mut Lake,
    name: String,
    started: i64,
    sequence: u64,
    table: ServiceTable,
    held: FlowBatch,
    since: Instant,
    stored: u64,
}

impl Store<'_> {
    /// Stores what is held: from here on no crash loses it.
    fn commit(&mut self) -> anyhow::Result<()> {
        self.since = Instant::now();
        if self.held.is_empty() {
            return Ok(());
        }
        converse::orient(&mut self.held, &self.table);
        let mut rollup = Rollup::new(HOUR_US);
        rollup.add(&self.held);
        let identity = SourceIdentity::of_stream("netflow", &self.name, self.started, self.sequence);
        if let Begun::New(mut transaction) = self.lake.begin_import(identity)? {
            transaction.append(&self.held)?;
            transaction.append_rollups(&rollup.drain())?;
            let receipt = transaction.commit()?;
            self.stored += receipt.flows;
            eprintln!("stored {} flows ({} in all)", grouped(receipt.flows), grouped(self.stored));
        }
        self.sequence += 1;
        self.held.clear();
        Ok(())
    }
}
