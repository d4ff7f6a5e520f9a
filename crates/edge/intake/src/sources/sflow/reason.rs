//! Why a packet was discarded, by <https://sflow.org/sflow_drops.txt>: the ICMP codes of "destination unreachable", and the
//! reasons of switches from 256 on.

/// The reason's name, or its number when there is none yet.
pub(super) fn name(reason: u32) -> String {
    let (names, from): (&[&str], u32) = if reason < 256 { (&UNREACHABLE, 0) } else { (&SWITCH, 256) };
    match names.get((reason - from) as usize) {
        Some(name) => (*name).to_owned(),
        None => format!("reason {reason}"),
    }
}

const UNREACHABLE: [&str; 16] = [
    "net_unreachable",
    "host_unreachable",
    "protocol_unreachable",
    "port_unreachable",
    "frag_needed",
    "src_route_failed",
    "dst_net_unknown",
    "dst_host_unknown",
    "src_host_isolated",
    "dst_net_prohibited",
    "dst_host_prohibited",
    "dst_net_tos_unreachable",
    "dst_host_tos_unreachable",
    "comm_admin_prohibited",
    "host_precedence_violation",
    "precedence_cutoff",
];

const SWITCH: [&str; 48] = [
    "unknown",
    "ttl_exceeded",
    "acl",
    "no_buffer_space",
    "red",
    "traffic_shaping",
    "pkt_too_big",
    "src_mac_is_multicast",
    "vlan_tag_mismatch",
    "ingress_vlan_filter",
    "ingress_spanning_tree_filter",
    "port_list_is_empty",
    "port_loopback_filter",
    "blackhole_route",
    "non_ip",
    "uc_dip_over_mc_dmac",
    "dip_is_loopback_address",
    "sip_is_mc",
    "sip_is_loopback_address",
    "ip_header_corrupted",
    "ipv4_sip_is_limited_bc",
    "ipv6_mc_dip_reserved_scope",
    "ipv6_mc_dip_interface_local_scope",
    "unresolved_neigh",
    "mc_reverse_path_forwarding",
    "non_routable_packet",
    "decap_error",
    "overlay_smac_is_mc",
    "unknown_l2",
    "unknown_l3",
    "unknown_l3_exception",
    "unknown_buffer",
    "unknown_tunnel",
    "unknown_l4",
    "sip_is_unspecified",
    "mlag_port_isolation",
    "blackhole_arp_neigh",
    "src_mac_is_dmac",
    "dmac_is_reserved",
    "sip_is_class_e",
    "mc_dmac_mismatch",
    "sip_is_dip",
    "dip_is_local_network",
    "dip_is_link_local",
    "overlay_smac_is_dmac",
    "egress_vlan_filter",
    "uc_reverse_path_forwarding",
    "split_horizon",
];

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn reasons_have_the_names_of_the_standard() {
        for (number, expected) in [
            (1, "host_unreachable"),
            (15, "precedence_cutoff"),
            (16, "reason 16"),
            (256, "unknown"),
            (258, "acl"),
            (279, "unresolved_neigh"),
            (303, "split_horizon"),
            (304, "reason 304"),
            (u32::MAX, "reason 4294967295"),
        ] {
            assert_eq!(name(number), expected);
        }
    }
}
