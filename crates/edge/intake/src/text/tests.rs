use std::io::{Cursor, Read};

use model::{Flow, FlowBatch};
use proptest::prelude::*;

use super::*;

/// A format whose records are `n` or `{"n":..}`, each a flow that lasts n seconds; `#` begins a header.
struct Numbers;

impl TextFormat for Numbers {
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let text = utf8(text)?;
        if text.starts_with('#') {
            sink.header();
            return Ok(());
        }
        let bytes = match text.starts_with('{') {
            true => serde_json::from_str::<serde_json::Value>(text)
                .map_err(|error| error.to_string())?
                .get("n")
                .and_then(serde_json::Value::as_u64)
                .ok_or("no `n`")?,
            false => text.trim().parse().map_err(|_| format!("`{text}` is not a number"))?,
        };
        sink.push("here", Flow { start: 1, bytes, ..Flow::default() });
        Ok(())
    }
}

const SHAPE: Shape = Shape { json: true, containers: &["records"] };

fn read(mut reader: Box<dyn FlowReader>) -> (Vec<u64>, Vec<String>, Option<Resume>) {
    let mut batch = FlowBatch::new("numbers");
    while reader.read(&mut batch).unwrap() {}
    let rejects = reader.summary().rejects.iter().map(|r| format!("{}: {}", r.place, r.reason)).collect();
    (batch.bytes.clone(), rejects, reader.resume())
}

fn numbers(text: &str) -> (Vec<u64>, Vec<String>) {
    let input = Input::new("t", Cursor::new(text.as_bytes().to_vec()));
    let (numbers, rejects, _) = read(open_text("numbers", "numbers", SHAPE, input, Numbers).unwrap());
    let slow = Input::new("t", Drip(Cursor::new(text.as_bytes().to_vec())));
    let (again, rejects_again, _) = read(open_text("numbers", "numbers", SHAPE, slow, Numbers).unwrap());
    assert_eq!((&numbers, &rejects), (&again, &rejects_again), "{text}");
    (numbers, rejects)
}

/// Hands out a byte at a time.
struct Drip(Cursor<Vec<u8>>);

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let one = buffer.len().min(1);
        self.0.read(&mut buffer[..one])
    }
}

#[test]
fn lines_and_objects_however_they_are_laid_out() {
    let none: Vec<String> = Vec::new();
    for (text, expected) in [
        ("1\n2\r\n\n3", vec![1, 2, 3]),
        ("{\"n\":1}\n{\"n\":2}", vec![1, 2]),
        ("{\"n\":1}{\"n\":2} {\"n\":3},{\"n\":4}\n", vec![1, 2, 3, 4]),
        ("[{\"n\":1},\n {\"n\":2}]\n", vec![1, 2]),
        ("[\n{\n \"n\": 1\n},\n{\n \"n\": 2, \"x\": {\"y\": \"}\\\"{\"}\n}\n]\n", vec![1, 2]),
        ("{\"records\": [{\"n\":1},{\"n\":2}]}", vec![1, 2]),
        (
            "{ \"records\" : [\n{\"n\":1},\n{\"n\":2}\n], \"next\": \"a]}\", \"x\": [{}]}\n{\"n\":3}\n4\n",
            vec![1, 2, 3, 4],
        ),
        ("{\"records\":[{\"records\":[{\"n\":1}]},{\"n\":2}]}", vec![1, 2]),
        ("{\"n\":1,\n\"y\":{}}\n{\"n\":2}\n", vec![1, 2]),
        ("{\"records\":[]}", vec![]),
        ("#head\n7\n", vec![7]),
    ] {
        assert_eq!(numbers(text), (expected, none.clone()), "{text}");
    }
}

#[test]
fn a_broken_record_does_not_take_the_next_ones_along() {
    let (found, rejects) =
        numbers("{\"n\":1}\n{\"n\":\n{\"n\":3}\n{\"n\": \"x\n{\"n\":4}\nfive\n[5] five\n6\n{\"n\":7");
    assert_eq!(found, [1, 3, 4, 6]);
    let places: Vec<&str> = rejects.iter().filter_map(|r| r.split(": ").next()).collect();
    assert_eq!(places, ["line 2", "line 4", "line 6", "line 7", "line 9"], "{rejects:?}");
    assert!(rejects[4].ends_with("the JSON object does not end"));
}

