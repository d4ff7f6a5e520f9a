//! What a step of the intruder's comes to: blocked, contained to what is needed anyway, or through.

use std::collections::BTreeSet;

use super::attack::Step;
use super::prove::Expected;
use super::site;

/// What legitimate traffic there is between segments: nothing else should be possible.
pub(super) struct Allowed(BTreeSet<(String, String, String)>);

impl Allowed {
    /// Of the conversations that were seen while learning.
    pub(super) fn new<'a>(learned: impl Iterator<Item = &'a Expected>) -> Self {
        Self(learned.map(|e| (segment(&e.client), segment(&e.server), e.service.clone())).collect())
    }

    fn allows(&self, from: &str, to: &str, port: u16) -> bool {
        let service = format!("tcp/{port}");
        self.0.contains(&(segment(from), segment(to), service))
    }

    /// What a step's outcome means.
    pub(super) fn judge(&self, step: &Step, alone: bool, said: &str) -> (&'static str, String) {
        if step.tool == "nmap" {
            return self.judge_scan(step, &Step::found(said));
        }
        let (to, port) =
            (step.to.first().map_or("", String::as_str), step.ports.first().copied().unwrap_or_default());
        let known = self.allows(&step.from, to, port);
        match (alone, known) {
            (false, _) => ("blocked", String::new()),
            (true, true) => ("contained", "rides on a conversation that the application needs".to_owned()),
            (true, false) => ("through", "nothing legitimate ever did this".to_owned()),
        }
    }

    fn judge_scan(&self, step: &Step, found: &BTreeSet<(String, u16)>) -> (&'static str, String) {
        let own = segment(&step.from);
        let outside: Vec<String> = found
            .iter()
            .filter(|(server, port)| segment(server) != own && !self.allows(&step.from, server, *port))
            .map(|(server, port)| format!("{server} tcp/{port}"))
            .collect();
        match (found.len(), outside.is_empty()) {
            (0, _) => ("blocked", "found nothing open".to_owned()),
            (count, true) => {
                ("contained", format!("found {count} open, all of them its segment's own or needed"))
            }
            (_, false) => ("through", format!("found {}", outside.join(", "))),
        }
    }
}

/// The true segment of a workload; what is none stands for itself.
pub(super) fn segment(id: &str) -> String {
    match site::host(id) {
        Some(host) => host.segment(),
        None if id == "intruder" || id.starts_with("203.0.113.") || id.starts_with("198.51.100.") => {
            site::INTERNET.to_owned()
        }
        None => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::attack;
    use super::*;

    fn expected(client: &str, server: &str, service: &str, learned: bool) -> Expected {
        let text = |t: &str| t.to_owned();
        Expected {
            activity: text("x"),
            client: text(client),
            server: text(server),
            service: text(service),
            kind: text("habit"),
            learned,
        }
    }

    #[test]
    fn a_step_goes_through_only_where_nothing_legitimate_went() {
        let allowed = Allowed::new(
            [
                expected("app-2", "pg-shop-1", "tcp/5432", true),
                expected("bastion-1", "redis-1", "tcp/22", false),
            ]
            .iter()
            .filter(|e| e.learned),
        );
        let steps = attack::steps(2);
        let verdict = |id: &str, alone: bool| {
            steps.iter().find(|s| s.id == id).map(|s| allowed.judge(s, alone, "").0).unwrap_or_default()
        };
        // Another member of the same segment has the habit.
        assert_eq!(verdict("app-to-db", true), "contained");
        assert_eq!(verdict("dev-to-db", true), "through");
        assert_eq!(verdict("dev-to-db", false), "blocked");
        assert_eq!(verdict("ssh-app", true), "through");
    }

    #[test]
    fn a_scan_is_contained_when_it_finds_its_own_segment_and_what_is_needed() {
        let allowed = Allowed::new([expected("ws-1", "lb-1", "tcp/443", true)].iter());
        let found = |items: &[(&str, u16)]| items.iter().map(|(s, p)| ((*s).to_owned(), *p)).collect();
        let step = &attack::steps(2)[2];
        assert_eq!(allowed.judge_scan(step, &found(&[("lb-2", 443), ("ws-4", 9100)])).0, "contained");
        assert_eq!(allowed.judge_scan(step, &found(&[("redis-1", 6379)])).0, "through");
        assert_eq!(allowed.judge_scan(step, &found(&[])).0, "blocked");
    }
}
