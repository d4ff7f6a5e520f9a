use super::*;

fn read(text: &str) -> (FlowBatch, crate::Summary) {
    let mut reader = open(Input::new("t", std::io::Cursor::new(text.as_bytes().to_vec()))).unwrap();
    let mut batch = FlowBatch::new(reader.source());
    while reader.read(&mut batch).unwrap() {}
    (batch, reader.summary().clone())
}

fn tuples(batch: &FlowBatch) -> Vec<String> {
    let one = |row: usize| {
        let (src, dst) = (batch.src[row], batch.dst[row]);
        format!("{src}:{} > {dst}:{}", batch.src_port[row], batch.dst_port[row])
    };
    (0..batch.len()).map(one).collect()
}

#[test]
fn both_proxies_of_a_request_and_a_gateway() {
    let (batch, summary) = read(concat!(
        // Out of the client's proxy, into the server's, through a gateway, and by TCP.
        r#"[2020-09-13T12:26:40.000Z] "GET /a HTTP/1.1" 200 - via_upstream - "-" 0 135 4 3 "-" "curl/7 "x" y" "id-1" "web:8000" "10.0.0.2:80" outbound|8000||web.shop.svc.cluster.local 10.0.0.1:37652 10.96.0.5:8000 10.0.0.1:46520 - default"#,
        "\n",
        r#"[2020-09-13T12:26:40.000Z] "GET /a HTTP/1.1" 403 - rbac_access_denied_matched_policy[none] - "-" 0 19 0 - "-" "curl/7" "id-1" "web:8000" "-" inbound|80|| - 10.0.0.2:80 10.0.0.1:37652 outbound_.8000_._.web.shop.svc.cluster.local default"#,
        "\n",
        r#"[2020-09-13T12:26:41.500Z] "GET / HTTP/2" 200 - "-" 0 9 1500 1 "192.0.2.9" "b" "id-2" "shop.example" "10.0.0.2:80" outbound|80||web.shop.svc.cluster.local 10.0.0.7:40000 10.0.0.7:8443 192.0.2.9:51000 shop.example -"#,
        "\n",
        r#"[2020-09-13T12:26:42.000Z] "- - -" 0 - - - "-" 345 2810 5 - "-" "-" "-" "-" "[2001:db8::2]:3306" outbound|3306||db.shop.svc.cluster.local [2001:db8::1]:41000 [2001:db8::9]:3306 [2001:db8::1]:40999 - -"#,
        "\n",
        r#"[2020-09-13T12:26:43.000Z] "GET / HTTP/1.1" 503 NR route_not_found - "-" 0 0 0 - "-" "c" "id" "x" "-" - - 10.96.0.6:80 10.0.0.1:46521 - -"#,
        "\n",
        r#"[2020-09-13T12:26:44.000Z] "GET / HTTP/1.1" 200 - 0 5 4 3 "-" "c" "id" "x" "10.0.0.2:80""#,
        "\n",
        "2020-09-13T12:26:45.000000Z\tinfo\txdsproxy\tconnected\n",
        "[2020-09-13T12:26:46.000Z] \"GET / HTTP/1.1\" 200\n",
    ));
    let (inbound, client) = ("10.0.0.1:37652 > 10.0.0.2:80", "192.0.2.9:51000 > 10.0.0.7:8443");
    let gateway = "10.0.0.7:40000 > 10.0.0.2:80";
    let tcp = "2001:db8::1:41000 > 2001:db8::2:3306";
    assert_eq!(tuples(&batch), [inbound, inbound, client, gateway, tcp, "10.0.0.1:46521 > 10.96.0.6:80"]);
    assert_eq!(batch.verdict[..2], [Verdict::Unknown, Verdict::Deny]);
    assert_eq!(batch.details[&1].rule.as_deref(), Some("none"));
    assert_eq!(batch.details[&0].service_name.as_deref(), Some("web.shop.svc.cluster.local"));
    assert_eq!(batch.details[&1].service_name.as_deref(), Some("web:8000"));
    assert_eq!(batch.direction[..2], [Direction::Egress, Direction::Ingress]);
    assert_eq!(batch.end[2] - batch.start[2], 1_500_000);
    let names: Vec<_> = batch.exporters.iter().map(|exporter| &*exporter.0).collect();
    // Without a cluster nothing says which side of a service's address the proxy is on.
    let expected =
        ["envoy/10.0.0.1", "envoy/10.0.0.2", "envoy/10.0.0.7", "envoy/2001:db8::1", "envoy/10.96.0.6"];
    assert_eq!(names, expected);
    assert!(batch.present.iter().all(|present| *present == FlowBatch::HAS_PORTS));
    let dropped: Vec<_> = summary.dropped.keys().copied().collect();
    assert_eq!(
        dropped,
        ["line of another log", "record cannot be read", "request without its client's address"]
    );
}

#[test]
fn json_with_the_usual_keys() {
    let (batch, summary) = read(
        "{\"start_time\":\"2020-09-13T12:26:40.000Z\",\"duration\":7,\"protocol\":\"HTTP/3\",\"bytes_sent\":5,\"upstream_host\":null,\
         \"upstream_cluster\":\"inbound|80||\",\"downstream_local_address\":\"10.0.0.2:443\",\
         \"downstream_remote_address\":\"10.0.0.1:50000\",\"authority\":\"web\",\"pod_name\":\"web-0\"}\n{\"x\":1}\n",
    );
    assert_eq!((tuples(&batch), batch.protocol[0]), (vec!["10.0.0.1:50000 > 10.0.0.2:443".to_owned()], 17));
    assert_eq!((&*batch.exporters[0].0, summary.rejects.len()), ("web-0", 1));
}

/// Lines of Istio's documentation, releases 1.1 to 1.8: who asks whom is said there in words (curl asks httpbin).
#[test]
fn lines_of_the_documentation() {
    let old = r#"[2019-03-06T09:31:27.354Z] "GET /status/418 HTTP/1.1" 418 - "-" 0 135 11 10 "-" "curl/7.60.0" "d209e46f" "httpbin:8000" "172.30.146.73:80" outbound|8000||httpbin.default.svc.cluster.local - 172.21.13.94:8000 172.30.146.82:60290 -"#;
    let (batch, summary) = read(&format!("{old}\n"));
    assert_eq!(tuples(&batch), ["172.30.146.82:0 > 172.30.146.73:80"], "the port it went out by is not said");
    assert!(summary.rejects.is_empty() && detect(old.as_bytes()));
}
