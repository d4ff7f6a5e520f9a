//! One audit record: raw, enriched (behind a group separator), or interpreted.

use model::Micros;
use netset::Ip;

use crate::text::bytes::{decimal, ip, shown};
use crate::text::pairs::Pairs;
use crate::text::times::{civil, seconds};

/// What every record begins with.
pub(super) struct Head<'a> {
    /// The host, where auditd is told to write it.
    pub(super) node: &'a [u8],
    pub(super) kind: &'a [u8],
    /// What the records of an event have in common.
    pub(super) key: Vec<u8>,
    pub(super) at: Micros,
    pub(super) rest: &'a [u8],
}

impl<'a> Head<'a> {
    /// `offset` is what interpreted times are ahead of UTC.
    pub(super) fn of(line: &'a [u8], offset: Micros) -> Option<Self> {
        let kind_at = memchr::memmem::find(line, b"type=")?;
        let node = memchr::memmem::find(&line[..kind_at], b"node=")
            .map_or(&[][..], |at| word(&line[at + 5..kind_at]));
        let kind = word(&line[kind_at + 5..]);
        let behind = &line[kind_at + 5 + kind.len()..];
        let stamp = behind.strip_prefix(b" msg=audit(").or_else(|| behind.strip_prefix(b" audit("))?;
        let end = stamp.iter().take(64).position(|byte| *byte == b')')?;
        let (stamp, rest) = (&stamp[..end], &stamp[end + 1..]);
        let colon = stamp.iter().rposition(|byte| *byte == b':')?;
        decimal(&stamp[colon + 1..])?;
        let time = &stamp[..colon];
        let at = seconds(time).or_else(|| interpreted(time).map(|at| at - offset))?;
        let mut key = node.to_vec();
        key.push(b' ');
        key.extend_from_slice(stamp);
        let rest = rest.trim_ascii_start();
        let rest = rest.strip_prefix(b":").unwrap_or(rest);
        Some(Self { node, kind, key, at, rest })
    }
}

fn word(text: &[u8]) -> &[u8] {
    &text[..text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len())]
}

/// `09/13/2020 12:26:40.000`.
fn interpreted(text: &[u8]) -> Option<Micros> {
    let number = |from: usize, to: usize| i64::try_from(decimal(text.get(from..to)?)?).ok();
    let at = civil([
        number(6, 10)?,
        number(0, 2)?,
        number(3, 5)?,
        number(11, 13)?,
        number(14, 16)?,
        number(17, 19)?,
    ])?;
    let millis = if text.len() == 23 { number(20, 23)? } else { 0 };
    Some(at + millis * 1_000)
}

/// A call that opens or accepts a connection, or makes a socket.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    pub(super) what: What,
    pub(super) outcome: Outcome,
    pub(super) pid: u64,
    /// The first two arguments.
    pub(super) first: u64,
    pub(super) second: u64,
    pub(super) exe: Option<String>,
    pub(super) user: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Connect,
    Accept,
    Socket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It succeeded with this value.
    Done(u64),
    /// As only a stream's connection ends: in progress, refused by the other side, timed out.
    OfStream,
    /// The host's own security module or filter did not let it.
    Refused,
    Other,
}

/// The other side of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Address {
    Ip(Ip, u16),
    Other,
}

/// The call of a `SYSCALL` record; `None` for calls of other kinds.
pub(super) fn call(rest: &[u8]) -> Result<Option<Call>, String> {
    let rest = plain(rest);
    let (mut arch, mut number, mut name, mut exit) = (&b""[..], &b""[..], &b""[..], &b""[..]);
    let (mut uid, mut uid_name) = (None, None);
    let (mut pid, mut first, mut second, mut exe) = (0, 0, 0, None);
    for (key, value) in Pairs(&rest) {
        match key {
            b"arch" => arch = value,
            b"syscall" => number = value,
            b"SYSCALL" => name = value,
            b"exit" => exit = value,
            b"pid" => pid = decimal(value).unwrap_or(0),
            b"a0" => first = hexadecimal(value),
            b"a1" => second = hexadecimal(value),
            b"exe" => exe = Some(shown(value)),
            b"uid" => uid = Some(shown(value)),
            b"UID" => uid_name = Some(shown(value)),
            _ => {}
        }
    }
    if number.is_empty() {
        return Err("the record is cut off: expected `syscall=`".to_owned());
    }
    let name = if name.is_empty() { number } else { name };
    let Some(what) = by_name(name).or_else(|| by_number(arch, decimal(number)?, first)) else {
        return Ok(None);
    };
    let user = uid_name.or(uid).filter(|user| !user.is_empty());
    Ok(Some(Call { what, outcome: outcome(exit), pid, first, second, exe, user }))
}

