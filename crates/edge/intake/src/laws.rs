//! Laws that every row of the table keeps. A new format needs one thing here: a sample of it, a file in `samples/`.

use std::io::Cursor;

use model::FlowBatch;
use proptest::prelude::*;

use crate::sources::mapped::parquet;
use crate::sources::netflow::tests::{capture, sample_v9};
use crate::sources::packets::tests::sample_capture;
use crate::sources::sflow::tests::sample_datagram;
use crate::{BATCH_ROWS, Input, IntakeError, SOURCES, Source, Summary, detect, find, open};

/// Inputs of each format, each with one flow from 10.0.0.1 to 10.0.0.2, port 443, at 1600000000: the files of `samples/`,
/// by their name up to the first dot, and the binary ones that are made here.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let mut samples = vec![
        ("netflow", sample_v9()),
        ("netflow", capture(&[sample_v9()])),
        ("sflow", capture(&[sample_datagram()])),
        ("pcap", sample_capture()),
    ];
    samples.extend(parquet::tests::samples().map(|sample| ("parquet", sample)));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files {
        let file = path.file_name().unwrap().to_str().unwrap();
        let name = file.split('.').next().unwrap();
        let source = find(name).unwrap_or_else(|| panic!("`{file}` is a sample of no row in the table"));
        samples.push((source.name, std::fs::read(&path).unwrap()));
    }
    samples
}

/// Reads to the end or to the first error. Checks what must hold whatever the bytes.
fn read(source: &Source, bytes: &[u8]) -> (FlowBatch, Summary, Option<IntakeError>) {
    let mut all = FlowBatch::new(source.name);
    let mut reader = match (source.open)(Input::new("sample", Cursor::new(bytes.to_vec()))) {
        Ok(reader) => reader,
        Err(error) => return (all, Summary::default(), Some(error)),
    };
    let mut batch = FlowBatch::new(reader.source());
    let error = loop {
        match reader.read(&mut batch) {
            Ok(true) => all.append(&batch),
            Ok(false) => break None,
            Err(error) => break Some(error),
        }
        // A datagram may overshoot, by what it can carry, and so may what waited for its template.
        assert!(batch.len() <= BATCH_ROWS + bytes.len(), "a batch of {} rows", batch.len());
        batch.clear();
    };
    assert!(batch.is_empty(), "an error came together with rows");
    let summary = reader.summary().clone();
    assert_eq!(reader.read(&mut batch).ok(), Some(false), "nothing comes after the end");
    assert!(all.len() <= bytes.len(), "{} rows from {} bytes", all.len(), bytes.len());
    assert!(summary.bytes_read <= bytes.len() as u64);
    assert_eq!(summary.flows, all.len() as u64);
    let total = summary.coverage().total();
    assert_eq!((total.received, total.lost_intervals), (summary.datagrams, summary.lost_intervals));
    let dropped = total.dropped.iter().map(|(reason, dropped)| (reason.as_ref(), *dropped));
    assert!(dropped.eq(summary.dropped.iter().map(|(reason, dropped)| (*reason, *dropped))));
    assert!(total.bytes >= summary.bytes_read, "what was read is received, by somebody");
    let exporters = all.exporters.len() as u32;
    assert!(all.exporter.iter().all(|index| *index < exporters));
    assert!(all.details.keys().all(|row| (*row as usize) < all.len()));
    let mut line = Vec::new();
    for row in 0..all.len() {
        line.clear();
        model::canonical::write_flow(&all, row, &mut line);
        let json: Result<serde_json::Value, _> = serde_json::from_slice(&line);
        assert!(json.is_ok(), "not JSON: {}", String::from_utf8_lossy(&line));
    }
    (all, summary, error)
}

#[test]
fn names_are_distinct_and_described() {
    let mut names: Vec<&str> =
        SOURCES.iter().flat_map(|source| [&[source.name], source.aliases].concat()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    for source in SOURCES {
        assert!(!source.title.is_empty() && !source.description.is_empty(), "{}", source.name);
        assert!(
            samples().iter().any(|(name, _)| *name == source.name),
            "`{}` has no sample in `samples/`",
            source.name
        );
        for name in [&[source.name], source.aliases].concat() {
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{name}"
            );
            assert_eq!(find(name).map(|found| found.name), Some(source.name));
        }
    }
    assert!(find("auto").is_none() && find("no-such-format").is_none());
}

#[test]
fn samples_are_recognised_by_content_and_read() {
    for (name, bytes) in samples() {
        let recognised: Vec<&str> = SOURCES.iter().filter(|s| (s.detect)(&bytes)).map(|s| s.name).collect();
        assert_eq!(recognised, [name]);
        assert_eq!(detect(&bytes).map(|source| source.name), Some(name));
        let (flows, summary, error) = read(find(name).unwrap(), &bytes);
        assert!(error.is_none(), "{name}: {error:?}");
        assert_eq!((flows.source, flows.len()), (name, 1), "{summary:?}");
        assert_eq!(
            (flows.src[0].to_string(), flows.dst[0].to_string()),
            ("10.0.0.1".into(), "10.0.0.2".into())
        );
        assert_eq!(flows.dst_port, [443]);
        assert_eq!(flows.start[0] / 1_000_000, 1_600_000_000, "{name}");
        assert!(summary.dropped.is_empty(), "{name}: {:?}", summary.dropped);
    }
}

