//! The listeners that run, and how they change when the configuration does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use intake::{Access, Listener, Outlet, Reception, Summary};

use super::settings::{Port, Settings};
use super::templates::{self, Remembered};

/// What is listened to now; shared with whoever shows counters.
#[derive(Clone)]
pub(super) struct Ports {
    running: Arc<Mutex<Running>>,
    access: Arc<Access>,
    outlet: Outlet,
}

#[derive(Default)]
struct Running {
    open: Vec<(Port, Listener)>,
    /// Told to stop; what they still hold comes through the queue.
    leaving: Vec<(Port, Listener)>,
    /// What those received that have ended, and what they remembered last.
    ended: Summary,
    remembered: Vec<Remembered>,
}

impl Ports {
    pub(super) fn new(outlet: Outlet) -> Self {
        Self { running: Arc::default(), access: Arc::default(), outlet }
    }

    /// Listens to what the settings say and to nothing else; ports that stay keep their sockets, so that nothing is lost.
    /// What could not be listened to, with the others open.
    pub(super) fn change(&self, settings: &Settings) -> Vec<String> {
        self.access.set(settings.allowed.clone());
        let mut running = self.lock();
        let open = std::mem::take(&mut running.open);
        let (stay, leave) = open.into_iter().partition(|(port, _)| settings.ports.contains(port));
        running.open = stay;
        for (port, listener) in leave as Vec<(Port, Listener)> {
            eprintln!("no longer listening to {port}");
            listener.stop();
            running.leaving.push((port, listener));
        }
        let known = templates::read(&settings.templates);
        let mut failed = Vec::new();
        for port in &settings.ports {
            if running.open.iter().any(|(open, _)| open == port) {
                continue;
            }
            let states = known.iter().filter(|state| state.port == port.to_string());
            let states: Vec<Vec<u8>> = states.flat_map(|state| state.states.clone()).collect();
            let (options, access) = (settings.options, &self.access);
            match Listener::open(port.kind, port.address, options, access, &self.outlet, &states) {
                Ok(listener) => {
                    announce(&listener);
                    running.open.push((*port, listener));
                }
                Err(error) => failed.push(error.to_string()),
            }
        }
        failed
    }

    /// Tells all to stop.
    pub(super) fn stop(&self) {
        let mut running = self.lock();
        for (port, listener) in std::mem::take(&mut running.open) {
            listener.stop();
            running.leaving.push((port, listener));
        }
    }

    /// Lays those to rest that have come to their end; whether none is left.
    pub(super) fn none_left(&self) -> bool {
        let mut running = self.lock();
        let leaving = std::mem::take(&mut running.leaving).into_iter();
        let (ended, leaving) = leaving.partition(|(_, listener)| listener.ended());
        running.leaving = leaving;
        for (port, listener) in ended as Vec<(Port, Listener)> {
            let last = listener.finish();
            running.ended.merge(&last.summary);
            running.remembered.retain(|known| known.port != port.to_string());
            running.remembered.push(Remembered { port: port.to_string(), states: last.states });
        }
        running.open.is_empty() && running.leaving.is_empty()
    }

    /// What each open port received.
    pub(super) fn receptions(&self) -> Vec<(Port, Reception)> {
        self.lock().open.iter().map(|(port, listener)| (*port, listener.status())).collect()
    }

    /// What the threads of each port remember, open or closed; ports without anything to remember are left out.
    pub(super) fn remembered(&self) -> Vec<Remembered> {
        let running = self.lock();
        let open = running.open.iter().map(|(port, listener)| Remembered {
            port: port.to_string(),
            states: listener.status().states,
        });
        let mut all: Vec<Remembered> = open.collect();
        let closed = running.remembered.iter().filter(|closed| all.iter().all(|open| open.port != closed.port));
        let closed: Vec<Remembered> = closed.cloned().collect();
        all.extend(closed);
        all.retain(|port| port.states.iter().any(|state| !state.is_empty()));
        all
    }

    /// What was received and lost over all ports, those that were closed included.
    pub(super) fn summary(&self) -> Summary {
        let running = self.lock();
        let mut all = running.ended.clone();
        running.open.iter().for_each(|(_, listener)| all.merge(&listener.status().summary));
        all
    }

    /// What waits to be taken out of the queue.
    pub(super) fn queue_depth(&self) -> usize {
        self.outlet.depth()
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn announce(listener: &Listener) {
    let (kind, address) = (listener.kind(), listener.address());
    eprintln!(
        "listening for {} on {} {address}; Ctrl-C stops and stores what was received",
        kind.name,
        kind.transport.name()
    );
    if !address.ip().is_loopback() {
        eprintln!("warning: flow exports carry no authentication; only trusted exporters should reach {address}");
    }
}
