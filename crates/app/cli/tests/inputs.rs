//! Where flows come from: patterns, packed files, files that grow, object stores.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on shall stop"
)]

mod support;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{good, run, stored, write_log};

#[test]
fn patterns_and_packed_files() {
    let folder = tempfile::tempdir().unwrap();
    let days = folder.path().join("days");
    for day in ["2026-11-19", "2026-11-20"] {
        fs::create_dir_all(days.join(day)).unwrap();
        let log = days.join(day).join("flows.log");
        write_log(&log, 10);
        // The same content twice is the same source; each day has its own.
        fs::write(&log, fs::read_to_string(&log).unwrap().replace("eni-", &format!("eni-{day}-"))).unwrap();
        assert!(Command::new("gzip").arg(&log).status().unwrap().success());
    }
    good(folder.path(), &["init", "p"]);
    let project = folder.path().join("p");
    let listed = good(&project, &["import", "auto", "../days/*/*.gz", "-o", "csv"]);
    assert_eq!(listed.matches(".log.gz,aws-vpc,10,").count(), 2, "{listed}");
    assert_eq!(stored(&project), 20);
    let none = run(&project, &["import", "auto", "../days/*/*.zst"]);
    assert!(none.code == Some(1) && none.err.contains("no file matches `../days/*/*.zst`"), "{none:?}");
}

fn azure(hours: &[u32]) -> String {
    let records: Vec<String> = hours
        .iter()
        .map(|minute| {
            format!(
                "{{\"time\":\"2020-09-13T12:{minute:02}:41Z\",\"macAddress\":\"00224871C205\",\"category\":\"FlowLogFlowEvent\",\
                 \"flowLogVersion\":4,\"flowRecords\":{{\"flows\":[{{\"aclID\":\"0\",\"flowGroups\":[{{\"rule\":\"r\",\"flowTuples\":\
                 [\"16000{minute:02}000123,10.0.0.1,10.0.0.2,491{minute:02},443,6,O,E,NX,3,180,2,120\"]}}]}}]}}}}"
            )
        })
        .collect();
    format!("{{\"records\":[{}]}}", records.join(","))
}

#[test]
fn a_json_array_that_grows_is_read_without_duplicates() {
    let folder = tempfile::tempdir().unwrap();
    good(folder.path(), &["init", "p"]);
    let project = folder.path().join("p");
    let log = folder.path().join("PT1H.json");
    for (minutes, flows) in [(&[10_u32][..], 1), (&[10, 11], 2), (&[10, 11, 12, 13], 4)] {
        fs::write(&log, azure(minutes)).unwrap();
        good(&project, &["import", "auto", "../PT1H.json"]);
        assert_eq!(stored(&project), flows);
    }
    // Another hour under the same name is not the old one grown.
    fs::write(&log, azure(&[20, 21, 22, 23, 24])).unwrap();
    good(&project, &["import", "auto", "../PT1H.json"]);
    assert_eq!(stored(&project), 9);
    good(&project, &["doctor", "--thorough"]);
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn objects_are_imported_by_version() {
    let program = testkit::repository().join("target/peers/venv/bin/moto_server");
    if !program.exists() {
        eprintln!("SKIPPED: no `{}`; `cargo xtask test` installs it", program.display());
        return;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let arguments = ["-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
    let started = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _server = Server(started.unwrap());
    let patience = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(patience.elapsed() < Duration::from_secs(60), "moto does not answer");
        std::thread::sleep(Duration::from_millis(100));
    }
    let root = format!("http://127.0.0.1:{port}");
    let put = |name: &str, body: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail", "-o", "/dev/null", "-X", "PUT", "-H", "Content-Type: text/plain"]);
        curl.args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "test:never-shown"]);
        assert!(curl.args(["--data-binary", body]).arg(format!("{root}/{name}")).status().unwrap().success());
    };
    put("logs", "");
    put("logs/day/m=00/PT1H.json", &azure(&[10]));
    put("logs/day/m=01/PT1H.json", &azure(&[30, 31]));
    let folder = tempfile::tempdir().unwrap();
    good(folder.path(), &["init", "p"]);
    let project = folder.path().join("p");
    let import = |url: &str| {
        let mut command = support::ringfence(&project, &["import", "auto", url, "-o", "csv"]);
        command.env("AWS_ENDPOINT", &root).env("AWS_ALLOW_HTTP", "true").env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "never-shown");
        let done = command.output().unwrap();
        let text =
            [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(!text.contains("never-shown"), "{text}");
        (done.status.code(), text)
    };
    let (code, text) = import("s3://logs/day/*/PT1H.json");
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(stored(&project), 3);
    put("logs/day/m=00/PT1H.json", &azure(&[10, 11]));
    let (code, text) = import("s3://logs/day/");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("stored before"), "{text}");
    assert_eq!(stored(&project), 4, "the hour that grew replaced what it was");
    let (code, text) = import("s3://logs/none/");
    assert!(code == Some(1) && text.contains("nothing is stored at `s3://logs/none/`"), "{text}");
}
