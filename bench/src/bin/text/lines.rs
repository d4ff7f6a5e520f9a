//! Made-up lines of each format, in the form and of the length of real ones.

use std::fmt::Write as _;

type Line = fn(u32) -> String;

/// A format's lines: the name of the row, the source that reads them, what stands before the first line, and a line by
/// its number.
pub(crate) const FORMATS: &[(&str, &str, &str, Line)] = &[
    ("aws-vpc", "aws-vpc", "", aws),
    ("zeek", "zeek", ZEEK_HEADER, zeek),
    ("zeek-json", "zeek", "", zeek_json),
    ("suricata", "suricata", "", suricata),
    ("hubble", "hubble", "", hubble),
    ("azure", "azure", "", azure),
    ("gcp", "gcp", "", gcp),
    ("csv", "csv", CSV_HEADER, csv),
    ("conntrack", "conntrack", "", conntrack),
];

const CSV_HEADER: &str = "start,end,src_ip,src_port,dst_ip,dst_port,protocol,packets,bytes,action\n";

/// All fields that Zeek writes without scripts of a site.
const ZEEK_HEADER: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n\
    #open\t2020-09-13-12-26-40\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\t\
    orig_bytes\tresp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\t\
    resp_pkts\tresp_ip_bytes\ttunnel_parents\n#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\t\
    count\tcount\tstring\tbool\tbool\tcount\tstring\tcount\tcount\tcount\tcount\tset[string]\n";

/// Numbers that look like a network's, made of the line's number.
struct Made {
    client: String,
    server: String,
    port: u32,
    service: u32,
    packets: u32,
    bytes: u32,
    start: u32,
}

fn made(line: u32) -> Made {
    let mixed = line.wrapping_mul(2_654_435_761) >> 8;
    Made {
        client: format!("10.{}.{}.{}", mixed % 8, mixed / 8 % 256, line % 256),
        server: format!("172.31.{}.{}", mixed % 4, mixed / 4 % 256),
        port: 32_768 + mixed % 28_000,
        service: [443, 5432, 22, 8080, 53][(mixed % 5) as usize],
        packets: 1 + mixed % 900,
        bytes: 60 + mixed % 900_000,
        start: 1_600_000_000 + line / 50,
    }
}

fn aws(line: u32) -> String {
    let Made { client, server, port, service, packets, bytes, start } = made(line);
    let interface = line / 40 % 100;
    format!(
        "2 123456789010 eni-1235b8ca1234567{interface:02} {client} {server} {port} {service} 6 {packets} {bytes} {start} {} ACCEPT OK\n",
        start + 60
    )
}

/// One record of a VNet flow log in 20 lines; a line is a tuple.
fn azure(line: u32) -> String {
    let Made { client, server, port, service, packets, bytes, start } = made(line);
    let mut text = String::new();
    if line.is_multiple_of(20) {
        let _ = write!(
            text,
            "{{\"time\":\"2022-09-14T09:00:52.5625085Z\",\"flowLogVersion\":4,\"macAddress\":\"00224871C205\",\"category\":\
             \"FlowLogFlowEvent\",\"targetResourceID\":\"/subscriptions/0/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v\",\
             \"flowRecords\":{{\"flows\":[{{\"aclID\":\"0\",\"flowGroups\":[{{\"rule\":\"UserRule_web\",\"flowTuples\":["
        );
    }
    let end = if line % 20 == 19 { "]}]}]}}\n" } else { "," };
    let _ = write!(
        text,
        "\"{start}123,{client},{server},{port},{service},6,O,E,NX,{packets},{bytes},{packets},{bytes}\"{end}"
    );
    text
}

