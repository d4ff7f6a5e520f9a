use model::format_time;

use super::*;

fn read(text: &str) -> (FlowBatch, crate::Summary) {
    let mut reader = open(Input::new("t", std::io::Cursor::new(text.as_bytes().to_vec()))).unwrap();
    let mut batch = FlowBatch::new(reader.source());
    while reader.read(&mut batch).unwrap() {}
    (batch, reader.summary().clone())
}

fn call(serial: u32, rest: &str) -> String {
    format!(
        "node=10.0.0.1 type=SYSCALL msg=audit(1600000000.250:{serial}): arch=c000003e {rest} ppid=1 pid=7 uid=33 comm=\"app\" exe=\"/usr/bin/app\" key=(null)\x1dARCH=x86_64 UID=\"www\"\n"
    )
}

fn address(serial: u32, saddr: &str) -> String {
    format!("node=10.0.0.1 type=SOCKADDR msg=audit(1600000000.250:{serial}): saddr={saddr}\n")
}

const V4: &str = "020001BB0A0000020000000000000000";
const V6: &str = "0A0001BB0000000020010DB800000000000000000000000200000000";

#[test]
fn halves_are_joined_whatever_is_between() {
    let connect =
        |serial, exit: &str| call(serial, &format!("syscall=42 success=no exit={exit} a0=3 a1=7ff a2=10"));
    let text = [
        connect(1, "-115"),
        connect(2, "-111"),
        address(1, &format!("{V4}\x1dSADDR={{ saddr_fam=inet laddr=10.0.0.2 lport=443 }}")),
        "node=10.0.0.1 type=PROCTITLE msg=audit(1600000000.250:1): proctitle=\"app\"\n".to_owned(),
        address(2, V4),
        call(3, "syscall=41 success=yes exit=5 a0=2 a1=80801"),
        call(4, "syscall=42 success=no exit=-13 a0=5 a1=7ff"),
        address(4, V4),
    ]
    .concat();
    let (batch, summary) = read(&text);
    assert_eq!((batch.len(), summary.rejects.len()), (3, 0));
    for row in 0..3 {
        assert_eq!(
            (batch.src[row].to_string(), batch.dst[row].to_string()),
            ("10.0.0.1".to_owned(), "10.0.0.2".to_owned())
        );
        assert_eq!((batch.src_port[row], batch.dst_port[row], batch.protocol[row]), (0, 443, 6));
        assert_eq!(format_time(batch.start[row]), "2020-09-13T12:26:40.250Z");
    }
    assert_eq!(batch.verdict, [Verdict::Unknown, Verdict::Unknown, Verdict::Deny]);
    let details = &batch.details[&0];
    assert_eq!((details.process.as_deref(), details.user.as_deref()), (Some("/usr/bin/app"), Some("www")));
    assert_eq!(&*batch.exporters[0].0, "10.0.0.1");
}

#[test]
fn what_the_records_do_not_say_is_counted() {
    let connect =
        |serial, exit: &str| call(serial, &format!("syscall=42 success=yes exit={exit} a0=3 a1=7ff a2=10"));
    let text = [
        connect(1, "0"),
        address(1, V4),
        connect(2, "-115"),
        address(2, V6),
        connect(3, "-2"),
        address(3, "01002F72756E2F6E73636400"),
        call(4, "syscall=43 success=yes exit=4 a0=3"),
        address(4, V4),
        call(5, "syscall=41 success=yes exit=3 a0=2 a1=2"),
        connect(6, "0"),
        address(6, V4),
        call(7, "syscall=59 success=yes exit=0 a0=3"),
        address(8, "02"),
        connect(9, "-115"),
    ]
    .concat();
    let (batch, summary) = read(&text);
    assert_eq!(batch.len(), 0);
    let dropped: Vec<_> = summary.dropped.keys().copied().collect();
    assert_eq!(
        dropped,
        [
            "accepted connection, whose own port is not said",
            "call of another kind",
            "connection of a host whose address is not said (set `name_format = numeric`)",
            "connection of a protocol that is not said (record `socket` calls too)",
            "connection that is none of IP",
            "datagram socket, which sends nothing when it connects",
            "record cannot be read",
            HALF,
        ]
    );
}

#[test]
fn interpreted_records_and_the_host_itself() {
    let (batch, summary) = read(
        "----\n\
         type=PROCTITLE msg=audit(09/13/2020 12:26:40.500:7) : proctitle=/usr/sbin/httpd -DFOREGROUND\n\
         type=SOCKADDR msg=audit(09/13/2020 12:26:40.500:7) : saddr={ saddr_fam=inet6 laddr=::1 lport=5432 }\n\
         type=SYSCALL msg=audit(09/13/2020 12:26:40.500:7) : arch=x86_64 syscall=connect success=no exit=ECONNREFUSED(Connection refused) a0=0xd a1=0x7ff pid=9 uid=apache exe=/usr/sbin/httpd\n",
    );
    assert_eq!((batch.len(), summary.rejects.len()), (1, 0));
    assert_eq!(
        (batch.src[0].to_string(), batch.dst[0].to_string(), batch.dst_port[0]),
        ("::1".into(), "::1".into(), 5_432)
    );
    assert_eq!(format_time(batch.start[0]), "2020-09-13T12:26:40.500Z");
    assert_eq!(batch.details[&0].user.as_deref(), Some("apache"));
    assert_eq!(&*batch.exporters[0].0, "auditd");
}

#[test]
fn halves_that_never_meet_are_bounded() {
    let text: String = (0..1_000).map(|serial| address(serial, V4)).collect();
    let (batch, summary) = read(&text);
    assert_eq!((batch.len(), summary.dropped[HALF].count), (0, 1_000));
}
