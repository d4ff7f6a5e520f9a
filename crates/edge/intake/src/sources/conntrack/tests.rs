use super::*;

fn flows(text: &str) -> (FlowBatch, Vec<String>) {
    let input = Input::new("t", std::io::Cursor::new(text.as_bytes().to_vec()));
    let mut reader = open(input).unwrap();
    let mut batch = FlowBatch::new(reader.source());
    while reader.read(&mut batch).unwrap() {}
    (batch, reader.summary().rejects.iter().map(|reject| reject.reason.clone()).collect())
}

#[test]
fn every_form_of_a_line() {
    let (batch, rejects) = flows(
        "[1600000000.500000     ]\t    [NEW] tcp      6 120 SYN_SENT src=10.0.0.1 dst=10.0.0.2 sport=49152 dport=443 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=443 dport=49152\n\
         [1600000001.000000     ]\t [UPDATE] tcp      6 60 SYN_RECV src=10.0.0.1 dst=10.0.0.2 sport=49152 dport=443 src=10.0.0.2 dst=10.0.0.1 sport=443 dport=49152\n\
         [1600000033.000000     ]\t[DESTROY] tcp      6 src=10.0.0.1 dst=10.0.0.2 sport=49152 dport=443 packets=18 bytes=2214 src=10.9.0.2 dst=192.0.2.9 sport=8443 dport=2000 packets=16 bytes=8102 [ASSURED] delta-time=32\n\
         ipv6     10 icmpv6   58 29 src=2001:db8::1 dst=2001:db8::2 type=128 code=0 id=7 packets=1 bytes=104 [UNREPLIED] src=2001:db8::2 dst=2001:db8::1 type=129 code=0 id=7 packets=0 bytes=0 mark=0 use=1\n\
         unknown  89 599 src=10.0.0.1 dst=224.0.0.5 [UNREPLIED] src=224.0.0.5 dst=10.0.0.1 use=1\n\
         conntrack v1.4.7 (conntrack-tools): 3 flow entries have been shown.\n\
         tcp      6 nonsense\n",
    );
    assert_eq!(rejects, ["expected a line of `conntrack`: a protocol, then `src=` and `dst=` both ways"]);
    assert_eq!(batch.protocol, [6, 6, 58, 89]);
    assert_eq!(batch.dst_port, [443, 443, 128 << 8, 0]);
    assert_eq!(batch.present[0], FlowBatch::HAS_PORTS, "a start has no counts yet");
    assert_eq!((batch.start[1], batch.end[1]), (1_600_000_001_000_000, 1_600_000_033_000_000));
    assert_eq!((batch.bytes[1], batch.reverse_packets[1]), (2_214, 16));
    let details = &batch.details[&1];
    assert_eq!(details.nat_dst_ip.map(|ip| ip.to_string()).as_deref(), Some("10.9.0.2"));
    assert_eq!((details.nat_dst_port, details.nat_src_port), (Some(8_443), Some(2_000)));
    assert_eq!(details.nat_src_ip.map(|ip| ip.to_string()).as_deref(), Some("192.0.2.9"));
    assert!(batch.client.iter().all(|client| *client == Client::Src));
    assert_eq!(batch.details.len(), 1);
}

#[test]
fn real_events_and_dumps() {
    // Counted by hand from the two files: ends and starts are flows, updates none; two entries are translated.
    for (file, starts_and_ends) in [("openwrt-conntrack-E.txt", None), ("weave-scope-dnat.txt", Some((4, 2)))]
    {
        let Some(path) = testkit::shared(&format!("data/flow/conntrack/{file}")) else { return };
        let text = std::fs::read_to_string(path).unwrap();
        let (batch, rejects) = flows(&text);
        assert_eq!(rejects, Vec::<String>::new(), "{file}");
        let expected =
            text.lines().filter(|line| line.contains("src=") && !line.contains("[UPDATE]")).count();
        assert_eq!(batch.len(), expected, "{file}");
        if let Some((flows, translated)) = starts_and_ends {
            assert_eq!((batch.len(), batch.details.len()), (flows, translated), "{file}");
        }
    }
}
