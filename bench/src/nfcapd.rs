//! nfdump's tools on the same records, and what processes cost.

use std::fs::File;
use std::io::{BufReader, Read};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// Sends the capture's datagrams to an `nfcapd` that writes to `store`.
pub fn feed(capture: &Path, store: &Path) -> Result<(), Failure> {
    let probe = UdpSocket::bind("127.0.0.1:0")?;
    let port = probe.local_addr()?.port();
    drop(probe);
    let mut nfcapd = Command::new("nfcapd")
        .args(["-b", "127.0.0.1", "-t", "3600", "-B", "16000000", "-p", &port.to_string(), "-l"])
        .arg(store)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    std::thread::sleep(Duration::from_millis(500));
    let sent = send(capture, port);
    std::thread::sleep(Duration::from_secs(1));
    stop(&mut nfcapd)?;
    sent
}

fn send(capture: &Path, port: u16) -> Result<(), Failure> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(("127.0.0.1", port))?;
    let mut file = BufReader::with_capacity(1 << 20, File::open(capture)?);
    file.read_exact(&mut [0; 24])?;
    let (mut count, mut packet) = (0_u32, Vec::new());
    let started = Instant::now();
    let mut header = [0; 16];
    while file.read_exact(&mut header).is_ok() {
        packet.resize(u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize, 0);
        file.read_exact(&mut packet)?;
        socket.send(&packet[28..])?;
        count += 1;
        // 4,000 a second: what nfcapd was measured to take without loss.
        let due = Duration::from_micros(u64::from(count) * 250);
        if let Some(early) = due.checked_sub(started.elapsed()).filter(|early| early.as_millis() > 2) {
            std::thread::sleep(early);
        }
    }
    Ok(())
}

fn stop(child: &mut Child) -> Result<(), Failure> {
    // nfcapd names its file properly only when it is asked to end.
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status()?;
    child.wait()?;
    Ok(())
}

/// Flows in the files of `store`, as nfdump counts them.
pub fn nfdump_flows(store: &Path) -> Result<usize, Failure> {
    let files: Vec<PathBuf> =
        std::fs::read_dir(store)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    let mut flows = 0;
    for file in files {
        let output = Command::new("nfdump").arg("-I").arg("-r").arg(&file).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("Flows: ")).unwrap_or("0");
        flows += line.trim().parse::<usize>()?;
    }
    Ok(flows)
}

/// User and system CPU seconds of this process, or of its children that ended.
pub fn cpu_seconds(children: bool) -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The fields after the command's closing bracket: state is the first of them, utime the twelfth.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let from = if children { 13 } else { 11 };
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    // A tick is 10 ms on Linux wherever this runs.
    Ok((ticks(from) + ticks(from + 1)) / 100.0)
}

/// The most memory that this process ever had resident.
pub fn peak_memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}
