//! Small pictures of numbers. Each has its numbers as text beside it, so all are hidden from screen readers.

use crate::markup::{Text, percent, put};
use crate::story::{StepOutcome, StoryAttackStep, StoryEstimate, StoryFrontierPoint};

/// A bar filled to a share.
pub(crate) fn meter(out: &mut String, share: f64) {
    let filled = (drawable(share) * 160.0).max(2.0);
    out.push_str(
        "<svg class=\"meter\" viewBox=\"0 0 160 6\" preserveAspectRatio=\"none\" \
        aria-hidden=\"true\"><rect class=\"rest\" width=\"160\" height=\"6\" rx=\"3\"/>",
    );
    put!(out, "<rect class=\"full\" width=\"{filled:.1}\" height=\"6\" rx=\"3\"/></svg>");
}

/// An interval with its best guess, on a scale that ends a little beyond it.
pub(crate) fn interval(out: &mut String, estimate: &StoryEstimate) {
    let end = (drawable(estimate.high) * 1.25).max(0.001);
    let x = |share: f64| (drawable(share) / end).clamp(0.0, 1.0) * 150.0 + 5.0;
    out.push_str(
        "<svg class=\"meter\" viewBox=\"0 0 160 6\" aria-hidden=\"true\"><rect class=\"rest\" \
        width=\"160\" height=\"6\" rx=\"3\"/>",
    );
    let (low, high) = (x(estimate.low), x(estimate.high));
    put!(
        out,
        "<rect class=\"range\" x=\"{low:.1}\" width=\"{:.1}\" height=\"6\" rx=\"3\"/>",
        (high - low).max(2.0)
    );
    put!(out, "<circle class=\"full\" cx=\"{:.1}\" cy=\"3\" r=\"3\"/></svg>", x(estimate.mid));
}

/// The class of an outcome.
pub(crate) const fn outcome_class(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Stopped => "o-stopped",
        StepOutcome::Cut => "o-cut",
        StepOutcome::Contained => "o-contained",
        StepOutcome::Reached => "o-reached",
    }
}

/// One mark for each step: filled when it was stopped, half when contained, open when it went through.
pub(crate) fn steps(out: &mut String, steps: &[StoryAttackStep]) {
    let shown = steps.len().min(12);
    put!(
        out,
        "<svg class=\"steps\" viewBox=\"0 0 {} 10\" width=\"{}\" height=\"10\" aria-hidden=\"true\">",
        shown * 13,
        shown * 13
    );
    for (at, step) in steps.iter().take(shown).enumerate() {
        put!(
            out,
            "<rect class=\"{}\" x=\"{:.1}\" y=\"1\" width=\"9.5\" height=\"8\" rx=\"2\"/>",
            outcome_class(step.outcome),
            at as f64 * 13.0 + 0.8
        );
    }
    out.push_str("</svg>");
}

/// The frontier: over-permission and coverage against the number of rules.
pub(crate) fn frontier(out: &mut String, points: &[StoryFrontierPoint]) {
    let mut points: Vec<&StoryFrontierPoint> = points.iter().collect();
    points.sort_by(|a, b| a.rules.cmp(&b.rules).then(a.over_permission.total_cmp(&b.over_permission)));
    out.push_str("<div class=\"charts\" aria-hidden=\"true\">");
    chart(out, "Allowed but never seen", "lower is tighter", &points, |point| point.over_permission);
    chart(out, "Traffic covered", "higher breaks less", &points, |point| point.coverage);
    out.push_str("</div>");
}

const LEFT: f64 = 46.0;
const RIGHT: f64 = 424.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 150.0;

