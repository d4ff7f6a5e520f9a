//! Traffic whose initiator somebody else wrote down, with the direction hidden from us.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use model::{Client, Flow, FlowBatch, Ip, Protocol};

/// Addresses and ports of both ends, and the protocol.
pub type Tuple = (Ip, u16, Ip, u16, u8);

/// One network for a while, as one exporter would tell of it.
pub struct Network {
    /// Where the truth comes from.
    pub family: &'static str,
    /// The trace, log or scenario.
    pub name: String,
    /// Networks of one group saw some of the same connections: they are never split between fitting and judging.
    pub group: usize,
    /// Flows without a client.
    pub flows: FlowBatch,
    /// By row: whether the source opened, where somebody surely knows.
    pub truth: Vec<Option<bool>>,
}

/// Sure enough to judge by: what stateful sources say of themselves where they saw the first packet.
const SURE: f32 = 0.9;

/// Every data set below a folder laid out as `flow/` and `ml/`, and the lab's recording, sorted, with groups.
pub fn load(data: &Path, recording: &Path) -> Vec<Network> {
    let mut networks = Vec::new();
    softflowd(&data.join("flow/softflowd-over-zeek-traces"), &mut networks);
    for path in files(&data.join("flow/zeek/Baseline")) {
        stateful("zeek-logs", &path, &mut networks);
    }
    for name in ["ctu_sme11_sample/conn.log.labeled.gz", "otrf_lateral/apt29_day1_NASHUA_conn.jsonl.gz"] {
        stateful("zeek-sites", &data.join("ml").join(name), &mut networks);
    }
    for name in ["conntrack", "azure-docs", "cilium-hubble", "tenzir-library"] {
        for path in files(&data.join("flow").join(name)) {
            stateful("stateful-samples", &path, &mut networks);
        }
    }
    scenarios(&data.join("ml/otrf_lateral/flows.csv.gz"), &mut networks);
    lab(recording, &mut networks);
    networks.retain(|network| network.truth.iter().any(Option::is_some));
    group(&mut networks);
    networks
}

/// softflowd's exports of captures, and Zeek's log of the same captures.
fn softflowd(folder: &Path, networks: &mut Vec<Network>) {
    for log in files(folder).into_iter().filter(|path| path.ends_with("zeek-conn.log")) {
        let Some(logged) = read(&log) else { continue };
        let truth = opened(&logged);
        for format in ["v5.pcap", "v9.pcap", "ipfix.pcap"] {
            let path = log.with_file_name(format);
            let Some(flows) = read(&path) else { continue };
            judged("softflowd", path.display().to_string(), flows, &truth, networks);
        }
    }
}

/// What each connection's opener is; none where connections both ways are known, or somebody guessed.
fn opened(logged: &FlowBatch) -> HashMap<Tuple, Option<bool>> {
    let mut truth: HashMap<Tuple, Option<bool>> = HashMap::new();
    for row in 0..logged.len() {
        let (key, turned) = unordered(tuple(logged, row));
        let sure = logged.client_confidence[row] >= SURE && logged.client[row] != Client::Unknown;
        let says = sure.then_some((logged.client[row] == Client::Src) != turned);
        truth.entry(key).and_modify(|known| *known = known.filter(|k| Some(*k) == says)).or_insert(says);
    }
    truth
}

fn judged(
    family: &'static str,
    name: String,
    mut flows: FlowBatch,
    truth: &HashMap<Tuple, Option<bool>>,
    networks: &mut Vec<Network>,
) {
    let truth = (0..flows.len())
        .map(|row| {
            let (key, turned) = unordered(tuple(&flows, row));
            truth.get(&key).copied().flatten().map(|opens| opens != turned)
        })
        .collect();
    flows.client.fill(Client::Unknown);
    flows.client_confidence.fill(0.0);
    networks.push(Network { family, name, group: 0, flows, truth });
}

/// A stateful source: each record becomes the two halves that a stateless exporter would have told of.
fn stateful(family: &'static str, path: &Path, networks: &mut Vec<Network>) {
    if let Some(told) = read(path) {
        halves(family, path.display().to_string(), &told, networks);
    }
}

fn halves(family: &'static str, name: String, told: &FlowBatch, networks: &mut Vec<Network>) {
    let (mut flows, mut truth) = (FlowBatch::new(told.source), Vec::new());
    for row in 0..told.len() {
        let flow = told.get(row);
        let sure = flow.client != Client::Unknown && flow.client_confidence >= SURE;
        let opens = sure.then_some(flow.client == Client::Src);
        let kept = FlowBatch::HAS_PORTS | FlowBatch::HAS_ICMP | FlowBatch::HAS_COUNTS;
        let there = Flow {
            client: Client::Unknown,
            client_confidence: 0.0,
            reverse_packets: 0,
            reverse_bytes: 0,
            tcp_flags: 0,
            present: flow.present & kept,
            exporter: 0,
            ..flow.clone()
        };
        let answered = flow.present & FlowBatch::HAS_REVERSE != 0 && flow.reverse_packets > 0;
        if answered && Protocol(flow.protocol).has_ports() {
            flows.push(Flow {
                src: flow.dst,
                dst: flow.src,
                src_port: flow.dst_port,
                dst_port: flow.src_port,
                packets: flow.reverse_packets,
                bytes: flow.reverse_bytes,
                ..there.clone()
            });
            truth.push(opens.map(|opens| !opens));
        }
        flows.push(there);
        truth.push(opens);
    }
    networks.push(Network { family, name, group: 0, flows, truth });
}

