//! Files of policy beside what must come of them. Run with `UPDATE_GOLDENS=1` to write the outcome anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    assert_eq!(actual, read(name), "{name}");
}

#[test]
fn the_interface_example_formats_canonically() {
    let set = policy::parse(&[("policies/payments.yaml".into(), read("interface.yaml"))]).unwrap();
    let files = policy::format(&set);
    assert_eq!(files.len(), 1);
    check("interface.formatted.yaml", &files[0].1);
    let again = policy::format(&policy::parse(&files).unwrap());
    assert_eq!(again, files, "formatting what is formatted changes nothing");
}

#[test]
fn comments_stay_with_what_they_speak_of() {
    let formatted = policy::format_text("p.yaml", &read("comments.yaml")).unwrap();
    check("comments.formatted.yaml", &formatted);
    assert_eq!(policy::format_text("p.yaml", &formatted).unwrap(), formatted);
    let count = |text: &str| text.matches("note ").count();
    assert_eq!(count(&formatted), count(&read("comments.yaml")), "no comment is lost");
    let plain = policy::format_text("p.yaml", &read("interface.formatted.yaml")).unwrap();
    assert_eq!(plain, read("interface.formatted.yaml"));
}

#[test]
fn every_problem_of_a_file_is_reported() {
    let problems = policy::parse(&[("policies/broken.yaml".into(), read("broken.yaml"))]).unwrap_err();
    let text: Vec<String> = problems.iter().map(|problem| format!("{problem}\n")).collect();
    check("broken.expected.txt", &text.join("\n"));
}

#[test]
fn files_are_read_in_the_order_of_their_names() {
    let segment = |name: &str| format!("kind: Segment\nname: {name}\nselector: app={name}\n");
    let set = policy::parse(&[("b.yaml".into(), segment("b")), ("a.yaml".into(), segment("a"))]).unwrap();
    let files: Vec<&str> = set.documents.iter().map(|(file, _)| file.as_str()).collect();
    assert_eq!(files, ["a.yaml", "b.yaml"]);
    let twice = [("b.yaml".into(), segment("x")), ("a.yaml".into(), segment("x"))];
    let problems = policy::parse(&twice).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].message.contains("already defined at a.yaml:2:7"), "{}", problems[0]);
}

#[test]
fn empty_files_are_empty_policies() {
    for text in ["", "---\n", "# nothing yet\n", "---\n---\n"] {
        let set = policy::parse(&[("a.yaml".into(), text.into())]).unwrap();
        assert!(set.documents.is_empty(), "{text:?}");
    }
}

#[test]
fn a_hostile_file_is_reported_in_bounded_space() {
    let keys: Vec<String> = (0..2_000).map(|number| format!("k{number}: 1")).collect();
    let text = format!("{{kind: Guardrail, {}}}", keys.join(", "));
    let problems = policy::parse(&[("x.yaml".into(), text)]).unwrap_err();
    assert_eq!(problems.len(), 2_001, "each unknown key, and the owner that is missing");
    assert!(problems.iter().all(|problem| problem.to_string().len() < 1_000));
    let deep = "[".repeat(100_000);
    assert_eq!(policy::parse(&[("x.yaml".into(), deep)]).unwrap_err().len(), 1);
}

#[test]
fn the_schema_is_a_contract() {
    let text = serde_json::to_string_pretty(&policy::schema()).unwrap() + "\n";
    check("schema.json", &text);
}
