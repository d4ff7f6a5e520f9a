//! The format of `docs/recipes/add-a-flow-source.md`, kept here so that it compiles and is tested. The product does not
//! know it: it has no row in the table.
//!
//! One flow a line: `1600000000 10.0.0.1:49152 > 10.0.0.2:443 tcp 180`.

// recipe: begin
use std::net::SocketAddr;

use model::{Flow, FlowBatch};

use crate::error::IntakeError;
use crate::source::{FlowReader, Input, Source, Status};
use crate::text::{Fault, Shape, Sink, TextFormat, open_text, utf8};

/// The row of this format.
pub(crate) static SOURCE: Source = Source {
    name: "arrows",
    aliases: &[],
    title: "arrow lines (the tutorial's format)",
    description: "One flow a line: `SECONDS SRC:PORT > DST:PORT tcp|udp BYTES`.",
    status: Status::Documented,
    detect,
    open,
};

/// Looks at content alone, and at more than one character of it: other formats are text too.
fn detect(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    std::str::from_utf8(line).is_ok_and(|line| parse(line).is_ok())
}

fn open(input: Input) -> Result<Box<dyn FlowReader>, IntakeError> {
    open_text(SOURCE.name, "arrow lines", Shape::LINES, input, Arrows)
}

struct Arrows;

impl TextFormat for Arrows {
    /// One line. A bad one is rejected with its number and the reason; the good ones around it stay.
    fn record(&mut self, text: &[u8], sink: &mut Sink<'_>) -> Result<(), Fault> {
        let flow = parse(utf8(text)?)?;
        sink.push("arrows", flow);
        Ok(())
    }
}

/// What the line does not say stays absent: no bit in `present`, no client, no verdict.
fn parse(line: &str) -> Result<Flow, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [seconds, source, ">", destination, protocol, bytes] = words[..] else {
        return Err("expected `SECONDS SRC:PORT > DST:PORT tcp|udp BYTES`".to_owned());
    };
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("`{text}` is not a number"));
    let side = |text: &str| text.parse::<SocketAddr>().map_err(|_| format!("`{text}` is not ADDRESS:PORT"));
    let (source, destination) = (side(source)?, side(destination)?);
    let at = i64::from(number(seconds)?) * 1_000_000;
    Ok(Flow {
        start: at,
        end: at,
        src: source.ip().into(),
        dst: destination.ip().into(),
        src_port: source.port(),
        dst_port: destination.port(),
        protocol: match protocol {
            "tcp" => 6,
            "udp" => 17,
            other => return Err(format!("`{other}` is neither tcp nor udp")),
        },
        bytes: u64::from(number(bytes)?),
        sampling: 1,
        present: FlowBatch::HAS_PORTS | FlowBatch::HAS_COUNTS,
        ..Flow::default()
    })
}
// recipe: end

#[test]
fn good_lines_are_flows_and_bad_ones_are_rejected() {
    let text = "1600000000 10.0.0.1:49152 > 10.0.0.2:443 tcp 180\n\
                1600000000 10.0.0.1:49152 < 10.0.0.2:443 tcp 180\n\
                1600000001 [2001:db8::1]:53 > [2001:db8::2]:40000 udp 99\n";
    assert!((SOURCE.detect)(text.as_bytes()) && !(SOURCE.detect)(b"hello\n"));
    let mut reader = (SOURCE.open)(Input::new("flows.txt", text.as_bytes())).unwrap();
    let mut batch = FlowBatch::new(reader.source());
    while reader.read(&mut batch).unwrap() {}
    assert_eq!(
        (batch.len(), batch.dst_port.clone(), batch.bytes.clone()),
        (2, vec![443, 40_000], vec![180, 99])
    );
    let rejects: Vec<String> = reader.summary().rejects.iter().map(ToString::to_string).collect();
    assert_eq!(rejects, ["flows.txt: line 2: expected `SECONDS SRC:PORT > DST:PORT tcp|udp BYTES`"]);
}

#[test]
fn the_recipe_shows_this_very_code() {
    let recipe = include_str!("../../../../../docs/recipes/add-a-flow-source.md");
    let here = include_str!("tutorial.rs");
    let from = here.find("// recipe: begin\n").unwrap() + "// recipe: begin\n".len();
    let to = here.find("// recipe: end").unwrap();
    assert!(recipe.contains(&here[from..to]), "copy the code between the marks into the recipe");
}
