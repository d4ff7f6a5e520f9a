//! nftables, one atomic file for each host.
//!
//! The file owns one table, `inet ringfence`, and re-creates it in one transaction; other tables are never touched.
//! Its two base chains, on the hooks `input` and `output`, have policy `accept` and end in an explicit verdict, so
//! that what other tables drop stays dropped and what they accept is still looked at here. `forward` is left alone.
//!
//! A packet costs about the same whatever the number of rules: replies leave in the second rule; a new conversation
//! is looked up once by its service in a verdict map, and the chain that it is sent to holds only the rules that
//! name that service, each with one lookup of its peers in a set. A service that many rules name gets a second map, from
//! the peer's address to the chain of the first rule that names it.
//!
//! ```text
//! input:  mode, floor, own addresses -> map in_ports | in_icmp | in_icmpv6 | in_protocols -> in_default
//! in_tcp_443:  guardrail allows, guardrail denies, allows -> in_default
//! ```

mod classes;
mod evaluate;
mod floor;
mod json;
mod maps;
mod names;
mod parse;
mod render;
mod statement;
mod tokens;

use crate::target::{Peer, Read, ReadBack, ReadError, Source, Target};

/// The table that artifacts own; its family is `inet`.
pub const TABLE: &str = "ringfence";

/// The netfilter log group that denials are sent to (`ulogd`, `tcpdump -i nflog:100`).
pub const LOG_GROUP: u16 = 100;

/// The target's row.
pub(crate) const TARGET: Target = Target {
    name: "nftables",
    title: "nftables on a Linux host, one table `inet ringfence`",
    limits: &[
        "replies, ICMP errors about allowed conversations, loopback, IPv6 neighbour and multicast-listener \
         discovery and the host's own DHCP client pass apart from any rule; reading rules back reports them as the \
         floor",
        "connections that a helper such as FTP's expects are new conversations and need a rule",
        "traffic to or from addresses of the host that the inventory does not know is denied",
        "a connection that stands when stricter rules are loaded stays; one that nobody tracked before the first load \
         is a new conversation when its next packet comes, so load mode `observe` or `test` first",
        "forwarded traffic (containers, routers) is not looked at",
        "a rule's id holds up to 100 of `A-Z a-z 0-9 - _ . : / + @`",
        "protocols without ports or ICMP types are allowed wholly or not at all",
    ],
    render: render::render,
    read,
};

/// Reads each source by itself: an artifact, or what `nft list` or `nft -j list` printed.
fn read(sources: &[Source], _: &[Peer]) -> Read {
    let (mut read, mut errors) = (Vec::new(), Vec::new());
    for source in sources {
        match read_one(source) {
            Ok(back) => read.push(back),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(read) } else { Err(errors) }
}

fn read_one(source: &Source) -> Result<ReadBack, ReadError> {
    let translated;
    let text = if source.text.trim_start().starts_with('{') {
        translated = json::to_text(&source.text);
        translated.as_deref()
    } else {
        Ok(source.text.as_str())
    };
    let read = text.map_err(Clone::clone).and_then(|text| evaluate::evaluate(&parse::parse(text)?));
    read.map_err(|problem| ReadError {
        file_name: source.file_name.clone(),
        line: problem.line,
        found: problem.found,
        problem: problem.what,
    })
}

/// What is wrong on a line of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Misread {
    line: usize,
    found: String,
    what: String,
}