/// A record with the group separator before what was enriched as a space.
fn plain(rest: &[u8]) -> Vec<u8> {
    rest.iter().map(|byte| if *byte == 0x1d { b' ' } else { *byte }).collect()
}

fn hexadecimal(value: &[u8]) -> u64 {
    let digits = value.strip_prefix(b"0x").unwrap_or(value);
    std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0)
}

fn by_name(name: &[u8]) -> Option<What> {
    match name {
        b"connect" => Some(What::Connect),
        b"accept" | b"accept4" => Some(What::Accept),
        b"socket" => Some(What::Socket),
        _ => None,
    }
}

/// The kernel's numbers of calls differ by machine; those of `socketcall` are in its first argument.
fn by_number(arch: &[u8], number: u64, first: u64) -> Option<What> {
    let [connect, accept, accept4, socket] = match arch {
        b"c000003e" => [42, 43, 288, 41],
        b"c00000b7" | b"c00000f3" => [203, 202, 242, 198],
        b"c0000015" => [328, 330, 344, 326],
        b"40000003" | b"80000016" if number == 102 => {
            return match first {
                3 => Some(What::Connect),
                5 | 18 => Some(What::Accept),
                _ => None,
            };
        }
        b"40000003" | b"80000016" => [362, u64::MAX, 364, 359],
        b"40000028" => [283, 285, 366, 281],
        _ => return None,
    };
    match number {
        _ if number == connect => Some(What::Connect),
        _ if number == accept || number == accept4 => Some(What::Accept),
        _ if number == socket => Some(What::Socket),
        _ => None,
    }
}

fn outcome(exit: &[u8]) -> Outcome {
    let name = exit.split(|byte| *byte == b'(').next().unwrap_or_default();
    match name {
        b"-115" | b"EINPROGRESS" | b"-111" | b"ECONNREFUSED" | b"-110" | b"ETIMEDOUT" => Outcome::OfStream,
        b"-13" | b"EACCES" | b"-1" | b"EPERM" => Outcome::Refused,
        _ => decimal(name)
            .or_else(|| name.starts_with(b"0x").then(|| hexadecimal(name)))
            .map_or(Outcome::Other, Outcome::Done),
    }
}

/// The address of a `SOCKADDR` record.
pub(super) fn address(rest: &[u8]) -> Result<Address, String> {
    let rest = plain(rest);
    let (mut raw, mut laddr, mut lport) = (None, None, None);
    for (key, value) in Pairs(&rest) {
        match key {
            b"saddr" => raw = Some(value),
            b"laddr" => laddr = Some(value),
            b"lport" => lport = Some(value),
            _ => {}
        }
    }
    if let (Some(address), Some(port)) = (laddr, lport) {
        let port = decimal(port).and_then(|port| u16::try_from(port).ok());
        let sound = ip(address).zip(port).map(|(address, port)| Address::Ip(address, port));
        return sound.ok_or_else(|| format!("`{}` is not an address", shown(address)));
    }
    let raw = raw.ok_or("the record is cut off: expected `saddr=`")?;
    if raw.first() == Some(&b'{') || raw.iter().any(|byte| !byte.is_ascii_hexdigit()) {
        return Ok(Address::Other);
    }
    structure(raw).ok_or_else(|| format!("`{}` is no socket address", shown(raw)))
}

/// A socket address as the kernel has it, in hexadecimal digits. The family is in the machine's order of bytes.
fn structure(hex: &[u8]) -> Option<Address> {
    let byte = |at: usize| {
        let digits = std::str::from_utf8(hex.get(at * 2..at * 2 + 2)?).ok()?;
        u8::from_str_radix(digits, 16).ok()
    };
    let family = match (byte(0)?, byte(1)?) {
        (family, 0) | (0, family) => family,
        _ => return Some(Address::Other),
    };
    let port = || Some(u16::from(byte(2)?) << 8 | u16::from(byte(3)?));
    match family {
        2 => {
            let bits = (4..8).try_fold(0, |bits, at| Some(bits << 8 | u32::from(byte(at)?)))?;
            Some(Address::Ip(Ip::v4(bits), port()?))
        }
        10 => {
            let bits = (8..24).try_fold(0, |bits, at| Some(bits << 8 | u128::from(byte(at)?)))?;
            Some(Address::Ip(Ip::from(std::net::IpAddr::from(std::net::Ipv6Addr::from(bits))), port()?))
        }
        _ => Some(Address::Other),
    }
}
