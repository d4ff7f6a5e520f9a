//! Laws that every row of the table keeps. A new connector needs one line here: a sample of it.

use proptest::prelude::*;

use super::*;
use crate::connector::Probe;

/// A text of each connector, which says something of 10.0.0.1.
pub(crate) fn samples() -> Vec<(&'static str, &'static str)> {
    vec![
        ("list", "id,ip,role\nweb,10.0.0.1,web\n"),
        ("list", "[{\"id\":\"web\",\"ip\":\"10.0.0.1\"}]"),
        (
            "kubernetes",
            "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"},\
             \"status\":{\"podIP\":\"10.0.0.1\",\"startTime\":\"2026-11-20T08:00:00Z\"}}]}",
        ),
        (
            "aws",
            "{\"Reservations\":[{\"Instances\":[{\"InstanceId\":\"i-1\",\"LaunchTime\":\"2026-11-20T08:00:00Z\",\"PrivateIpAddress\":\"10.0.0.1\"}]}]}",
        ),
        (
            "aws",
            "{\"NetworkInterfaces\":[{\"NetworkInterfaceId\":\"eni-1\",\"VpcId\":\"vpc-1\",\"PrivateIpAddresses\":[{\"PrivateIpAddress\":\"10.0.0.1\"}]}]}",
        ),
        (
            "azure",
            "[{\"id\":\"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v\",\"name\":\"v\",\"privateIps\":\"10.0.0.1\"}]",
        ),
        (
            "gcp",
            "[{\"creationTimestamp\":\"2026-11-20T08:00:00Z\",\"name\":\"v\",\"networkInterfaces\":[{\"networkIP\":\"10.0.0.1\"}]}]",
        ),
        (
            "dhcpd",
            "lease 10.0.0.1 {\n  starts 4 2026/11/19 08:00:00;\n  ends never;\n  binding state active;\n  hardware ethernet 00:16:3e:00:00:01;\n}\n",
        ),
        (
            "kea",
            "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context\n\
             10.0.0.1,00:16:3e:00:00:01,,3600,1600003600,1,0,0,,0,\n",
        ),
        (
            "kea",
            "{\"arguments\":{\"leases\":[{\"ip-address\":\"10.0.0.1\",\"hw-address\":\"00:16:3e:00:00:01\",\"cltt\":1600000000,\"valid-lft\":60}]}}",
        ),
        ("dnsmasq", "1600003600 00:16:3e:00:00:01 10.0.0.1 web *\n"),
        ("dnsmasq", "Nov 20 08:00:00 r dnsmasq-dhcp[1]: DHCPACK(eth0) 10.0.0.1 00:16:3e:00:00:01 web\n"),
        (
            "nmap",
            "<?xml version=\"1.0\"?>\n<nmaprun start=\"1600000000\"><host><status state=\"up\"/><address addr=\"10.0.0.1\" addrtype=\"ipv4\"/></host></nmaprun>\n",
        ),
        (
            "zeek-dns",
            "#separator \\x09\n#path\tdns\n#fields\tts\tquery\tqtype_name\tanswers\tTTLs\n1600000000.0\tweb.example\tA\t10.0.0.1\t60.0\n",
        ),
        (
            "zeek-dns",
            "{\"ts\":1600000000.0,\"id.orig_h\":\"10.0.0.9\",\"query\":\"web.example\",\"qtype_name\":\"A\",\"answers\":[\"10.0.0.1\"],\"TTLs\":[60.0]}",
        ),
        ("dns", "# hosts\n10.0.0.1 web.example\n"),
        ("dns", "$ORIGIN example.\nweb IN A 10.0.0.1\n"),
        ("dns", "rrname,rrtype,rdata,time_first,time_last\nweb.example,A,10.0.0.1,1600000000,1600000001\n"),
    ]
}

/// 2026-11-21T00:00:00Z.
const NOW: i64 = 1_795_219_200_000_000;

