//! Orientation against a third party's word: what softflowd exported of Zeek's own test traces, judged by Zeek's
//! conn.log of the same traces. Each trace is its own network, so the service table starts empty for each.

use std::collections::BTreeMap;
use std::path::Path;

use converse::{ServiceTable, orient};
use model::{Client, FlowBatch, Ip, Protocol};

/// (low end, high end, protocol) to whether the low end opened; `None` when connections both ways were logged.
type Truth = BTreeMap<((Ip, u16), (Ip, u16), u8), Option<bool>>;

#[derive(Default)]
struct Score {
    right: u32,
    wrong: u32,
    unknown: u32,
    /// Of these, with different ports: what a rule by port would have stated.
    unknown_by_choice: u32,
    /// Sum of the confidences of what was stated, and of the squared errors.
    confidence: f64,
    brier: f64,
    /// By tenths of confidence from 0.5: stated and right.
    bins: [(u32, u32); 5],
    lower_port_right: u32,
    lower_port_wrong: u32,
    ports_differ_right: u32,
}

#[test]
fn directions_agree_with_zeek() {
    let Some(folder) = testkit::shared("data/flow/softflowd-over-zeek-traces") else { return };
    let mut total = Score::default();
    let mut traces = 0;
    for log in find(&folder, "zeek-conn.log") {
        let truth = truth(&std::fs::read_to_string(&log).unwrap());
        let before = total.right + total.wrong + total.unknown;
        for format in ["v5.pcap", "v9.pcap", "ipfix.pcap"] {
            judge(&log.with_file_name(format), &truth, &mut total);
        }
        traces += u32::from(total.right + total.wrong + total.unknown > before);
    }
    let stated = total.right + total.wrong;
    let accuracy = f64::from(total.right) / f64::from(stated);
    let share = f64::from(stated) / f64::from(stated + total.unknown);
    let ports = total.lower_port_right + total.lower_port_wrong;
    println!("{traces} traces, {} flow records that Zeek logged too", stated + total.unknown);
    println!("stated: {stated} ({:.1}%), of these right: {:.2}%", 100.0 * share, 100.0 * accuracy);
    println!(
        "mean confidence {:.4}, Brier {:.4}",
        total.confidence / f64::from(stated),
        total.brier / f64::from(stated)
    );
    for (bin, (count, right)) in total.bins.iter().enumerate().filter(|(_, (count, _))| *count > 0) {
        let low = 0.5 + bin as f64 / 10.0;
        println!(
            "  confidence {low:.1}-{:.1}: {count} stated, {:.1}% right",
            low + 0.1,
            100.0 * f64::from(*right) / f64::from(*count)
        );
    }
    println!(
        "lower port as server, where ports differ: {:.2}% right of {ports}",
        100.0 * f64::from(total.lower_port_right) / f64::from(ports)
    );
    // A denominator that abstaining does not shrink: an answer withheld counts as not right.
    println!(
        "right of all records: {:.2}%; withheld although ports differ: {}",
        100.0 * f64::from(total.right) / f64::from(stated + total.unknown),
        total.unknown_by_choice
    );
    // Decidable: the ports differ. All of them were right when this was written; 26 conversations in three formats.
    let decidable = f64::from(total.ports_differ_right) / f64::from(ports);
    println!("right of those whose ports differ: {:.2}%", 100.0 * decidable);
    assert!(stated > 100, "only {stated} flow records were judged");
    assert!(decidable >= 0.97, "{decidable}");
    assert!(accuracy >= 0.95, "{accuracy}");
    assert!(share >= 0.8, "{share}");
}

fn judge(path: &Path, truth: &Truth, score: &mut Score) {
    let Ok(input) = intake::Input::file(path) else { return };
    let Ok(mut reader) = intake::open("auto", input) else { return };
    let mut batch = FlowBatch::new(reader.source());
    while reader.read(&mut batch).unwrap_or(false) {}
    let mut table = ServiceTable::new();
    table.learn(&batch);
    orient(&mut batch, &table);
    for row in 0..batch.len() {
        let src = (batch.src[row], batch.src_port[row]);
        let dst = (batch.dst[row], batch.dst_port[row]);
        let key = (src.min(dst), src.max(dst), batch.protocol[row]);
        let Some(Some(low_opens)) = truth.get(&key) else { continue };
        let source_opens = *low_opens == (src < dst);
        if src.1 != dst.1 {
            let right = (dst.1 < src.1) == source_opens;
            score.lower_port_right += u32::from(right);
            score.lower_port_wrong += u32::from(!right);
        }
        let right = match batch.client[row] {
            Client::Unknown => {
                score.unknown += 1;
                score.unknown_by_choice += u32::from(src.1 != dst.1);
                continue;
            }
            Client::Src => source_opens,
            Client::Dst => !source_opens,
        };
        let confidence = f64::from(batch.client_confidence[row]);
        score.confidence += confidence;
        score.brier += (confidence - f64::from(u8::from(right))).powi(2);
        let bin = &mut score.bins[(((confidence - 0.5) * 10.0) as usize).min(4)];
        *bin = (bin.0 + 1, bin.1 + u32::from(right));
        score.ports_differ_right += u32::from(right && src.1 != dst.1);
        if right { score.right += 1 } else { score.wrong += 1 }
    }
}

/// TCP and UDP connections of a conn.log in Zeek's own format.
fn truth(log: &str) -> Truth {
    let mut columns: Vec<&str> = Vec::new();
    let mut truth = Truth::new();
    for line in log.lines() {
        if let Some(names) = line.strip_prefix("#fields\t") {
            columns = names.split('\t').collect();
        }
        if line.starts_with('#') {
            continue;
        }
        let values: Vec<&str> = line.split('\t').collect();
        let field =
            |name: &str| columns.iter().position(|c| *c == name).and_then(|at| values.get(at).copied());
        let end = |side: &str| -> Option<(Ip, u16)> {
            Some((
                field(&format!("id.{side}_h"))?.parse().ok()?,
                field(&format!("id.{side}_p"))?.parse().ok()?,
            ))
        };
        let protocol = match field("proto") {
            Some("tcp") => Protocol::TCP.0,
            Some("udp") => Protocol::UDP.0,
            _ => continue,
        };
        let (Some(client), Some(server)) = (end("orig"), end("resp")) else { continue };
        let known = truth.entry((client.min(server), client.max(server), protocol));
        known
            .and_modify(|opens| *opens = opens.filter(|low| *low == (client < server)))
            .or_insert(Some(client < server));
    }
    truth
}

fn find(folder: &Path, name: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|file| file == name) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