#[test]
fn an_empty_input_is_an_error_that_says_what_was_expected() {
    for source in SOURCES {
        let (_, _, error) = read(source, b"");
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(text.starts_with("`sample` is empty; expected "), "{}: {text}", source.name);
    }
    assert!(matches!(open("auto", Input::new("x", &b""[..])), Err(IntakeError::Empty { .. })));
}

#[test]
fn unknown_formats_and_contents_say_what_is_known() {
    let text = |format: &str, bytes: &'static [u8]| match open(format, Input::new("x", bytes)) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    let unknown = text("netflwo", b"x");
    let known: Vec<String> = SOURCES.iter().map(|source| format!("`{}`", source.name)).collect();
    let known = known.join(", ");
    assert_eq!(unknown, format!("no flow format is called `netflwo`; the formats are {known}, or `auto`"));
    assert!(text("auto", b"hello, world").contains("it starts with `hello,.world`; expected NetFlow"));
    assert!(text("auto", b"PK\x03\x04").contains("a ZIP archive; unpack it first"));
}

/// Inputs that once broke a reader, by format or `auto`: what fuzzing found.
#[test]
fn what_once_broke_a_reader_does_no_longer() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for format in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.is_dir())
    {
        let name = format.file_name().unwrap().to_str().unwrap();
        for file in std::fs::read_dir(&format).unwrap().map(|entry| entry.unwrap().path()) {
            let input = Input::file(&file).unwrap();
            let reader = match find(name) {
                Some(source) => (source.open)(input),
                None => open(name, input),
            };
            let Ok(mut reader) = reader else { continue };
            let mut batch = FlowBatch::new(reader.source());
            while let Ok(true) = reader.read(&mut batch) {}
            assert_eq!(reader.summary().flows, batch.len() as u64, "`{}`", file.display());
        }
    }
}

/// A reader that hands out a byte at a time, as a slow pipe does.
struct Drip(Cursor<Vec<u8>>);

impl std::io::Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let one = buffer.len().min(1);
        self.0.read(&mut buffer[..one])
    }
}

#[test]
fn how_the_bytes_arrive_does_not_matter() {
    for (name, bytes) in samples() {
        let (whole, ..) = read(find(name).unwrap(), &bytes);
        let mut reader = open("auto", Input::new("drip", Drip(Cursor::new(bytes)))).unwrap();
        let mut batch = FlowBatch::new(reader.source());
        while reader.read(&mut batch).unwrap() {}
        assert_eq!(batch, whole);
    }
}

/// Text formats, and others that say so, can be taken up where they were left: what is written behind is read, nothing twice.
#[test]
fn a_growing_input_gives_every_record_once() {
    for (name, bytes) in samples() {
        let (whole, ..) = read(find(name).unwrap(), &bytes);
        for cut in 0..=bytes.len() {
            let Some(parts) = in_two_parts(find(name).unwrap(), &bytes, cut) else { continue };
            assert_eq!(parts.len(), whole.len(), "{name}, cut at {cut}");
            assert_eq!(parts.dst_port, whole.dst_port, "{name}, cut at {cut}");
        }
    }
}

/// Reads the first bytes as a file that still grows, then the rest; `None` when the format cannot be taken up.
fn in_two_parts(source: &Source, bytes: &[u8], cut: usize) -> Option<FlowBatch> {
    let mut all = FlowBatch::new(source.name);
    let mut take = |input: Input| {
        let mut reader = (source.open)(input.growing()).ok()?;
        while reader.read(&mut all).ok()? {}
        reader.resume()
    };
    let resume = take(Input::new("first", Cursor::new(bytes[..cut].to_vec())))?;
    let rest = bytes[resume.offset as usize..].to_vec();
    take(Input::new("second", Cursor::new(rest)).resume(resume));
    Some(all)
}

/// A sample with bytes changed, removed, doubled or cut.
fn mutated() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0_u8..5, any::<u8>()), 0..12);
    (0..samples().len(), edits, 1_usize..4).prop_map(|(which, edits, times)| {
        let mut bytes = samples()[which].1.clone();
        for _ in 1..times {
            bytes.extend(samples()[which].1.clone());
        }
        for (place, kind, value) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            match kind {
                0 | 1 => bytes[at] = value,
                2 => drop(bytes.remove(at)),
                3 => bytes.insert(at, value),
                _ => bytes.truncate(bytes.len() - at.min(20)),
            }
        }
        (which, bytes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        detect(&bytes);
        for source in SOURCES {
            read(source, &bytes);
        }
    }

    #[test]
    fn random_sets_never_panic(version in prop::sample::select(vec![9_u8, 10]), body in prop::collection::vec(0_u8..12, 0..300)) {
        // Small bytes make ids and lengths that fit more often than random ones.
        let mut bytes = vec![0, version, 1, 44];
        bytes.resize(if version == 9 { 20 } else { 16 }, 1);
        bytes.extend(body);
        read(find("netflow").unwrap(), &bytes);
        read(find("netflow").unwrap(), &capture(&[bytes]));
    }

    #[test]
    fn damaged_samples_never_panic((which, bytes) in mutated()) {
        read(find(samples()[which].0).unwrap(), &bytes);
    }
}
