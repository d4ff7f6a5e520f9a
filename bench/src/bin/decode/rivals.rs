//! Other decoders on the same capture.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::Command;

use netflow_parser::variable_versions::field_value::FieldValue;
use netflow_parser::variable_versions::ipfix::lookup::{IANAIPFixField, IPFixField};
use netflow_parser::variable_versions::v9::lookup::V9Field;
use netflow_parser::variable_versions::{ipfix, v9};
use netflow_parser::{NetflowPacket, NetflowParser};

use crate::{Failure, cpu_seconds};

/// CPU seconds of the crate `netflow_parser` from the capture's packets to its own records. Of those only the bytes are
/// looked at, to see that all were decoded: turning them into flows is left out, in its favour.
pub(crate) fn netflow_parser(capture: &Path, records: usize) -> Result<f64, Failure> {
    let before = cpu_seconds(false)?;
    let mut file = BufReader::with_capacity(1 << 20, File::open(capture)?);
    file.read_exact(&mut [0; 24])?;
    let (mut header, mut packet) = ([0; 16], Vec::new());
    let mut parser = NetflowParser::default();
    let (mut count, mut checksum) = (0, 0);
    while file.read_exact(&mut header).is_ok() {
        packet.resize(u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize, 0);
        file.read_exact(&mut packet)?;
        // Raw IPv4 and UDP, as written here.
        let result = parser.parse_bytes(&packet[28..]);
        if let Some(error) = result.error {
            return Err(format!("netflow_parser: {error}").into());
        }
        for parsed in &result.packets {
            let (more, bytes) = match parsed {
                NetflowPacket::V9(message) => sum_v9(message),
                NetflowPacket::IPFix(message) => sum_ipfix(message),
                _ => (0, 0),
            };
            count += more;
            checksum += bytes;
        }
    }
    let spent = cpu_seconds(false)? - before;
    if count != records || checksum == 0 {
        return Err(format!("netflow_parser decoded {count} of {records} records").into());
    }
    Ok(spent)
}

fn sum_v9(message: &v9::V9) -> (usize, u64) {
    let mut sum = (0, 0);
    for set in &message.flowsets {
        if let v9::FlowSetBody::Data(data) = &set.body {
            sum.0 += data.fields.len();
            let bytes = data.fields.iter().flatten().filter(|(field, _)| *field == V9Field::InBytes);
            sum.1 += bytes.map(|(_, value)| number(value)).sum::<u64>();
        }
    }
    sum
}

fn sum_ipfix(message: &ipfix::IPFix) -> (usize, u64) {
    const BYTES: IPFixField = IPFixField::IANA(IANAIPFixField::OctetDeltaCount);
    let mut sum = (0, 0);
    for set in &message.flowsets {
        if let ipfix::FlowSetBody::Data(data) = &set.body {
            sum.0 += data.fields.len();
            let bytes = data.fields.iter().flatten().filter(|(field, _)| *field == BYTES);
            sum.1 += bytes.map(|(_, value)| number(value)).sum::<u64>();
        }
    }
    sum
}

fn number(value: &FieldValue) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// CPU seconds of a program that is given the capture and prints how many records it decoded.
pub(crate) fn program(program: &str, capture: &Path, records: usize) -> Result<f64, Failure> {
    let before = cpu_seconds(true)?;
    let output = Command::new(program).arg(capture).output()?;
    let spent = cpu_seconds(true)? - before;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || text.trim().parse::<usize>().ok() != Some(records) {
        return Err(format!("`{program}` printed `{}`, {}", text.trim(), output.status).into());
    }
    Ok(spent)
}
