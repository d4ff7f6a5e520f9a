//! What netfilter logs: ulogd2's JSON (packets of NFLOG, connections of NFCT), and the lines of the kernel's LOG target.

mod json;
mod line;

use memchr::memmem::find;
use model::Verdict;

use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::syslog::Syslog;
use crate::text::{Fault, Shape, Sink, TextFormat, open_text};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "ulogd",
    aliases: &["nflog", "iptables", "nftables", "netfilter"],
    title: "netfilter logs (ulogd2 JSON, iptables and nftables LOG lines)",
    description: "What rules of iptables and nftables log: ulogd2's JSON of packets (NFLOG) and connections (NFCT), and the \
                  kernel's lines (`IN=eth0 OUT= SRC=..`) as syslog, journals and ulogd's LOGEMU have them. A logged packet is \
                  a flow without counts; the prefix is the rule, and the verdict if it says so in plain words (drop, reject, \
                  deny, block; accept, allow). A connection has the kernel's word on who the client is, NAT, and counts where \
                  they are kept (`nf_conntrack_acct`); only its end has them. Times without a zone are taken as UTC \
                  unless an offset is given.",
    status: Status::Documented,
    detect,
    open,
};

fn detect(head: &[u8]) -> bool {
    let has = |text: &str| find(head, text.as_bytes()).is_some();
    if head.trim_ascii_start().first().is_some_and(|first| matches!(first, b'{' | b'[')) {
        let packet = has("\"oob.family\"") || has("\"oob.prefix\"") || has("\"oob.hook\"");
        return packet || has("\"orig.ip.protocol\"");
    }
    head.split(|byte| *byte == b'\n').take(20).any(|line| {
        [&b"IN="[..], b" OUT=", b" SRC=", b" DST=", b" PROTO="].iter().all(|part| find(line, part).is_some())
    })
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    let log = Log { syslog: Syslog::default(), offset: input.offset_from_utc() };
    open_text(SOURCE.name, "lines of netfilter's logs or of ulogd2's JSON", Shape::JSON, input, log)
}

struct Log {
    syslog: Syslog,
    offset: i64,
}

impl TextFormat for Log {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        if text.first() == Some(&b'{') {
            return json::record(text, self.offset, sink);
        }
        line::record(text, &mut self.syslog, self.offset, sink)
    }
}

/// What a prefix says in plain words. One that says both, or neither, says nothing.
fn verdict(prefix: &str) -> Verdict {
    let (mut allow, mut deny) = (false, false);
    for word in prefix.split(|c: char| !c.is_ascii_alphanumeric()) {
        match word.to_ascii_uppercase().as_str() {
            "ACCEPT" | "ACCEPTED" | "ALLOW" | "ALLOWED" | "PERMIT" | "PERMITTED" | "PASS" | "PASSED" => {
                allow = true
            }
            "DROP" | "DROPPED" | "REJECT" | "REJECTED" | "DENY" | "DENIED" | "BLOCK" | "BLOCKED" => {
                deny = true
            }
            _ => {}
        }
    }
    match (allow, deny) {
        (true, false) => Verdict::Allow,
        (false, true) => Verdict::Deny,
        _ => Verdict::Unknown,
    }
}

/// A prefix as a rule's name: without what only separates it from the rest.
fn rule(prefix: &str) -> Option<String> {
    let name = prefix.trim().trim_end_matches([':', '-', ' ']);
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests;
