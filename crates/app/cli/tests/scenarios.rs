//! The stories in `scenarios/`: commands with what they print, run in a copy of the story's folder. `TRYCMD=overwrite`
//! writes down what is printed now.

#[test]
fn the_stories_go_as_they_are_told() {
    trycmd::TestCases::new()
        .register_bin("cat", std::path::Path::new("/bin/cat"))
        .env("NO_COLOR", "1")
        .case("../../../scenarios/*.md");
}