fn chart(
    out: &mut String,
    title: &str,
    hint: &str,
    points: &[&StoryFrontierPoint],
    value: fn(&StoryFrontierPoint) -> f64,
) {
    let most = points.iter().map(|point| point.rules).max().unwrap_or(0).max(1) as f64 * 1.05;
    let values = || points.iter().map(|point| drawable(value(point)));
    let (low, high) = bounds(values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let x = |rules: u64| LEFT + rules as f64 / most * (RIGHT - LEFT);
    let y = |share: f64| BOTTOM - ((drawable(share) - low) / (high - low)).clamp(0.0, 1.0) * (BOTTOM - TOP);
    put!(out, "<figure class=\"chart\"><figcaption><b>{title}</b> <span class=\"hint\">{hint}</span>");
    if let Some(point) = points.iter().find(|point| point.chosen) {
        put!(out, "<span class=\"pick\">chosen: {} with {} rules</span>", percent(value(point)), point.rules);
    }
    out.push_str("</figcaption>");
    out.push_str("<svg viewBox=\"0 0 440 186\">");
    for tick in 0..=2 {
        let share = low + (high - low) * f64::from(tick) / 2.0;
        put!(out, "<path class=\"grid\" d=\"M{LEFT:.0} {0:.1}H{RIGHT:.0}\"/>", y(share));
        put!(
            out,
            "<text class=\"ax\" x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{:.0}%</text>",
            LEFT - 8.0,
            y(share) + 3.5,
            share * 100.0
        );
    }
    let step = round_step(most);
    for tick in 0..=(most / step) as u64 {
        let rules = tick * step as u64;
        put!(
            out,
            "<text class=\"ax\" x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{rules}</text>",
            x(rules),
            BOTTOM + 16.0
        );
    }
    put!(
        out,
        "<text class=\"ax\" x=\"{RIGHT:.0}\" y=\"{:.0}\" text-anchor=\"end\">rules</text>",
        BOTTOM + 31.0
    );
    let path: Vec<String> = points.iter().map(|p| format!("{:.1} {:.1}", x(p.rules), y(value(p)))).collect();
    put!(out, "<path class=\"curve\" d=\"M{}\"/>", path.join("L"));
    for point in points {
        let (cx, cy) = (x(point.rules), y(value(point)));
        put!(
            out,
            "<circle class=\"dot{}\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"{}\"><title>{}: {} rules, \
                {}</title></circle>",
            if point.chosen { " chosen" } else { "" },
            if point.chosen { 5 } else { 3 },
            Text(&point.name),
            point.rules,
            percent(value(point))
        );
    }
    out.push_str("</svg></figure>");
}

/// One, two or five of some power of ten: three to six ticks up to the value.
fn round_step(most: f64) -> f64 {
    let mut step = 1.0;
    for factor in [2.0, 2.5, 2.0].into_iter().cycle().take(60) {
        if most / step <= 6.0 {
            break;
        }
        step *= factor;
    }
    step
}

/// What is no share stands at the nearest end; its text says what it is.
const fn drawable(share: f64) -> f64 {
    if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) }
}

/// Round ends of the axis around the values, in steps of a tenth.
fn bounds(low: f64, high: f64) -> (f64, f64) {
    if !low.is_finite() {
        return (0.0, 1.0);
    }
    let low = ((low * 10.0 - 0.01).floor() / 10.0).max(0.0);
    let high = ((high * 10.0).ceil() / 10.0).max(low + 0.1);
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(bounds(0.62, 0.99), (0.6, 1.0));
        assert_eq!(bounds(f64::INFINITY, 0.0), (0.0, 1.0));
        assert_eq!(bounds(0.0, 0.0), (0.0, 0.1));
        assert_eq!((round_step(4.0), round_step(150.0), round_step(10_000.0)), (1.0, 50.0, 2_000.0));
    }

    #[test]
    fn hostile_numbers_draw_no_nan() {
        let mut out = String::new();
        let nan = StoryFrontierPoint {
            rules: 0,
            coverage: f64::NAN,
            over_permission: f64::INFINITY,
            ..Default::default()
        };
        frontier(&mut out, &[nan]);
        assert!(!out.contains("NaN") && !out.contains("inf"), "{out}");
    }
}
