//! The stories below `scenarios/`: commands with what they print and how they end. `TRYCMD=overwrite` accepts what they
//! print now; read the diff.

#[test]
fn scenarios() {
    let cases = trycmd::TestCases::new();
    cases.env("NO_COLOR", "1").env("COLUMNS", "200");
    cases.case("../../../scenarios/*.trycmd");
}
