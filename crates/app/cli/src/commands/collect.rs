//! `ringfence collect`.
//!
//! Listeners decode in threads of their own; this thread gathers their flows into portions, a third kind stores those. A
//! slow disk stops neither receiving nor gathering until the bounded room between them is full.

mod follow;
mod metrics;
mod ports;
mod settings;
mod store;
mod templates;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use intake::{Deliveries, Delivery, IntakeError, queue};
use model::Micros;

use self::follow::{Followed, Follower};
use self::ports::Ports;
use self::settings::{Port, Settings};
use self::store::{Portion, Progress, Store};
use self::templates::Remembered;
use crate::flow_input::print_losses;
use crate::output::grouped;
use crate::project::{Project, open_lake};
use crate::{Exit, Global};

pub(crate) use self::settings::CollectConfig;

/// Most flows gathered before they are stored, however short the time (about 120 bytes each).
const GATHERED_ROWS: usize = 500_000;
/// Batches between the listeners and here: 16 MB.
const QUEUE_BATCHES: usize = 32;
/// How often to look at signals and clocks.
const TURN: Duration = Duration::from_millis(50);

#[derive(clap::Args)]
pub(crate) struct Collect {
    /// Where to listen, as ADDRESS:PORT for NetFlow v5, v7, v9 and IPFIX over UDP, or as KIND://ADDRESS:PORT with KIND
    /// `netflow`, `ipfix-tcp` or `sflow`; repeatable [default: 127.0.0.1:2055]. Exports carry no authentication: stay on
    /// loopback or a management network.
    #[arg(long, value_name = "[KIND://]ADDRESS:PORT", env = "RINGFENCE_LISTEN", value_delimiter = ',')]
    listen: Vec<Port>,
    /// Follow a log file, as FORMAT:PATH or a path alone; repeatable. It is taken up where it was left, over rotation and
    /// restarts. Without --listen no port is opened then.
    #[arg(long, value_name = "[FORMAT:]PATH")]
    follow: Vec<Followed>,
    /// Exporters to listen to, as addresses or prefixes, or `any`; repeatable. Must be given to listen beyond loopback.
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    allow: Vec<String>,
    /// Store what was received at least this often; what is not yet stored is lost if the process is killed [default: 10].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: Option<u64>,
    /// Sockets and threads of each UDP port; exporters are spread over them by address [default: a quarter of the
    /// processors, at most 4].
    #[arg(long, value_name = "NUMBER")]
    workers: Option<usize>,
    /// Bytes that the kernel keeps for each UDP socket while we are busy [default: 33554432].
    #[arg(long, value_name = "BYTES")]
    receive_buffer_bytes: Option<usize>,
    /// Serve counters for Prometheus at http://ADDRESS:PORT/metrics; loopback only.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Stop by itself after so long.
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
}

impl Collect {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let project = global.project()?;
        let settings = Settings::new(self, &project)?;
        let signals = Signals::listen()?;
        let mut lake = open_lake(&project.lake)?;
        lake.let_others_write();
        let (outlet, deliveries) = queue(QUEUE_BATCHES);
        let ports = Ports::new(outlet);
        if let [first, ..] = ports.change(&settings).as_slice() {
            anyhow::bail!("{first}");
        }
        let mut follower = Follower::new();
        follower.change(&settings.follow, &project.lake)?;
        let progress = Arc::<Progress>::default();
        let names: Vec<String> = settings.ports.iter().map(ToString::to_string).collect();
        let store = Store::new(lake, names.join(", "), now(), Arc::clone(&progress));
        let (sender, portions) = sync_channel(0);
        let storing = std::thread::Builder::new().name("store".to_owned()).spawn(move || store.run(&portions))?;
        let mut gatherer = Gatherer {
            deliveries,
            follower,
            sender,
            portion: Portion::default(),
            since: Instant::now(),
            every: settings.every,
            gathered: Arc::default(),
            oldest_us: Arc::default(),
        };
        if let Some(address) = settings.metrics {
            let shown = metrics::Shown {
                ports: ports.clone(),
                progress: Arc::clone(&progress),
                gathered: Arc::clone(&gatherer.gathered),
                oldest_us: Arc::clone(&gatherer.oldest_us),
                queue_capacity: QUEUE_BATCHES,
            };
            let bound = metrics::serve(address, shown).with_context(|| format!("cannot listen on `{address}`"))?;
            eprintln!("counters at http://{bound}/metrics");
        }
        let mut keeper = Keeper { settings, ports, written: Vec::new(), looked: Instant::now() };
        let outcome = self.attend(global, &signals, &mut gatherer, &mut keeper);
        // Whatever happened, what was received is stored.
        progress.closing.store(true, Ordering::Relaxed);
        let drained = gatherer.drain(&keeper.ports);
        keeper.remember();
        let followed = gatherer.follower.summary();
        drop(gatherer);
        let stored = storing.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the thread that stores failed")));
        let mut summary = keeper.ports.summary();
        summary.merge(&followed);
        print_losses(&summary);
        let flows = progress.flows.load(Ordering::Relaxed);
        eprintln!("stopped; {} datagrams received, {} flows stored", grouped(summary.packets), grouped(flows));
        stored.and(outcome).and(drained)?;
        Ok(Exit::Ok)
    }

    /// Gathers and hands on, until told to stop or something fails.
    fn attend(
        &self,
        global: &Global,
        signals: &Signals,
        gatherer: &mut Gatherer,
        keeper: &mut Keeper,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        let limit = self.duration.map(Duration::from_secs);
        while !signals.stop.load(Ordering::Relaxed) && limit.is_none_or(|limit| begun.elapsed() < limit) {
            gatherer.turn()?;
            if signals.reload.swap(false, Ordering::Relaxed) {
                match global.project().and_then(|project| Ok((self.reload(&project)?, project))) {
                    Ok((settings, project)) => {
                        gatherer.every = settings.every;
                        gatherer.follower.change(&settings.follow, &project.lake)?;
                        keeper.change(settings);
                    }
                    Err(error) => eprintln!("warning: the configuration stays as it was: {error:#}"),
                }
            }
            keeper.turn();
        }
        Ok(())
    }

    fn reload(&self, project: &Project) -> anyhow::Result<Settings> {
        Ok(Settings::new(self, project)?)
    }
}

