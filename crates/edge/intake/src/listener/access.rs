//! Whom flows are taken from.

use std::sync::{Arc, PoisonError, RwLock};

use netset::{Ip, IpSet};

/// The exporters that are listened to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Allowed {
    /// Everybody who reaches the port.
    #[default]
    Any,
    /// These addresses.
    Only(IpSet),
}

impl Allowed {
    /// Whether an exporter is listened to.
    pub fn allows(&self, exporter: Ip) -> bool {
        match self {
            Self::Any => true,
            Self::Only(set) => set.contains(exporter),
        }
    }
}

/// What is allowed now; it may change while listeners run.
#[derive(Debug, Default)]
pub struct Access(RwLock<Arc<Allowed>>);

impl Access {
    /// Allows these, from now on.
    pub fn new(allowed: Allowed) -> Self {
        Self(RwLock::new(Arc::new(allowed)))
    }

    /// Allows others; listeners hear of it within about a second.
    pub fn set(&self, allowed: Allowed) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(allowed);
    }

    /// Who is allowed now.
    pub fn get(&self) -> Arc<Allowed> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
