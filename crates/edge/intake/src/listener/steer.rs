//! Which socket of a port gets a datagram: a filter that the kernel runs.
//!
//! Classic BPF (`SO_ATTACH_REUSEPORT_CBPF`, Linux 4.5), which needs no privilege: the exporter's address, mixed by a
//! multiplication, modulo the number of sockets. The kernel's own hash looks at the port too; an exporter that sends
//! each datagram from another port, which some do, would have its templates in one decoder and its data in another.

use std::io;
use std::os::fd::AsFd;

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

/// From where loads count from the start of the IP header.
const NETWORK: u32 = libc::SKF_NET_OFF.cast_unsigned();

/// 2^32 divided by the golden ratio: neighbouring addresses come far apart (Knuth, TAOCP 3, 6.4).
const MIX: u32 = 0x9e37_79b9;

const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_ABS;
const TO_X: u32 = libc::BPF_MISC | libc::BPF_TAX;
const XOR_X: u32 = libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X;
const AND: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const MULTIPLY: u32 = libc::BPF_ALU | libc::BPF_MUL | libc::BPF_K;
const SHIFT_RIGHT: u32 = libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K;
const MODULO: u32 = libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K;
const JUMP_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_A;

/// Has the kernel choose among the sockets of a port, in the order in which they were bound, by the sender's address.
pub(super) fn by_address(socket: &impl AsFd, sockets: u32) -> io::Result<()> {
    let mut program = program(sockets);
    // The kernel copies the program.
    let filter =
        libc::sock_fprog { len: u16::try_from(program.len()).unwrap_or(0), filter: program.as_mut_ptr() };
    Ok(setsockopt(socket, sockopt::AttachReusePortCbpf, &filter)?)
}

fn program(sockets: u32) -> Vec<libc::sock_filter> {
    let step = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut program = vec![
        step(LOAD_BYTE, NETWORK),
        step(AND, 0xf0),
        // IPv4: one word. IPv6, over whose socket IPv4 may come too: four, after a jump over two steps.
        libc::sock_filter { code: JUMP_EQUAL as u16, jt: 0, jf: 2, k: 0x40 },
        step(LOAD_WORD, NETWORK + 12),
        libc::sock_filter { code: (libc::BPF_JMP | libc::BPF_JA) as u16, jt: 0, jf: 0, k: 10 },
        step(LOAD_WORD, NETWORK + 8),
    ];
    for word in [12, 16, 20] {
        program.extend([step(TO_X, 0), step(LOAD_WORD, NETWORK + word), step(XOR_X, 0)]);
    }
    program.extend([
        step(MULTIPLY, MIX),
        step(SHIFT_RIGHT, 16),
        step(MODULO, sockets.max(1)),
        step(RETURN, 0),
    ]);
    program
}
