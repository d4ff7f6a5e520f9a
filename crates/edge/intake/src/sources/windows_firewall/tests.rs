use model::format_time;

use super::*;

const HEADER: &str = "#Version: 1.5\r\n#Software: Microsoft Windows Firewall\r\n#Time Format: Local\r\n#Fields: date time action \
                      protocol src-ip dst-ip src-port dst-port size tcpflags tcpsyn tcpack tcpwin icmptype icmpcode info \
                      path\r\n\r\n";

fn read(input: Input) -> (FlowBatch, crate::Summary) {
    let mut reader = open(input).unwrap();
    let mut batch = FlowBatch::new(reader.source());
    while reader.read(&mut batch).unwrap() {}
    (batch, reader.summary().clone())
}

fn text(text: &str) -> Input {
    Input::new("t", std::io::Cursor::new(text.as_bytes().to_vec()))
}

#[test]
fn lines_of_every_kind() {
    let (batch, summary) = read(text(&format!(
        "{HEADER}\
         2020-09-13 12:26:40 ALLOW TCP 10.0.0.1 10.0.0.2 49152 443 0 - 0 0 0 - - - SEND\r\n\
         2020-09-13 12:26:41 DROP TCP 10.0.0.9 10.0.0.1 50000 445 52 S 7 0 64240 - - - RECEIVE 4\r\n\
         2020-09-13 12:26:42 DROP ICMP 2001:db8::9 2001:db8::1 - - 72 - - - - 128 0 - RECEIVE\r\n\
         2020-09-13 12:26:43 DROP 2 10.0.0.9 224.0.0.22 - - 40 - - - - - - - FORWARD\r\n\
         2020-09-13 12:26:50 INFO-EVENTS-LOST - - - - - - - - - - - - 27 -\r\n\
         2020-09-13 12:26:51 CLOSE TCP 10.0.0.1 10.0.0.2 49152 443 - - - - - - - - -\r\n\
         2020-09-13 12:26:51 DENY TCP 10.0.0.1 10.0.0.2 49152 443 - - - - - - - - -\r\n\
         2020-09-13 12:26:52 DROP UDP 10.0.0.9 10.0.0.1 50000"
    )));
    assert_eq!(batch.protocol, [6, 6, 58, 2]);
    assert_eq!(batch.dst_port, [443, 445, 128 << 8, 0]);
    assert_eq!(batch.verdict, [1, 2, 2, 2].map(Verdict::from_code));
    assert_eq!(batch.direction[..3], [Direction::Egress, Direction::Ingress, Direction::Ingress]);
    assert_eq!(batch.direction[3], Direction::Unknown);
    assert_eq!(
        batch.client[..2],
        [Client::Src, Client::Unknown],
        "a dropped packet may be any of a connection"
    );
    assert_eq!(batch.tcp_flags[1], 2);
    let (ports, flags) = (FlowBatch::HAS_PORTS, FlowBatch::HAS_TCP_FLAGS);
    assert_eq!(batch.present, [ports, ports | flags, FlowBatch::HAS_ICMP, 0]);
    assert_eq!(batch.details[&1].process.as_deref(), Some("pid 4"), "below an older header too");
    assert_eq!(summary.lost_intervals, 1);
    let rejects: Vec<_> = summary.rejects.iter().map(|reject| reject.reason.as_str()).collect();
    assert_eq!(
        rejects,
        [
            "`DENY` is no action; expected ALLOW, DROP or INFO-EVENTS-LOST",
            "the line has 7 values; expected 17 as named by the header"
        ]
    );
}

#[test]
fn local_times_have_an_offset_that_the_log_does_not_say() {
    let line =
        format!("{HEADER}2020-09-13 14:26:40 ALLOW UDP 10.0.0.1 10.0.0.2 5353 53 0 - - - - - - - SEND\n");
    let (plain, _) = read(text(&line));
    let (told, _) = read(text(&line).utc_offset(7_200));
    assert_eq!(format_time(plain.start[0]), "2020-09-13T14:26:40.000Z");
    assert_eq!(format_time(told.start[0]), "2020-09-13T12:26:40.000Z");
}

#[test]
fn any_columns_in_any_order() {
    let (batch, _) = read(text(
        "#Fields: action date time dst-ip src-ip protocol path dst-port src-port\n\
         DROP 2020-09-13 12:26:40 10.0.0.2 10.0.0.1 UDP RECEIVE 53 5353\n",
    ));
    assert_eq!((batch.src_port[0], batch.dst_port[0]), (5_353, 53));
    assert!(detect(b"#Fields: action date time dst-ip src-ip protocol path dst-port src-port\n"));
    assert!(!detect(b"#Fields: date time cs-method c-ip s-ip\n"), "a web server's log");
    assert!(
        detect(b"2020-09-13 12:26:40 DROP UDP 10.0.0.9 10.0.0.1 5 53 9 - - - - - - - RECEIVE\n"),
        "no header"
    );
}

#[test]
fn real_logs() {
    // Counted by hand: five and five lines, of which one of the first file is cut off before its path.
    for (file, flows, rejects) in [("pfirewall-azure-stack-edge.log", 4, 1), ("pfirewall-with-pid.log", 5, 0)]
    {
        let Some(path) = testkit::shared(&format!("data/flow/windows-firewall/{file}")) else { return };
        let (batch, summary) = read(Input::file(&path).unwrap());
        assert_eq!((batch.len(), summary.rejects.len()), (flows, rejects), "{file}");
        assert!(batch.verdict.iter().all(|verdict| *verdict == Verdict::Deny), "{file}");
        let process = batch.details.get(&0).and_then(|details| details.process.as_deref());
        assert_eq!(process, (flows == 5).then_some("pid 1360"), "{file}");
    }
}