pub(crate) fn read_in(scope: &str, format: &str, text: &str) -> Reading {
    let options = ReadOptions { scope: scope.to_owned(), now: NOW };
    let files = [("sample".to_owned(), text.as_bytes().to_vec())];
    reading::read(&files, find(format), &options, &Known::default()).unwrap()
}

/// A text read in a named format, which must be the one that `auto` finds.
pub(crate) fn read_as(format: &str, text: &str) -> Reading {
    assert_eq!(connector::detect(text).name, format, "recognised as another");
    read_in("", format, text)
}

/// Who has which address from when to when, a line each.
pub(crate) fn history(read: &Reading) -> Vec<String> {
    let bound = |at: i64| {
        if at == i64::MIN || at == i64::MAX { String::new() } else { model::format_time(at) }
    };
    let workloads = read.accounts.iter().flat_map(|account| &account.workloads);
    let mut lines: Vec<String> = workloads
        .flat_map(|w| {
            w.addresses.iter().map(move |c| format!("{} {} {}..{}", w.id, c.ip, bound(c.from), bound(c.to)))
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn names_are_distinct_and_described() {
    let mut names: Vec<&str> = CONNECTORS.iter().flat_map(|c| [&[c.name], c.aliases].concat()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for connector in CONNECTORS {
        assert!(!connector.title.is_empty() && !connector.description.is_empty(), "{}", connector.name);
        assert!(
            samples().iter().any(|(name, _)| *name == connector.name),
            "add a sample of `{}` here",
            connector.name
        );
        assert_eq!(
            connector.name == model::LIST,
            connector.rank == model::LIST_RANK,
            "lists come before all"
        );
    }
}

#[test]
fn content_alone_recognises_every_sample_and_no_other_does() {
    for (name, text) in samples() {
        let probe = Probe::of(text);
        let found: Vec<&str> = CONNECTORS
            .iter()
            .filter(|c| c.name != model::LIST && (c.detect)(&probe))
            .map(|c| c.name)
            .collect();
        let expected: &[&str] = if name == model::LIST { &[] } else { &[name] };
        assert_eq!(found, expected, "{text}");
        assert_eq!(connector::detect(text).name, name);
    }
}

#[test]
fn every_sample_says_something_of_its_address() {
    let ip: model::Ip = "10.0.0.1".parse().unwrap();
    for (name, text) in samples() {
        let read = read_as(name, text);
        let claims = read.accounts.iter().flat_map(|a| &a.workloads).flat_map(|w| &w.addresses);
        assert!(
            claims.map(|c| c.ip).chain(read.names.iter().map(|n| n.ip)).all(|found| found == ip),
            "{text}"
        );
        assert!(!read.accounts.is_empty() || !read.names.is_empty(), "{text}");
        assert_eq!((read.rejects.len(), read.files[0].format), (0, name), "{text}");
        assert!(read.files[0].records > 0, "{text}");
        assert!(read.accounts.iter().all(|account| account.source == name));
    }
}

fn all_at_once(order: &[(&str, &str)], known: &Known) -> Reading {
    let files: Vec<_> =
        order.iter().enumerate().map(|(n, (_, t))| (format!("{n}"), t.as_bytes().to_vec())).collect();
    let mut read =
        reading::read(&files, None, &ReadOptions { now: NOW, ..ReadOptions::default() }, known).unwrap();
    (read.files, read.locations) = (Vec::new(), BTreeMap::new());
    read
}

#[test]
fn the_order_of_files_does_not_matter_and_reading_twice_adds_nothing() {
    // The two lists are one.
    let mut order: Vec<_> = samples().into_iter().skip(1).collect();
    let read = all_at_once(&order, &Known::default());
    order.reverse();
    assert_eq!(all_at_once(&order, &Known::default()), read);
    let twice: Vec<_> =
        order.iter().chain(order.iter().filter(|(name, _)| *name != model::LIST)).copied().collect();
    assert_eq!(all_at_once(&twice, &Known::default()).accounts, read.accounts);
    // What is known already keeps its id.
    assert_eq!(all_at_once(&order, &read.keys), read);
}

#[test]
fn one_thing_in_several_sources_is_one_workload() {
    let lease = "lease 10.0.0.1 {\n starts 4 2026/11/19 08:00:00;\n ends never;\n binding state active;\n hardware ethernet 0a:00:00:00:00:01;\n}\n";
    let scan = "<nmaprun start=\"1795100000\"><host><status state=\"up\"/><address addr=\"10.0.0.1\" addrtype=\"ipv4\"/>\
                <address addr=\"0A:00:00:00:00:01\" addrtype=\"mac\"/><ports><port protocol=\"tcp\" portid=\"22\"><state state=\"open\"/></port></ports></host></nmaprun>";
    let instance = "{\"Reservations\":[{\"Instances\":[{\"InstanceId\":\"i-1\",\"LaunchTime\":\"2026-11-19T08:00:00Z\",\
        \"NetworkInterfaces\":[{\"MacAddress\":\"0a:00:00:00:00:01\",\"PrivateIpAddresses\":[{\"PrivateIpAddress\":\"10.0.0.1\"}]}]}]}]}";
    let node = "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n\"},\"spec\":{\"providerID\":\"aws:///a/i-1\"},\
        \"status\":{\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"10.0.0.1\"}]}}";
    let all = [("", lease), ("", scan), ("", instance), ("", node)];
    let read = all_at_once(&all, &Known::default());
    let ids: Vec<&str> = read.accounts.iter().flat_map(|a| &a.workloads).map(|w| w.id.0.as_str()).collect();
    assert_eq!(ids, ["n[Node]"; 4]);
    let inventory = model::Inventory::of(read.accounts, read.names, model::JoinOptions::default());
    assert_eq!((inventory.workloads().len(), inventory.overlaps().len()), (1, 0));
    assert_eq!(inventory.workloads()[0].labels["ports"], "tcp/22");
    // Two things of one name are two.
    let other = lease
        .replace("0a:00", "0b:00")
        .replace("10.0.0.1", "10.0.0.2")
        .replace(" hardware", " client-hostname \"n\";\n hardware");
    assert_eq!(all_at_once(&[("", lease), ("", &other)], &Known::default()).accounts[0].workloads.len(), 2);
    // A thing that is known by an earlier id keeps it.
    let known = Known::from([("mac:0a:00:00:00:00:01".to_owned(), WorkloadId("old".to_owned()))]);
    assert_eq!(all_at_once(&all, &known).accounts[0].workloads[0].id.0, "old");
}

#[test]
fn what_is_cut_off_keeps_its_beginning() {
    for (name, text) in samples().into_iter().filter(|(name, _)| *name != model::LIST) {
        for end in
            (0..text.len()).filter(|end| text.is_char_boundary(*end) && !text[..*end].trim().is_empty())
        {
            read_in("", name, &text[..end]);
        }
    }
}

#[test]
fn hostile_depth_and_width_are_borne() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let wide = format!("{{\"items\":[{}]}}", vec!["{\"kind\":\"Pod\"}"; 50_000].join(","));
    let long = format!("lease 10.0.0.1 {{ uid \"{}\"; ", "\\000".repeat(100_000));
    let same: String = (0..50_000)
        .map(|n| {
            format!("{} 00:16:3e:00:{:02x}:{:02x} 10.0.0.1 h *\n", 1_600_000_000 + n, n / 256 % 256, n % 256)
        })
        .collect();
    for connector in CONNECTORS.iter().filter(|c| c.name != model::LIST) {
        for text in [&deep, &wide, &long, &same] {
            let read = read_in("", connector.name, text);
            assert!(read.rejects.len() <= Refused::MOST);
        }
    }
}

proptest! {
    #[test]
    fn damaged_texts_never_panic(which in 0..18_usize, at in 0..400_usize, byte in any::<u8>(), cut in 0..60_usize) {
        let all = samples();
        let (name, text) = all[which % all.len()];
        let mut bytes = text.as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.drain(at..(at + cut).min(text.len()));
        let files = [("damaged".to_owned(), bytes)];
        for format in [None, find(name)] {
            let _ = reading::read(&files, format, &ReadOptions::default(), &Known::default());
        }
    }
}
