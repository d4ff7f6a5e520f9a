//! The header of a tab-separated log: which column is which field.

/// What a log's header lines say.
pub(super) struct Columns {
    pub(super) separator: u8,
    unset: Vec<u8>,
    empty: Vec<u8>,
    pub(super) fields: Vec<Option<Field>>,
    /// Whether there was a `#fields` line with both addresses.
    pub(super) names: bool,
    pub(super) is_conn: bool,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            separator: b'\t',
            unset: b"-".to_vec(),
            empty: b"(empty)".to_vec(),
            fields: Vec::new(),
            names: false,
            is_conn: true,
        }
    }
}

impl Columns {
    /// Whether a value is neither the mark of an unset field nor that of an empty one.
    pub(super) fn is_set(&self, value: &str) -> bool {
        value.as_bytes() != self.unset && value.as_bytes() != self.empty
    }

    /// Reads a line that starts with `#`. Lines that say nothing here are skipped.
    pub(super) fn header(&mut self, line: &[u8], number: u64) -> Result<(), String> {
        if let Some(code) = line.strip_prefix(b"#separator ") {
            self.separator = unescape(code)
                .ok_or_else(|| "expected `#separator` with one character such as `\\x09`".to_owned())?;
            return Ok(());
        }
        let mut parts = line.split(|byte| *byte == self.separator);
        match parts.next() {
            Some(b"#unset_field") => self.unset = parts.next().unwrap_or_default().to_vec(),
            Some(b"#empty_field") => self.empty = parts.next().unwrap_or_default().to_vec(),
            Some(b"#path") => {
                let path = parts.next().unwrap_or_default();
                self.is_conn = path.starts_with(b"conn");
                if !self.is_conn {
                    let path = String::from_utf8_lossy(path);
                    return Err(format!("this is Zeek's log `{path}`; expected `conn`"));
                }
            }
            Some(b"#fields") => {
                self.fields = parts.map(|name| field(&String::from_utf8_lossy(name))).collect();
                let has = |wanted| self.fields.contains(&Some(wanted));
                self.names = has(Field::Source) && has(Field::Destination) && has(Field::Time);
                if !self.names {
                    return Err(format!(
                        "line {number} names no `ts`, `id.orig_h` and `id.resp_h`; expected a conn.log with its addresses"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
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
}

pub(super) const FIELDS: usize = 18;

/// The field of a name, whatever character stands between its parts. Sites rename the `id` record to what their other
/// tools say.
pub(super) fn field(name: &str) -> Option<Field> {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    Some(match plain.as_str() {
        "ts" => Field::Time,
        "id_orig_h" | "orig_h" | "src" | "src_ip" | "source_ip" => Field::Source,
        "id_orig_p" | "orig_p" | "src_port" | "source_port" => Field::SourcePort,
        "id_resp_h" | "resp_h" | "dst" | "dst_ip" | "dest_ip" | "destination_ip" => Field::Destination,
        "id_resp_p" | "resp_p" | "dst_port" | "dest_port" | "destination_port" => Field::DestinationPort,
        "proto" => Field::Protocol,
        "ip_proto" => Field::ProtocolNumber,
        "service" => Field::Service,
        "duration" => Field::Duration,
        "orig_bytes" => Field::Bytes,
        "resp_bytes" => Field::ReverseBytes,
        "orig_ip_bytes" => Field::IpBytes,
        "resp_ip_bytes" => Field::ReverseIpBytes,
        "orig_pkts" => Field::Packets,
        "resp_pkts" => Field::ReversePackets,
        "conn_state" => Field::State,
        "history" => Field::History,
        "_system_name" => Field::System,
        _ => return None,
    })
}