#[test]
fn long_records_are_skipped_whole() {
    let long = "x".repeat(600_000);
    let (found, rejects) = numbers_fast(&format!("1\n{long}\n2\n"));
    assert_eq!((found, rejects), (vec![1, 2], vec!["line 2: the record is too long".to_owned()]));
    let object = format!("{{\"n\":\"{}\"}}\n{{\"n\":2}}\n", "x".repeat(17 << 20));
    let (found, rejects) = numbers_fast(&object);
    assert_eq!((found, rejects), (vec![2], vec!["line 1: the record is too long".to_owned()]));
    let (found, _) = numbers_fast(&format!("{{\"x\":\"{}\",\"n\":1}}\n{{\"n\":2}}\n", "x".repeat(1 << 20)));
    assert_eq!(found, [1, 2]);
}

fn numbers_fast(text: &str) -> (Vec<u64>, Vec<String>) {
    let input = Input::new("t", Cursor::new(text.as_bytes().to_vec()));
    let (numbers, rejects, _) = read(open_text("numbers", "numbers", SHAPE, input, Numbers).unwrap());
    (numbers, rejects)
}

/// Reads a file that grows to each of the lengths in turn, taking up where the last reading stopped.
fn grown(text: &[u8], lengths: &[usize]) -> Vec<u64> {
    let mut resume: Option<Resume> = None;
    let mut all = Vec::new();
    for length in lengths {
        let at = resume.as_ref().map_or(0, |resume| resume.offset as usize);
        let rest = text[..*length].get(at..).unwrap_or_default().to_vec();
        let mut input = Input::new("t", Cursor::new(rest)).growing();
        if let Some(resume) = resume.take() {
            input = input.resume(resume);
        }
        let (numbers, rejects, next) = read(open_text("numbers", "numbers", SHAPE, input, Numbers).unwrap());
        assert_eq!(rejects, Vec::<String>::new(), "{}", String::from_utf8_lossy(&text[..*length]));
        all.extend(numbers);
        resume = next;
    }
    all
}

proptest! {
    #[test]
    fn a_growing_file_gives_every_record_once(mut lengths in prop::collection::vec(0_usize..=90, 0..6), which in 0..3_usize) {
        let text = [
            "#head\n11\n22\n33\n44\n55\n66\n77\n",
            "{\"n\":11}\n{\"n\":22, \"x\":\"}\"}\n{\"n\":33,\n\"y\":{\n}}\n{\"n\":44}\n",
            "{\"records\":[{\"n\":11},{\"n\":22},\n{\"n\":33, \"x\":[{}]}, {\"n\":44}]}",
        ][which].as_bytes();
        lengths.retain(|length| *length <= text.len());
        lengths.sort_unstable();
        lengths.push(text.len());
        let expected: &[u64] = if which == 0 { &[11, 22, 33, 44, 55, 66, 77] } else { &[11, 22, 33, 44] };
        prop_assert_eq!(grown(text, &lengths), expected);
    }
}

#[test]
fn a_file_whose_end_is_rewritten_gives_every_record_once() {
    // Azure's PT1H.json: the closing brackets move with every block.
    let first = b"{\"records\":[{\"n\":1},{\"n\":2}]}";
    let second = b"{\"records\":[{\"n\":1},{\"n\":2},{\"n\":3}]}";
    let open = |bytes: &[u8], resume: Option<Resume>| {
        let at = resume.as_ref().map_or(0, |resume| resume.offset as usize);
        let mut input = Input::new("t", Cursor::new(bytes[at..].to_vec())).growing();
        if let Some(resume) = resume {
            input = input.resume(resume);
        }
        read(open_text("numbers", "numbers", SHAPE, input, Numbers).unwrap())
    };
    let (numbers, _, resume) = open(first, None);
    assert_eq!(numbers, [1, 2]);
    assert_eq!(resume.as_ref().map(|resume| resume.offset), Some(27), "before the closing brackets");
    let (numbers, rejects, _) = open(second, resume);
    assert_eq!((numbers, rejects), (vec![3], vec![]));
}