fn gcp(line: u32) -> String {
    let Made { client, server, port, service, packets, bytes, .. } = made(line);
    format!(
        "{{\"insertId\":\"ut8lbrffooxyw\",\"jsonPayload\":{{\"bytes_sent\":\"{bytes}\",\"connection\":{{\"dest_ip\":\"{server}\",\
         \"dest_port\":{service},\"protocol\":6,\"src_ip\":\"{client}\",\"src_port\":{port}}},\"end_time\":\"2019-06-14T03:45:37.301953198Z\",\
         \"packets_sent\":\"{packets}\",\"reporter\":\"SRC\",\"rtt_msec\":\"36\",\"src_instance\":{{\"project_id\":\"p\",\"region\":\"us-east1\",\
         \"vm_name\":\"kibana\",\"zone\":\"us-east1-b\"}},\"src_vpc\":{{\"project_id\":\"p\",\"subnetwork_name\":\"default\",\"vpc_name\":\"default\"}},\
         \"start_time\":\"2019-06-14T03:45:37.186193305Z\"}},\"logName\":\"projects/p/logs/compute.googleapis.com%2Fvpc_flows\",\
         \"receiveTimestamp\":\"2019-06-14T03:50:10.845445834Z\",\"resource\":{{\"labels\":{{\"location\":\"us-east1-b\",\"project_id\":\"p\"}},\
         \"type\":\"gce_subnetwork\"}},\"timestamp\":\"2019-06-14T03:50:10.845445834Z\"}}\n"
    )
}

fn csv(line: u32) -> String {
    let Made { client, server, port, service, packets, bytes, start } = made(line);
    format!("{start},{},{client},{port},{server},{service},tcp,{packets},{bytes},allow\n", start + 60)
}