/// What the process was told from outside.
struct Signals {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let signals = Self { stop: Arc::default(), reload: Arc::default() };
        let flags = [(SIGINT, &signals.stop), (SIGTERM, &signals.stop), (SIGHUP, &signals.reload)];
        for (signal, flag) in flags {
            signal_hook::flag::register(signal, Arc::clone(flag)).context("cannot listen for signals")?;
        }
        Ok(signals)
    }
}

/// Takes flows out of the queue, and hands them to the store in portions.
struct Gatherer {
    deliveries: Deliveries,
    follower: Follower,
    sender: SyncSender<Portion>,
    portion: Portion,
    since: Instant,
    every: Duration,
    gathered: Arc<AtomicU64>,
    oldest_us: Arc<AtomicU64>,
}

impl Gatherer {
    /// Waits a moment for flows, and hands on what is due. While a full portion waits for the store, nothing is taken
    /// out: the queue fills, and then the listeners wait.
    fn turn(&mut self) -> anyhow::Result<()> {
        if self.portion.flows() >= GATHERED_ROWS {
            if !self.hand_on()? {
                std::thread::sleep(TURN / 10);
            }
            return Ok(());
        }
        if let Some(delivery) = self.deliveries.take(TURN).unwrap_or(None) {
            self.gather(delivery)?;
        }
        self.follower.turn(&mut self.portion);
        if self.since.elapsed() >= self.every {
            self.hand_on()?;
        }
        Ok(())
    }

    fn gather(&mut self, delivery: Delivery) -> Result<(), IntakeError> {
        match delivery {
            Delivery::Flows(batch) => {
                if self.portion.flows() == 0 {
                    self.oldest_us.store(now().cast_unsigned(), Ordering::Relaxed);
                }
                self.portion.add(batch);
                self.gathered.store(self.portion.flows() as u64, Ordering::Relaxed);
            }
            Delivery::Coverage(coverage) => self.portion.cover(&coverage),
            Delivery::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// Hands the portion to the store, if it is ready for it; whether there is nothing left to hand on.
    fn hand_on(&mut self) -> anyhow::Result<bool> {
        if self.portion.is_empty() {
            self.since = Instant::now();
            return Ok(true);
        }
        match self.sender.try_send(std::mem::take(&mut self.portion)) {
            Ok(()) => {
                self.since = Instant::now();
                self.gathered.store(0, Ordering::Relaxed);
                self.oldest_us.store(0, Ordering::Relaxed);
                Ok(true)
            }
            Err(TrySendError::Full(portion)) => {
                self.portion = portion;
                Ok(false)
            }
            Err(TrySendError::Disconnected(_)) => anyhow::bail!("the thread that stores has ended"),
        }
    }

    /// Stops listening, and hands on everything that was received.
    fn drain(&mut self, ports: &Ports) -> anyhow::Result<()> {
        ports.stop();
        loop {
            let ended = ports.none_left();
            if self.portion.flows() >= GATHERED_ROWS {
                if !self.hand_on()? {
                    std::thread::sleep(TURN / 10);
                }
                continue;
            }
            match self.deliveries.take(TURN / 10) {
                // A socket that fails now is closed anyway.
                Ok(Some(delivery)) => drop(self.gather(delivery)),
                Ok(None) | Err(_) if ended => break,
                Ok(None) | Err(_) => {}
            }
        }
        while !self.hand_on()? {
            std::thread::sleep(TURN / 10);
        }
        Ok(())
    }
}

/// Keeps the ports as the settings want them, and the file of templates up to date.
struct Keeper {
    settings: Settings,
    ports: Ports,
    written: Vec<Remembered>,
    looked: Instant,
}

impl Keeper {
    fn turn(&mut self) {
        if self.looked.elapsed() >= Duration::from_secs(1) {
            self.looked = Instant::now();
            self.ports.none_left();
            self.remember();
        }
    }

    fn change(&mut self, settings: Settings) {
        if settings.options != self.settings.options || settings.metrics != self.settings.metrics {
            eprintln!(
                "warning: workers, buffers, limits and the address of metrics change for ports that are opened anew; restart \
                 to change them for all"
            );
        }
        self.remember();
        for failed in self.ports.change(&settings) {
            eprintln!("warning: {failed}");
        }
        self.settings = settings;
        eprintln!("configuration read again");
    }

    /// Writes what exporters said about their records, when it has changed.
    fn remember(&mut self) {
        let now: Vec<Remembered> = self.ports.remembered();
        if now.is_empty() || now == self.written {
            return;
        }
        match templates::write(&self.settings.templates, &now) {
            Ok(()) => self.written = now,
            Err(error) => {
                eprintln!("warning: cannot write `{}`: {error}", self.settings.templates.display());
                // Once is enough; a change will be tried again.
                self.written = now;
            }
        }
    }
}

/// The system's clock.
fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}
