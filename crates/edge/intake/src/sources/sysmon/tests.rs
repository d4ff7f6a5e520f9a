use model::format_time;

use super::*;

fn read(text: &[u8]) -> (FlowBatch, crate::Summary) {
    let mut reader = open(Input::new("t", std::io::Cursor::new(text.to_vec()))).unwrap();
    let mut batch = FlowBatch::new(reader.source());
    while reader.read(&mut batch).unwrap() {}
    (batch, reader.summary().clone())
}

const ONE: &str = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider \
                   Name='Microsoft-Windows-Sysmon'/><EventID>3</EventID><TimeCreated SystemTime='2020-09-13T12:26:41.1Z'/>\
                   <Computer>pc1</Computer></System><EventData><Data Name='UtcTime'>2020-09-13 12:26:40.000</Data><Data \
                   Name='Image'>C:\\a &amp; b.exe</Data><Data Name='User'>D\\u</Data><Data Name='Protocol'>tcp</Data><Data \
                   Name='Initiated'>true</Data><Data Name='SourceIp'>10.0.0.1</Data><Data Name='SourceHostname'></Data>\
                   <Data Name='SourcePort'>49152</Data><Data Name='DestinationIp'>10.0.0.2</Data><Data \
                   Name='DestinationHostname'>-</Data><Data Name='DestinationPort'>443</Data><Data \
                   Name='DestinationPortName'>https</Data></EventData></Event>";

#[test]
fn events_on_a_line_over_lines_and_many_on_one() {
    let over = ONE.replace("><", ">\r\n<");
    let incoming = ONE.replace("'Initiated'>true", "'Initiated'>false");
    let udp = incoming.replace("'Protocol'>tcp", "'Protocol'>udp");
    let other = ONE.replace("<EventID>3<", "<EventID>1<");
    let bad = ONE.replace("10.0.0.2", "x");
    let text = format!(
        "<?xml version='1.0'?>\n<Events>{ONE}{incoming}\n{over}\n{udp}{other}{bad}</Events>\n<Event>\n{ONE}\n<Event>"
    );
    let (batch, summary) = read(text.as_bytes());
    assert_eq!(batch.len(), 5);
    assert!(batch.start.iter().all(|at| format_time(*at) == "2020-09-13T12:26:40.000Z"));
    assert_eq!(batch.client, [1, 1, 1, 0, 1].map(Client::from_code));
    assert_eq!(batch.client_confidence[..2], [INITIATED, ACCEPTED]);
    assert_eq!(batch.direction[..2], [Direction::Egress, Direction::Ingress]);
    let details = &batch.details[&2];
    assert_eq!(details.process.as_deref(), Some("C:\\a & b.exe"));
    assert_eq!((details.src_workload.as_ref(), details.dst_workload.as_ref()), (None, None));
    assert_eq!(details.service_name.as_deref(), Some("https"));
    let reasons: Vec<_> = summary.rejects.iter().map(|reject| reject.reason.as_str()).collect();
    let cut = "the event does not end with `</Event>`";
    assert_eq!(reasons, ["`x` in `DestinationIp` is not an address", cut, cut]);
    let dropped: Vec<_> = summary.dropped.keys().copied().collect();
    assert_eq!(dropped, ["event cannot be read", OTHER, "text around events"]);
}

#[test]
fn an_event_without_end_holds_little() {
    let mut text = b"<Event>\n".to_vec();
    text.extend(b"<Data Name='x'>y</Data>\n".repeat(10_000));
    let (batch, summary) = read(&text);
    assert_eq!((batch.len(), summary.rejects.is_empty()), (0, false));
}

#[test]
fn json_of_those_who_ship_it() {
    let data = r#""UtcTime":"2020-09-13 12:26:40.000","Image":"/bin/a","User":"root","Protocol":"tcp","Initiated":"true","SourceIp":"10.0.0.1","SourcePort":"49152","DestinationIp":"2001:db8::2","DestinationPort":443"#;
    let text = format!(
        "{{\"EventID\":3,\"SourceName\":\"Microsoft-Windows-Sysmon\",\"Hostname\":\"pc\",{data}}}\n\
         {{\"@timestamp\":\"2020-09-13T12:26:41Z\",\"winlog\":{{\"event_id\":\"3\",\"computer_name\":\"pc\",\"event_data\":{{{data}}}}}}}\n\
         {{\"Event\":{{\"System\":{{\"EventID\":3,\"Computer\":\"pc\"}},\"EventData\":{{{data}}}}}}}\n\
         {{\"EventID\":1,\"Hostname\":\"pc\",\"Image\":\"x\"}}\n"
    );
    let (batch, summary) = read(text.as_bytes());
    assert_eq!((batch.len(), summary.rejects.len()), (3, 0));
    for row in 0..3 {
        let details = &batch.details[&(row as u32)];
        assert_eq!((batch.dst_port[row], details.process.as_deref()), (443, Some("/bin/a")));
        assert_eq!(&*batch.exporters[batch.exporter[row] as usize].0, "pc");
    }
    for line in text.lines().take(3) {
        assert!(detect(line.as_bytes()), "{line}");
    }
}

#[test]
fn the_real_event_means_what_another_reader_says() {
    // Expected: ocsf/03-NetworkConnect.txt, an independent mapping of the same event.
    let Some(path) = testkit::shared("data/flow/tenzir-library/sysmon/tests/inputs/03-NetworkConnect.xml")
    else {
        return;
    };
    let text = std::fs::read(path).unwrap();
    assert!(detect(&text));
    let (batch, summary) = read(&text);
    assert_eq!((batch.len(), summary.rejects.len()), (1, 0));
    let tuple = (batch.src[0].to_string(), batch.src_port[0], batch.dst[0].to_string(), batch.dst_port[0]);
    assert_eq!(tuple, ("192.168.1.45".to_owned(), 54_321, "185.220.101.47".to_owned(), 443));
    assert_eq!(format_time(batch.start[0]), "2025-03-22T10:16:05.738Z");
    assert_eq!((batch.protocol[0], batch.direction[0]), (6, Direction::Egress));
    assert_eq!(batch.client[0], Client::Src, "`is_src_dst_assignment_known`");
    let details = &batch.details[&0];
    assert_eq!(details.process.as_deref(), Some(r"C:\Users\jdoe\AppData\Local\Temp\payload.exe"));
    assert_eq!(details.user.as_deref(), Some(r"CORP\jdoe"));
    assert_eq!(details.src_workload.as_deref(), Some("WORKSTATION01.corp.local"));
    assert_eq!((details.dst_workload.as_deref(), details.service_name.as_deref()), (None, Some("https")));
    assert_eq!(&*batch.exporters[0].0, "WORKSTATION01.corp.local");
}
