//! Real packets between namespaces agree with the sets. Needs root, `nc` (netcat-openbsd) and, for ICMP, `ping`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic, in what they share too")]

mod support;

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use compile::{ReadBack, ReadRule, RuleVerdict, Side, Source, carried, find, read, render};
use model::Action::{Allow, GuardrailAllow, GuardrailDeny};
use model::{Ip, Mode, Packet, PlanPoint, Protocol};
use support::namespace::Namespace;
use support::{plan, point, rule};

const DOCKER: &str = "table ip nat {
	chain PREROUTING {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local jump DOCKER
	}

	chain DOCKER {
		iifname \"docker0\" return
		tcp dport 8088 dnat to 172.17.0.2:80
	}
}
";

const FIREWALLD: &str = "table inet firewalld {
	chain filter_INPUT {
		type filter hook input priority filter + 10; policy accept;
		ct state { established, related } accept
		iifname \"lo\" accept
		ct state invalid drop
		tcp dport 25 drop
	}
}
";

/// A guarded host `w` and two others, `a` and `b`, on one switch.
struct Net {
    _switch: Namespace,
    w: Namespace,
    others: [Namespace; 2],
}

const W: [&str; 2] = ["10.0.1.10", "fd00::10"];
const OTHERS: [[&str; 2]; 2] = [["10.0.2.1", "fd00::a"], ["10.0.2.2", "fd00::b"]];

impl Net {
    /// `None`, loudly, where it cannot be made.
    fn new() -> Option<Self> {
        if !testkit::namespaces() {
            return None;
        }
        if Command::new("nc").arg("-h").output().is_err() {
            eprintln!("SKIPPED: needs `nc`, of the package netcat-openbsd");
            return None;
        }
        let switch = Namespace::new("switch");
        switch.run("ip link add br0 type bridge");
        switch.run("ip link set br0 up");
        let host = |stem: &str, addresses: [&str; 2]| {
            let namespace = Namespace::new(stem);
            let port = format!("p-{stem}");
            switch.run(&format!("ip link add {port} type veth peer name eth0 netns {}", namespace.name));
            switch.run(&format!("ip link set {port} master br0 up"));
            namespace.run(&format!("ip addr add {}/16 dev eth0", addresses[0]));
            namespace.run(&format!("ip addr add {}/64 dev eth0 nodad", addresses[1]));
            namespace.run("ip link set eth0 up");
            // Closed ports answer at once, however many are asked.
            namespace.run("sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0");
            namespace
        };
        let (w, a, b) = (host("w", W), host("a", OTHERS[0]), host("b", OTHERS[1]));
        // An UDP probe of `w` that leaves must look unlike one that is refused.
        for other in [&a, &b] {
            let deaf = "table inet deaf {\nchain in {\ntype filter hook input priority 0\nudp dport 1-65535 ct state new drop\n}\n}\n";
            other.load(deaf).unwrap();
        }
        Some(Self { _switch: switch, w, others: [a, b] })
    }
}

fn guarded(mode: Mode) -> PlanPoint {
    point(
        "w",
        "10.0.1.10 fd00::10",
        mode,
        vec![
            rule("ping", GuardrailAllow, "10.0.2.1 fd00::/16", "icmp/8 icmpv6/128"),
            rule("no-ssh-from-b", GuardrailDeny, "10.0.2.2-10.0.2.9 fd00::b", "tcp/21-22"),
            rule("ssh", Allow, "any", "tcp/20-25"),
            rule("web", Allow, "10.0.2.0-10.0.2.1 fd00::a", "tcp/8000-8010 udp/500-510"),
        ],
        vec![
            rule("dns", GuardrailAllow, "10.0.2.2 fd00::b", "udp/53 tcp/53"),
            rule("never", GuardrailDeny, "any", "tcp/9003"),
            rule("apps", Allow, "10.0.2.0/31 fd00::a-fd00::f", "tcp/9000-9005"),
            rule("ping-out", Allow, "v4", "icmp/8"),
        ],
    )
}

fn artifact(point: &PlanPoint) -> String {
    render(&plan(vec![point.clone()]), find("nftables").unwrap()).unwrap()[0].text.clone()
}

fn read_back(namespace: &Namespace) -> ReadBack {
    let text = namespace.run("nft -j list table inet ringfence");
    let source = Source { file_name: "listed".into(), text };
    read(find("nftables").unwrap(), &[source], &[]).unwrap().remove(0)
}

/// A question to the network, under way.
struct Probe {
    packet: Packet,
    side: Side,
    child: Child,
}

