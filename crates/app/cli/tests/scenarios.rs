//! The stories in `scenarios/`: commands with what they print and how they end, each run in a copy of the folder beside
//! it. `TRYCMD=overwrite` accepts what they print now; read the diff, and put back the `[..]` and `...` of what may vary.

use std::path::Path;

#[test]
fn the_stories_go_as_they_are_told() {
    let cases = trycmd::TestCases::new();
    cases.register_bin("cat", Path::new("/bin/cat")).register_bin("cp", Path::new("/bin/cp"));
    cases.env("NO_COLOR", "1").env("COLUMNS", "200");
    cases.case("../../../scenarios/*.md");
}
