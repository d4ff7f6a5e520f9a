//! What DHCP servers have in common: leases of one address follow each other.

use model::{AddressClaim, Ip, Labels, Micros};

use crate::connector::{Sighting, Sink};
use crate::records::mac_key;
use crate::row::Place;

/// Who leases: what stays of a client.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Client {
    /// Hardware address as `mac:..`.
    pub(crate) mac: Option<String>,
    /// Client identifier or DUID in lower-case hexadecimal, two digits an octet, without separators.
    pub(crate) identifier: Option<String>,
}

impl Client {
    /// From texts as servers write them. An identifier of hardware type 1 holds the hardware address.
    pub(crate) fn of(hardware: &str, identifier: &str) -> Self {
        let hex: String =
            identifier.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase();
        let within = hex.strip_prefix("01").filter(|rest| rest.len() == 12).and_then(mac_key);
        let identifier = (!hex.is_empty() && hex.len() <= 260).then_some(hex);
        Self { mac: mac_key(hardware).or(within), identifier }
    }

    fn keys(&self) -> Vec<String> {
        let identifier = self.identifier.as_ref().map(|id| format!("client-id:{id}"));
        self.mac.iter().cloned().chain(identifier).collect()
    }
}

/// One lease as the server wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Lease {
    pub(crate) ip: Ip,
    pub(crate) client: Client,
    pub(crate) from: Micros,
    /// `Micros::MAX` for ever.
    pub(crate) to: Micros,
    pub(crate) hostname: String,
    pub(crate) place: Place,
}

/// The leases in the order in which they were written. A server gives an address to one client at a time: what it gave to
/// the next ended then, whatever the lease had promised. The word on one lease that was written last counts.
pub(crate) fn take(leases: Vec<Lease>, scope: &str, sink: &mut Sink) {
    let mut numbered: Vec<(usize, Lease)> = leases.into_iter().enumerate().collect();
    numbered.sort_by(|(m, a), (n, b)| (a.ip, a.from, m).cmp(&(b.ip, b.from, n)));
    let mut last: Vec<Lease> = Vec::with_capacity(numbered.len());
    for (_, lease) in numbered {
        let before = last.last_mut().filter(|before| before.ip == lease.ip);
        match before {
            Some(before) if before.from == lease.from && before.client == lease.client => *before = lease,
            // A renewal, or another client: what the lease before had promised is over.
            Some(before) => {
                before.to = before.to.min(lease.from);
                last.push(lease);
            }
            None => last.push(lease),
        }
    }
    for lease in last.into_iter().filter(|lease| lease.from < lease.to) {
        let keys = lease.client.keys();
        let Some(id) = keys.first().cloned() else {
            sink.skip("leases of nobody");
            continue;
        };
        let claims = vec![AddressClaim { ip: lease.ip, from: lease.from, to: lease.to }];
        let name = Some(lease.hostname).filter(|name| !name.is_empty());
        let labels = Labels::new();
        let (scope, seen) = (scope.to_owned(), lease.from);
        sink.sight(
            Sighting { id, name, keys, scope, labels, claims, seen, ..Sighting::default() },
            lease.place,
        );
    }
}