/// A service that Zeek or Suricata found, for two connections in three.
fn service(line: u32, none: &'static str) -> &'static str {
    [none, "ssl", "dns", "http", none, "ssh"][(line % 6) as usize]
}

/// 21 fields; two in three have a service.
fn zeek(line: u32) -> String {
    let Made { client, server, port, service: to, packets, bytes, start } = made(line);
    let service = service(line, "-");
    format!(
        "{start}.{:06}\tCmES5u32sYpV7J{:04x}\t{client}\t{port}\t{server}\t{to}\ttcp\t{service}\t{}.{:06}\t{bytes}\t{}\tSF\tT\tF\t0\t\
         ShADadFf\t{packets}\t{}\t{packets}\t{}\t-\n",
        line * 37 % 1_000_000,
        line % 65_536,
        line % 30,
        line * 91 % 1_000_000,
        bytes / 2,
        bytes + 40 * packets,
        bytes / 2 + 40 * packets
    )
}

fn zeek_json(line: u32) -> String {
    let Made { client, server, port, service: to, packets, bytes, start } = made(line);
    let service = match service(line, "") {
        "" => String::new(),
        name => format!("\"service\":\"{name}\","),
    };
    format!(
        "{{\"ts\":{start}.{:06},\"uid\":\"CmES5u32sYpV7J{:04x}\",\"id.orig_h\":\"{client}\",\"id.orig_p\":{port},\"id.resp_h\":\"{server}\",\
         \"id.resp_p\":{to},\"proto\":\"tcp\",{service}\"duration\":{}.{:06},\"orig_bytes\":{bytes},\"resp_bytes\":{},\
         \"conn_state\":\"SF\",\"local_orig\":true,\"local_resp\":false,\"missed_bytes\":0,\"history\":\"ShADadFf\",\"orig_pkts\":{packets},\
         \"orig_ip_bytes\":{},\"resp_pkts\":{packets},\"resp_ip_bytes\":{}}}\n",
        line * 37 % 1_000_000,
        line % 65_536,
        line % 30,
        line * 91 % 1_000_000,
        bytes / 2,
        bytes + 40 * packets,
        bytes / 2 + 40 * packets
    )
}

/// `flow` events; two in three have a protocol of the application.
fn suricata(line: u32) -> String {
    let Made { client, server, port, service: to, packets, bytes, .. } = made(line);
    let service = match service(line, "") {
        "" => String::new(),
        name => format!("\"app_proto\":\"{name}\","),
    };
    let minute = line / 100 % 50;
    format!(
        "{{\"timestamp\":\"2020-09-13T12:{minute:02}:41.000000+0000\",\"flow_id\":{},\"in_iface\":\"eth0\",\"event_type\":\"flow\",\
         \"src_ip\":\"{client}\",\"src_port\":{port},\"dest_ip\":\"{server}\",\"dest_port\":{to},\"proto\":\"TCP\",{service}\
         \"flow\":{{\"pkts_toserver\":{packets},\"pkts_toclient\":{packets},\"bytes_toserver\":{bytes},\"bytes_toclient\":{},\
         \"start\":\"2020-09-13T12:{minute:02}:40.102938+0000\",\"end\":\"2020-09-13T12:{minute:02}:40.992817+0000\",\"age\":0,\"state\":\"closed\",\
         \"reason\":\"timeout\",\"alerted\":false}},\"tcp\":{{\"tcp_flags\":\"1b\",\"tcp_flags_ts\":\"1b\",\"tcp_flags_tc\":\"1b\",\
         \"syn\":true,\"fin\":true,\"psh\":true,\"ack\":true,\"state\":\"closed\"}}}}\n",
        1_832_377_865_000_000_u64 + u64::from(line),
        bytes / 2
    )
}

/// A traced packet to a pod, as Cilium 1.19 exports it: every other one from a pod.
fn hubble(line: u32) -> String {
    let Made { client, server, port, service: to, .. } = made(line);
    let (from, time) =
        (line % 40, format!("2026-02-24T08:{:02}:{:02}.042012383Z", line / 60 % 60, line % 60));
    let labels = |app: &str| {
        format!(
            "[\"k8s:app={app}\",\"k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=shop\",\
             \"k8s:io.cilium.k8s.policy.cluster=default\",\"k8s:io.cilium.k8s.policy.serviceaccount={app}-sa\",\
             \"k8s:io.kubernetes.pod.namespace=shop\"]"
        )
    };
    let pod = |app: &str, id: u32| {
        format!(
            "{{\"ID\":{id},\"identity\":{},\"cluster_name\":\"default\",\"namespace\":\"shop\",\"labels\":{},\
             \"pod_name\":\"{app}-7788964bc-lsf{id:02}\",\"workloads\":[{{\"name\":\"{app}\",\"kind\":\"Deployment\"}}]}}",
            20_000 + id,
            labels(app)
        )
    };
    let source = match line % 2 {
        0 => pod("checkout", from),
        _ => "{\"identity\":2,\"labels\":[\"reserved:world\"]}".to_owned(),
    };
    format!(
        "{{\"flow\":{{\"time\":\"{time}\",\"uuid\":\"c938628b-0c3a-4440-9ecd-3e3ca0{line:06x}\",\"emitter\":{{\"name\":\"Hubble\",\
         \"version\":\"1.19.1\"}},\"verdict\":\"FORWARDED\",\"ethernet\":{{\"source\":\"9a:4b:92:54:a9:62\",\"destination\":\"72:59:04:fd:68:13\"}},\
         \"IP\":{{\"source\":\"{client}\",\"destination\":\"{server}\",\"ipVersion\":\"IPv4\"}},\"l4\":{{\"TCP\":{{\"source_port\":{port},\
         \"destination_port\":{to},\"flags\":{{\"PSH\":true,\"ACK\":true}}}}}},\"source\":{},\"destination\":{},\"Type\":\"L3_L4\",\
         \"node_name\":\"worker-{}\",\"node_labels\":[\"kubernetes.io/arch=amd64\",\"kubernetes.io/hostname=worker\"],\
         \"reply\":false,\"event_type\":{{\"type\":4}},\"traffic_direction\":\"EGRESS\",\"trace_observation_point\":\"TO_ENDPOINT\",\
         \"trace_reason\":\"ESTABLISHED\",\"is_reply\":false,\"interface\":{{\"index\":6,\"name\":\"lxc07eaad73233\"}},\
         \"Summary\":\"TCP Flags: ACK, PSH\"}},\"node_name\":\"worker-{}\",\"time\":\"{time}\"}}\n",
        source,
        pod("payment", 40 + from),
        from / 8,
        from / 8
    )
}

/// An event of `conntrack -E -e DESTROY -o timestamp` with counts.
fn conntrack(line: u32) -> String {
    let Made { client, server, port, service, packets, bytes, start } = made(line);
    format!(
        "[{start}.{:06}]\t[DESTROY] tcp      6 src={client} dst={server} sport={port} dport={service} packets={packets} bytes={bytes} \
         src={server} dst={client} sport={service} dport={port} packets={packets} bytes={} [ASSURED]\n",
        line * 37 % 1_000_000,
        bytes / 2
    )
}
