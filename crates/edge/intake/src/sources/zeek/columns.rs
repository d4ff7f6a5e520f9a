//! The header of a tab-separated log: which column is which field.

/// What a log's header lines say.
pub(super) struct Columns {
    pub(super) separator: u8,
    unset: Vec<u8>,
    empty: Vec<u8>,
    pub(super) fields: Vec<Option<Field>>,
    /// Whether the names were said, and suffice.
    pub(super) named: bool,
    pub(super) log: Log,
}

/// Which of Zeek's logs this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Log {
    Conn,
    /// How much of the traffic Zeek missed.
    CaptureLoss,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            separator: b'\t',
            unset: b"-".to_vec(),
            empty: b"(empty)".to_vec(),
            fields: Vec::new(),
            named: false,
            log: Log::Conn,
        }
    }
}

impl Columns {
    /// Whether a value is neither the mark of an unset field nor that of an empty one.
    pub(super) fn is_set(&self, value: &[u8]) -> bool {
        // Asked of every value; the first byte nearly always answers.
        let first = value.first();
        !(first == self.unset.first() && value == self.unset
            || first == self.empty.first() && value == self.empty)
    }

    /// Reads a line that starts with `#`. Lines that say nothing here are skipped.
    pub(super) fn header(&mut self, line: &[u8], number: u64) -> Result<(), String> {
        if let Some(code) = line.strip_prefix(b"#separator ") {
            // The first line of a log: logs that were joined to one file each bring their own header.
            *self = Self::default();
            self.separator = unescape(code)
                .ok_or_else(|| "expected `#separator` with one character such as `\\x09`".to_owned())?;
            return Ok(());
        }
        let mut parts = line.split(|byte| *byte == self.separator);
        match parts.next() {
            Some(b"#unset_field") => self.unset = parts.next().unwrap_or_default().to_vec(),
            Some(b"#empty_field") => self.empty = parts.next().unwrap_or_default().to_vec(),
            Some(b"#path") => self.log = log(parts.next().unwrap_or_default())?,
            Some(b"#fields") => {
                self.fields = parts.map(field).collect();
                self.named = self.suffices();
                if !self.named {
                    return Err(format!(
                        "line {number} names no `ts`, `id.orig_h` and `id.resp_h`; expected a conn.log with its addresses"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes a line of names without a mark before it, as `zeek-cut -m` leaves in place of the header.
    pub(super) fn bare_names(&mut self, line: &[u8]) -> bool {
        if !line.windows(7).any(|name| name == b".orig_h" || name == b"_orig_h") {
            return false;
        }
        self.fields = line.split(|byte| *byte == self.separator).map(field).collect();
        let has = |wanted| self.fields.contains(&Some(wanted));
        self.named = self.suffices() && (has(Field::Protocol) || has(Field::ProtocolNumber));
        self.named
    }

    fn suffices(&self) -> bool {
        let has = |wanted| self.fields.contains(&Some(wanted));
        match self.log {
            Log::Conn => has(Field::Source) && has(Field::Destination) && has(Field::Time),
            Log::CaptureLoss => has(Field::Time) && has(Field::PercentLost),
        }
    }
}

/// The log of a path. Sites cut conn.log into several by filters, and name these as they like: `conn-http`.
pub(super) fn log(path: &[u8]) -> Result<Log, String> {
    match path {
        b"conn_long" | b"conn-long" => {
            Err("this is Zeek's log `conn_long`, which repeats connections of conn.log while they \
                                            go on; read conn.log"
                .to_owned())
        }
        path if path.starts_with(b"conn") => Ok(Log::Conn),
        b"capture_loss" => Ok(Log::CaptureLoss),
        path => Err(format!("this is Zeek's log `{}`; expected `conn`", String::from_utf8_lossy(path))),
    }
}

/// The character of `\x09` or of a single byte.
fn unescape(code: &[u8]) -> Option<u8> {
    match code {
        [byte] => Some(*byte),
        [b'\\', b'x', high, low] => u8::from_str_radix(std::str::from_utf8(&[*high, *low]).ok()?, 16).ok(),
        _ => None,
    }
}

/// The fields that matter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Time,
    Source,
    SourcePort,
    Destination,
    DestinationPort,
    Protocol,
    ProtocolNumber,
    Service,
    Duration,
    Bytes,
    ReverseBytes,
    IpBytes,
    ReverseIpBytes,
    Packets,
    ReversePackets,
    State,
    History,
    System,
    /// Which log a JSON record is of, where several are in one stream.
    Path,
    /// Of capture_loss.log: how long the record looks back.
    Span,
    PercentLost,
}

pub(super) const FIELDS: usize = 21;

/// The longest name of a field that matters.
const NAME_BYTES: usize = 16;

/// The field of a name, whatever character stands between its parts. Sites rename the `id` record to what their other
/// tools say.
pub(super) fn field(name: &[u8]) -> Option<Field> {
    let mut plain = [0; NAME_BYTES];
    let plain = plain.get_mut(..name.len())?;
    for (to, from) in plain.iter_mut().zip(name) {
        *to = if from.is_ascii_alphanumeric() { from.to_ascii_lowercase() } else { b'_' };
    }
    Some(match &*plain {
        b"ts" => Field::Time,
        b"id_orig_h" | b"orig_h" | b"src" | b"src_ip" | b"source_ip" => Field::Source,
        b"id_orig_p" | b"orig_p" | b"src_port" | b"source_port" => Field::SourcePort,
        b"id_resp_h" | b"resp_h" | b"dst" | b"dst_ip" | b"dest_ip" | b"destination_ip" => Field::Destination,
        b"id_resp_p" | b"resp_p" | b"dst_port" | b"dest_port" | b"destination_port" => Field::DestinationPort,
        b"proto" => Field::Protocol,
        b"ip_proto" => Field::ProtocolNumber,
        b"service" => Field::Service,
        b"duration" => Field::Duration,
        b"orig_bytes" => Field::Bytes,
        b"resp_bytes" => Field::ReverseBytes,
        b"orig_ip_bytes" => Field::IpBytes,
        b"resp_ip_bytes" => Field::ReverseIpBytes,
        b"orig_pkts" => Field::Packets,
        b"resp_pkts" => Field::ReversePackets,
        b"conn_state" => Field::State,
        b"history" => Field::History,
        b"_system_name" => Field::System,
        b"_path" => Field::Path,
        b"ts_delta" => Field::Span,
        b"percent_lost" => Field::PercentLost,
        _ => return None,
    })
}
