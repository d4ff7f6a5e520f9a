//! The fields of a canonical flow, and the names that others have for them.

macro_rules! fields {
    ($($field:ident $name:literal: $($path:literal)*;)*) => {
        /// A field that a column can be.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Field { $($field),* }

        /// How many there are.
        pub(crate) const FIELDS: usize = [$(Field::$field),*].len();

        /// Every field with its canonical name, and the other names that are known for it, the better ones first. Points
        /// separate the members of JSON objects.
        pub(super) const KNOWN: [(Field, &str, &[&str]); FIELDS] =
            [$((Field::$field, $name, &[$name, $($path),*])),*];
    };
}

// ECS (elastic.co), OCSF (schema.ocsf.io), Splunk's CIM, IPFIX (IANA), pmacct, BigQuery's export of Google's flow logs.
fields! {
    Start "start": "event.start" "start_time" "flow_start" "first_seen" "first_switched" "flowStartMilliseconds"
        "flowStartSeconds" "jsonPayload.start_time" "@timestamp" "timestamp" "time" "ts" "_time";
    End "end": "event.end" "end_time" "flow_end" "last_seen" "last_switched" "flowEndMilliseconds" "flowEndSeconds"
        "jsonPayload.end_time" "stop_time";
    Duration "duration":;
    Exporter "exporter": "observer.name" "observer.hostname" "observer.ip" "exporterIPv4Address" "dvc" "device_name" "sensor";
    Protocol "protocol": "proto" "network.iana_number" "network.transport" "protocolIdentifier" "ip_proto" "ip_protocol"
        "transport" "connection_info.protocol_num" "connection_info.protocol_name" "jsonPayload.connection.protocol"
        "connection.protocol" "protocol_number";
    Source "src_ip": "source.ip" "source_ip" "src_endpoint.ip" "sourceIPv4Address" "sourceIPv6Address" "source_address"
        "source_ip_address" "src_address" "ip_src" "jsonPayload.connection.src_ip" "connection.src_ip" "src";
    SourcePort "src_port": "source.port" "source_port" "src_endpoint.port" "sourceTransportPort" "port_src" "sport"
        "jsonPayload.connection.src_port" "connection.src_port";
    Destination "dst_ip": "destination.ip" "destination_ip" "dst_endpoint.ip" "destinationIPv4Address" "destinationIPv6Address"
        "destination_address" "destination_ip_address" "dest_address" "dst_address" "ip_dst" "dest_ip"
        "jsonPayload.connection.dest_ip" "connection.dest_ip" "dest" "dst";
    DestinationPort "dst_port": "destination.port" "destination_port" "dst_endpoint.port" "destinationTransportPort"
        "dest_port" "port_dst" "dport" "jsonPayload.connection.dest_port" "connection.dest_port";
    IcmpType "icmp_type": "icmpTypeIPv4" "icmpTypeIPv6";
    IcmpCode "icmp_code": "icmpCodeIPv4" "icmpCodeIPv6";
    TcpFlags "tcp_flags": "tcpControlBits" "connection_info.tcp_flags";
    Packets "packets": "source.packets" "packetDeltaCount" "packetTotalCount" "traffic.packets_out" "packets_sent" "pkts"
        "src_packets" "jsonPayload.packets_sent";
    Bytes "bytes": "source.bytes" "octetDeltaCount" "octetTotalCount" "traffic.bytes_out" "bytes_sent" "sent_bytes" "octets"
        "src_bytes" "jsonPayload.bytes_sent";
    ReversePackets "reverse_packets": "destination.packets" "traffic.packets_in" "packets_received" "dst_packets";
    ReverseBytes "reverse_bytes": "destination.bytes" "traffic.bytes_in" "bytes_received" "received_bytes" "dst_bytes";
    Sampling "sampling":;
    Verdict "verdict": "action" "disposition" "decision";
    Direction "direction": "network.direction" "flowDirection" "connection_info.direction";
    Client "client":;
    ClientConfidence "client_confidence":;
    SourceWorkload "src_workload": "src_endpoint.hostname" "source_hostname" "src_hostname";
    DestinationWorkload "dst_workload": "dst_endpoint.hostname" "destination_hostname" "dst_hostname" "dest_hostname";
    Process "process": "process.name" "process_name" "actor.process.name";
    User "user": "user.name" "user_name" "source.user.name" "actor.user.name";
    ServiceName "service_name": "network.application" "applicationName" "app_name" "app" "service";
    NatSource "nat_src_ip": "source.nat.ip" "postNATSourceIPv4Address" "src_translated_ip";
    NatDestination "nat_dst_ip": "destination.nat.ip" "postNATDestinationIPv4Address" "dest_translated_ip";
    NatSourcePort "nat_src_port": "source.nat.port" "postNAPTSourceTransportPort" "src_translated_port";
    NatDestinationPort "nat_dst_port": "destination.nat.port" "postNAPTDestinationTransportPort" "dest_translated_port";
    Tunnel "tunnel":;
    Rule "rule": "rule.name" "rule_name" "policy_name" "firewall_rule.name";
}

impl Field {
    /// The field of a canonical name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        KNOWN.iter().find(|(_, known, _)| *known == name).map(|(field, ..)| *field)
    }

    /// The canonical name.
    pub(super) fn name(self) -> &'static str {
        KNOWN[self as usize].1
    }

    /// The field that a column's header names by one of the known names, and how good the name is: 0 is the best. Case,
    /// points, hyphens and underscores do not matter.
    pub(super) fn of_header(header: &str) -> Option<(Self, usize)> {
        let plain = plain(header);
        KNOWN.iter().find_map(|(field, _, names)| {
            names.iter().position(|name| self::plain(name) == plain).map(|rank| (*field, rank))
        })
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