impl Probe {
    fn start(from: &Namespace, side: Side, packet: Packet) -> Self {
        let (source, destination) = (packet.source.to_string(), packet.destination.to_string());
        let port = packet.selector.to_string();
        let words: Vec<&str> = match packet.protocol {
            Protocol::TCP => vec!["nc", "-n", "-v", "-z", "-w", "2", "-s", &source, &destination, &port],
            Protocol::UDP => {
                vec!["nc", "-n", "-v", "-u", "-z", "-w", "2", "-s", &source, &destination, &port]
            }
            _ => vec!["ping", "-n", "-c", "1", "-W", "2", "-I", &source, &destination],
        };
        let mut command = from.command(&words);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { packet, side, child }
    }

    /// Every port is closed: what gets through is refused at once, but for UDP to those who do not answer.
    fn passed(self) -> (Packet, bool, String) {
        let output = self.child.wait_with_output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let passed = match (self.packet.protocol, self.side) {
            (Protocol::TCP, _) => said.contains("refused"),
            (Protocol::UDP, Side::Ingress) => !output.status.success(),
            (Protocol::UDP, Side::Egress) => output.status.success(),
            _ => output.status.success(),
        };
        (self.packet, passed, said)
    }
}

fn probes(net: &Net, side: Side, asked: &[(Protocol, &[u16])]) -> Vec<Probe> {
    let has_ping = Command::new("ping").arg("-V").output().is_ok();
    if !has_ping {
        eprintln!("SKIPPED: ICMP needs `ping`, of the package iputils-ping");
    }
    let mut list = Vec::new();
    for (other, addresses) in net.others.iter().zip(OTHERS) {
        for family in 0..2 {
            let (own, peer): (Ip, Ip) = (W[family].parse().unwrap(), addresses[family].parse().unwrap());
            for &(protocol, selectors) in asked {
                let is_icmp = protocol == Protocol::ICMP;
                if is_icmp && !has_ping {
                    continue;
                }
                for &selector in selectors {
                    let (protocol, selector) = match (is_icmp, family) {
                        (true, 0) => (Protocol::ICMP, 8 << 8),
                        (true, _) => (Protocol::ICMPV6, 128 << 8),
                        _ => (protocol, selector),
                    };
                    let (from, source, destination) = match side {
                        Side::Ingress => (other, peer, own),
                        Side::Egress => (&net.w, own, peer),
                    };
                    list.push(Probe::start(from, side, Packet { source, destination, protocol, selector }));
                }
            }
        }
    }
    list
}

const IN: [(Protocol, &[u16]); 3] = [
    (Protocol::TCP, &[19, 20, 21, 22, 23, 24, 26, 7999, 8000, 8005, 8010, 8011]),
    (Protocol::UDP, &[499, 500, 510, 511]),
    (Protocol::ICMP, &[0]),
];
const OUT: [(Protocol, &[u16]); 3] = [
    (Protocol::TCP, &[52, 53, 54, 8999, 9000, 9002, 9003, 9004, 9005, 9006]),
    (Protocol::UDP, &[52, 53, 54]),
    (Protocol::ICMP, &[0]),
];

#[test]
fn packets_pass_exactly_where_the_sets_say() {
    let Some(net) = Net::new() else { return };
    let point = guarded(Mode::Enforce);
    net.w.load(DOCKER).unwrap();
    net.w.load(FIREWALLD).unwrap();
    let foreign = || net.w.run("nft list table ip nat") + &net.w.run("nft list table inet firewalld");
    let before = foreign();
    net.w.load(&artifact(&point)).unwrap();
    assert_eq!(foreign(), before);
    let allowed = carried(&point.allowed_ingress()).clone();
    let out = carried(&point.allowed_egress());
    let mut seen = 0;
    for probe in probes(&net, Side::Ingress, &IN).into_iter().chain(probes(&net, Side::Egress, &OUT)) {
        let expected = if probe.side == Side::Ingress { &allowed } else { &out }.contains(&probe.packet);
        let (packet, passed, said) = probe.passed();
        assert_eq!(passed, expected, "{packet}: {said}\n{}", net.w.run("nft list ruleset"));
        seen += 1;
    }
    assert!(seen >= 100, "{seen}");
    // What was counted is what was sent: each rule was hit, and by nobody else's packets.
    let back = read_back(&net.w);
    assert_eq!((&back.ingress, &back.egress), (&allowed, &out));
    let hits = |id: &str| back.rules.iter().filter(|r| r.id == id).map(|r| r.packets).sum::<u64>();
    for id in ["no-ssh-from-b", "ssh", "web", "dns", "never", "apps", "default"] {
        assert!(hits(id) > 0, "{id}: {:?}", summary(&back.rules));
    }
    // Five ports asked from four addresses, less the two that are denied to two of them.
    assert!(hits("ssh") >= 16, "{:?}", summary(&back.rules));
    assert_eq!(foreign(), before);
    net.w.load(&artifact(&point)).unwrap();
    net.w.run("nft delete table inet ringfence");
    assert_eq!(foreign(), before);
}

