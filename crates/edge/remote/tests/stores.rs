//! Against servers that speak the clouds' protocols: moto (S3) and Azurite (Azure Blob), which `cargo xtask test` puts
//! into `target/peers`. Skips loudly without them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use remote::{Remote, RemoteError};

/// A server that ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a program of `target/peers`, or the folder that `RINGFENCE_PEERS` names, on a free port.
fn serve(program: &str, arguments: impl Fn(u16) -> Vec<String>) -> Option<Server> {
    let folder = std::env::var_os("RINGFENCE_PEERS")
        .map_or_else(|| testkit::repository().join("target/peers"), PathBuf::from);
    let program = folder.join(program);
    if !program.exists() {
        eprintln!("SKIPPED: no `{}`; `cargo xtask test` installs it", program.display());
        return None;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new(&program)
        .args(arguments(port))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server { child, port };
    let patience = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(patience.elapsed() < Duration::from_secs(60), "`{}` does not answer", program.display());
        std::thread::sleep(Duration::from_millis(100));
    }
    Some(server)
}

fn curl(arguments: &[&str]) {
    let done =
        Command::new("curl").args(["-sS", "--fail", "-o", "/dev/null"]).args(arguments).status().unwrap();
    assert!(done.success(), "curl {arguments:?}");
}

fn names(remote: &Remote, url: &str) -> Vec<String> {
    remote.list(url).unwrap().into_iter().map(|object| object.url).collect()
}

fn content(remote: &Remote, url: &str, from: u64) -> Vec<u8> {
    let objects = remote.list(url).unwrap();
    let mut bytes = Vec::new();
    remote.open(&objects[0], from).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// Larger than two portions, so that it is fetched in several.
fn large() -> Vec<u8> {
    (0..20_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn s3_objects_are_listed_and_read() {
    let Some(server) = serve("venv/bin/moto_server", |port| {
        vec!["-H".into(), "127.0.0.1".into(), "-p".into(), port.to_string()]
    }) else {
        return;
    };
    let root = format!("http://127.0.0.1:{}", server.port);
    curl(&["-X", "PUT", &format!("{root}/logs")]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    std::fs::write(&file, large()).unwrap();
    for name in ["a/2026-11-19/x.log.gz", "a/2026-11-20/y.log.gz", "a/2026-11-20/deep/z.log", "b%20c/w.log"] {
        curl(&[
            "-X",
            "PUT",
            "-H",
            "Content-Type: text/plain",
            "--data-binary",
            name,
            &format!("{root}/logs/{name}"),
        ]);
    }
    curl(&[
        "-X",
        "PUT",
        "-H",
        "Content-Type: text/plain",
        "-H",
        "Expect:",
        "--upload-file",
        file.to_str().unwrap(),
        &format!("{root}/logs/large"),
    ]);
    let settings = [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "never-shown"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT", root.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let remote = Remote::new(settings).unwrap();
    assert_eq!(
        names(&remote, "s3://logs/a/"),
        [
            "s3://logs/a/2026-11-19/x.log.gz",
            "s3://logs/a/2026-11-20/deep/z.log",
            "s3://logs/a/2026-11-20/y.log.gz"
        ]
    );
    assert_eq!(names(&remote, "s3://logs").len(), 5);
    assert_eq!(
        names(&remote, "s3://logs/a/*/*.gz"),
        ["s3://logs/a/2026-11-19/x.log.gz", "s3://logs/a/2026-11-20/y.log.gz"]
    );
    assert_eq!(names(&remote, "s3://logs/a/2026-11-2*/**/*.log"), ["s3://logs/a/2026-11-20/deep/z.log"]);
    assert_eq!(content(&remote, "s3://logs/a/2026-11-20/y.log.gz", 0), b"a/2026-11-20/y.log.gz");
    assert_eq!(content(&remote, "s3://logs/b c/w.log", 5), b"/w.log");
    assert!(
        content(&remote, "s3://logs/large", 0) == large(),
        "an object in several portions is what it was"
    );
    assert!(matches!(remote.list("s3://logs/none/"), Err(RemoteError::Nothing { .. })));
    let error = remote.list("s3://no-such-bucket/x/").unwrap_err().to_string();
    assert!(error.starts_with("cannot list `s3://no-such-bucket/x/`: "), "{error}");
    assert!(!error.contains("never-shown"));
}

/// Sends a request signed as Azure Storage's Shared Key wants it, with the key that every Azurite has.
const SIGNED_PUT: &str = r#"
import base64, email.utils, hashlib, hmac, sys, urllib.request
root, path, query, body = sys.argv[1:5]
account = "devstoreaccount1"
key = base64.b64decode("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==")
data = body.encode()
headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
if not query: headers["x-ms-blob-type"] = "BlockBlob"
resource = f"/{account}/{account}/{path}" + ("\nrestype:container" if query else "")
known = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
length = str(len(data)) if data else ""
kind = "text/plain"
text = f"PUT\n\n\n{length}\n\n{kind}\n\n\n\n\n\n\n{known}{resource}"
mac = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
headers |= {"Authorization": f"SharedKey {account}:{mac}", "Content-Type": kind, "Content-Length": str(len(data))}
request = urllib.request.Request(f"{root}/{account}/{path}{query}", data=data, method="PUT", headers=headers)
urllib.request.urlopen(request)
"#;

#[test]
fn azure_blobs_are_listed_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display().to_string();
    let arguments = |port: u16| {
        let port = port.to_string();
        ["--blobPort", &port, "--location", &place, "--silent", "--skipApiVersionCheck"]
            .map(String::from)
            .to_vec()
    };
    let Some(server) = serve("npm/node_modules/.bin/azurite-blob", arguments) else { return };
    let root = format!("http://127.0.0.1:{}", server.port);
    let put = |path: &str, query: &str, body: &str| {
        let done =
            Command::new("python3").args(["-c", SIGNED_PUT, &root, path, query, body]).status().unwrap();
        assert!(done.success(), "cannot put {path}");
    };
    put("insights-logs", "?restype=container", "");
    put("insights-logs/m=00/PT1H.json", "", "{\"records\":[]}");
    put("insights-logs/m=01/PT1H.json", "", "{\"records\":[{}]}");
    let settings = [
        ("AZURE_STORAGE_ACCOUNT_NAME", "devstoreaccount1".to_owned()),
        (
            "AZURE_STORAGE_ACCOUNT_KEY",
            "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
                .to_owned(),
        ),
        ("AZURE_STORAGE_ENDPOINT", format!("{root}/devstoreaccount1")),
        ("AZURE_ALLOW_HTTP", "true".to_owned()),
    ];
    let remote = Remote::new(settings.map(|(name, value)| (name.to_owned(), value))).unwrap();
    assert_eq!(
        names(&remote, "az://insights-logs/m=*/PT1H.json"),
        ["az://insights-logs/m=00/PT1H.json", "az://insights-logs/m=01/PT1H.json"]
    );
    assert_eq!(content(&remote, "az://insights-logs/m=01/PT1H.json", 0), b"{\"records\":[{}]}");
}