/// Windows hosts' own word (Sysmon event 3 and event 5156) in recorded attack scenarios, one network each.
fn scenarios(path: &Path, networks: &mut Vec<Network>) {
    let Some(text) = unpacked(path) else { return };
    let mut by_name: BTreeMap<String, FlowBatch> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let values: Vec<&str> = line.split(',').collect();
        let [scenario, _, _, source, src, from, _, dst, to, _, protocol, direction, ..] = values[..] else {
            continue;
        };
        let ends = (src.parse::<Ip>().ok(), dst.parse::<Ip>().ok(), from.parse().ok(), to.parse().ok());
        let (Some(src), Some(dst), Some(from), Some(to)) = ends else { continue };
        let protocol = match (source, protocol) {
            (_, "tcp" | "6") => 6,
            // Sysmon takes the sender of any datagram for the initiator.
            ("wfp5156", "17") => 17,
            _ => continue,
        };
        // A listener's own word about a group's datagram names its own address; nothing to judge.
        if direction == "in" && src.to_std().is_loopback() && !dst.to_std().is_loopback() {
            continue;
        }
        let client = Client::Src;
        let (packets, present) = (1, FlowBatch::HAS_PORTS | FlowBatch::HAS_REVERSE);
        let flow = Flow {
            src,
            dst,
            src_port: from,
            dst_port: to,
            protocol,
            client,
            client_confidence: 1.0,
            packets,
            reverse_packets: u64::from(protocol == 6),
            present,
            sampling: 1,
            ..Flow::default()
        };
        by_name.entry(scenario.to_owned()).or_insert_with(|| FlowBatch::new("windows")).push(flow);
    }
    for (name, told) in by_name {
        halves("windows-scenarios", name, &told, networks);
    }
}

/// The lab's recording: what the clients' kernels saw, and what softflowd told.
fn lab(folder: &Path, networks: &mut Vec<Network>) {
    let Some(truth) =
        std::fs::read_to_string(folder.join("truth.json")).ok().and_then(|text| lab_truth(&text))
    else {
        return;
    };
    for name in ["netflow-v9.pcap", "ipfix.pcap"] {
        if let Some(flows) = read(&folder.join(name)) {
            judged("lab", name.to_owned(), flows, &truth, networks);
        }
    }
}

fn lab_truth(text: &str) -> Option<HashMap<Tuple, Option<bool>>> {
    let all: serde_json::Value = serde_json::from_str(text).ok()?;
    let conversations = all["conversations"].as_array()?;
    let mut truth = HashMap::new();
    for started in all["started"].as_array()? {
        let about = &conversations[usize::try_from(started[1].as_u64()?).ok()?];
        let protocol = match about["service"].as_str()?.split('/').next()? {
            "tcp" => 6,
            "udp" => 17,
            _ => continue,
        };
        let end = |name: &str| about[name].as_str().and_then(|ip| ip.parse::<Ip>().ok());
        let port = |at: usize| started[at].as_u64().and_then(|port| u16::try_from(port).ok());
        let (Some(client), Some(server), Some(from), Some(to)) =
            (end("client_ip"), end("server_ip"), port(2), port(3))
        else {
            continue;
        };
        let (key, turned) = unordered((client, from, server, to, protocol));
        let says = Some(!turned);
        truth
            .entry(key)
            .and_modify(|known: &mut Option<bool>| *known = known.filter(|k| Some(*k) == says))
            .or_insert(says);
    }
    Some(truth)
}

fn tuple(flows: &FlowBatch, row: usize) -> Tuple {
    (flows.src[row], flows.src_port[row], flows.dst[row], flows.dst_port[row], flows.protocol[row])
}

/// The tuple in one order for both directions, and whether it was turned for that.
pub fn unordered((src, from, dst, to, protocol): Tuple) -> (Tuple, bool) {
    if (src, from) <= (dst, to) {
        ((src, from, dst, to, protocol), false)
    } else {
        ((dst, to, src, from, protocol), true)
    }
}

/// Joins networks that share a connection, so that what was seen in fitting is not judged.
fn group(networks: &mut [Network]) {
    let mut parent: Vec<usize> = (0..networks.len()).collect();
    fn root(parent: &mut [usize], mut at: usize) -> usize {
        while parent[at] != at {
            parent[at] = parent[parent[at]];
            at = parent[at];
        }
        at
    }
    let mut first: HashMap<Tuple, usize> = HashMap::new();
    for (at, network) in networks.iter().enumerate() {
        for row in 0..network.flows.len() {
            let other = *first.entry(unordered(tuple(&network.flows, row)).0).or_insert(at);
            let (a, b) = (root(&mut parent, at), root(&mut parent, other));
            parent[a.max(b)] = a.min(b);
        }
    }
    for (at, network) in networks.iter_mut().enumerate() {
        network.group = root(&mut parent, at);
    }
}

fn read(path: &Path) -> Option<FlowBatch> {
    let input = if path.extension().is_some_and(|e| e == "gz") {
        intake::Input::new("input", std::io::Cursor::new(unpacked(path)?.into_bytes()))
    } else {
        intake::Input::file(path).ok()?
    };
    let mut reader = intake::open("auto", input).ok()?;
    let mut batch = FlowBatch::new(reader.source());
    while reader.read(&mut batch).unwrap_or(false) {}
    (!batch.is_empty()).then_some(batch)
}

fn unpacked(path: &Path) -> Option<String> {
    let output = std::process::Command::new("gzip").arg("-dc").arg(path).output().ok()?;
    String::from_utf8(output.stdout).ok()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}