fn summary(rules: &[ReadRule]) -> Vec<(Side, &str, RuleVerdict, u64)> {
    rules.iter().map(|r| (r.side, r.id.as_str(), r.verdict, r.packets)).collect()
}

#[test]
fn modes_drop_what_they_say() {
    let Some(net) = Net::new() else { return };
    let ask = |selector| {
        let (source, destination) = (OTHERS[1][0].parse().unwrap(), W[0].parse().unwrap());
        let packet = Packet { source, destination, protocol: Protocol::TCP, selector };
        Probe::start(&net.others[1], Side::Ingress, packet)
    };
    for (mode, by_guardrail, by_default) in [
        (Mode::Observe, true, true),
        (Mode::Test, true, true),
        (Mode::Selective, false, true),
        (Mode::Enforce, false, false),
    ] {
        net.w.load(&artifact(&guarded(mode))).unwrap();
        let (guardrail, default, allowed) = (ask(22), ask(8000), ask(24));
        assert_eq!(guardrail.passed().1, by_guardrail, "{mode:?}");
        assert_eq!(default.passed().1, by_default, "{mode:?}");
        assert!(allowed.passed().1, "{mode:?}");
        let back = read_back(&net.w);
        let denied = |id: &str| {
            let is_denial = |r: &&ReadRule| matches!(r.verdict, RuleVerdict::Deny | RuleVerdict::WouldDeny);
            back.rules.iter().filter(is_denial).any(|r| r.id == id && r.packets > 0)
        };
        assert!(denied("no-ssh-from-b") && denied("default"), "{mode:?} {:?}", summary(&back.rules));
    }
}

#[test]
fn a_conversation_that_stands_survives_a_stricter_plan() {
    let Some(net) = Net::new() else { return };
    net.w.load(&artifact(&guarded(Mode::Enforce))).unwrap();
    let listen = &["nc", "-n", "-l", W[0], "8001"];
    let mut server = net.w.command(listen).stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    wait_for(|| net.w.run("ss -Hltn").contains(":8001"));
    let mut client = net.others[0]
        .command(&["nc", "-n", "-N", W[0], "8001"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = client.stdin.take().unwrap();
    input.write_all(b"one\n").unwrap();
    let mut output = server.stdout.take().unwrap();
    let mut first = [0; 4];
    output.read_exact(&mut first).unwrap();
    let closed = point("w", "10.0.1.10 fd00::10", Mode::Enforce, vec![], vec![]);
    net.w.load(&artifact(&closed)).unwrap();
    input.write_all(b"two\n").unwrap();
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!((&first, rest.as_str()), (b"one\n", "two\n"));
    client.wait().unwrap();
    server.wait().unwrap();
    let packet = Packet {
        source: OTHERS[0][0].parse().unwrap(),
        destination: W[0].parse().unwrap(),
        protocol: Protocol::TCP,
        selector: 8001,
    };
    assert!(!Probe::start(&net.others[0], Side::Ingress, packet).passed().1);
}

fn wait_for(ready: impl Fn() -> bool) {
    for _ in 0..200 {
        if ready() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    panic!("not ready after five seconds");
}

#[test]
fn a_flood_is_counted_wholly_and_logged_little() {
    let Some(net) = Net::new() else { return };
    net.w.load(&artifact(&guarded(Mode::Enforce))).unwrap();
    // 400 datagrams that nobody allows.
    let script = format!("for i in $(seq 400); do echo x > /dev/udp/{}/7777; done", W[0]);
    let flood =
        |net: &Net| assert!(net.others[1].command(&["bash", "-c", &script]).status().unwrap().success());
    let has_tcpdump = Command::new("tcpdump").arg("--version").output().is_ok();
    let capture = std::env::temp_dir().join(format!("ringfence-nflog-{}", std::process::id()));
    let path = capture.display().to_string();
    let dump = has_tcpdump.then(|| {
        let mut command = net.w.command(&["tcpdump", "-U", "-Z", "root", "-i", "nflog:100", "-w", &path]);
        let child = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        wait_for(|| capture.metadata().is_ok_and(|m| m.len() > 0));
        child
    });
    flood(&net);
    let dropped: u64 =
        read_back(&net.w).rules.iter().filter(|r| r.verdict == RuleVerdict::Deny).map(|r| r.packets).sum();
    assert!(dropped >= 400, "{dropped}");
    let Some(mut dump) = dump else {
        eprintln!("SKIPPED: the log needs `tcpdump`");
        return;
    };
    let needle = b"ringfence:deny:default:in ";
    let lines = || {
        let bytes = std::fs::read(&capture).unwrap_or_default();
        bytes.windows(needle.len()).filter(|window| window == needle).count()
    };
    wait_for(|| lines() >= 40);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let logged = lines();
    dump.kill().unwrap();
    dump.wait().unwrap();
    std::fs::remove_file(&capture).unwrap();
    assert!((40..200).contains(&logged), "{logged}");
}
