//! Prints the report of an invented network, to be looked at in a browser: `sample`, `sample map`, `sample crowd`.

#[path = "../tests/sample/mod.rs"]
mod sample;

fn main() {
    let page = match std::env::args().nth(1).as_deref() {
        Some("map") => report::render_map(&sample::story().map),
        Some("crowd") => report::render(&sample::crowd(200)),
        _ => report::render(&sample::story()),
    };
    print!("{page}");
}
