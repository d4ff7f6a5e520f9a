//! One file a command, one row in the table below.

pub(crate) use self::collect::CollectConfig;
pub(crate) use self::policy::write_policy;
pub(crate) use self::report::{frontier, quarantined};
pub(crate) use self::test::explanation;

use crate::{Exit, Global};

mod coverage;

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident in $module:ident),* $(,)?) => {
        $(mod $module;)*

        /// Every command.
        #[derive(clap::Subcommand)]
        pub(crate) enum Command {
            $($(#[$doc])* $name($module::$name),)*
        }

        impl Command {
            /// Runs the command.
            pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
                match self {
                    $(Self::$name(command) => command.run(global),)*
                }
            }
        }
    };
}

commands! {
    /// The whole story on bundled real traffic
    Demo in demo,
    /// Make a project: ringfence.toml, inventory/, policies/
    Init in init,
    /// Read flows from files into the lake
    Import in import,
    /// Print flows of files as canonical JSON; nothing is stored
    Decode in decode,
    /// Listen for exporters and store what they send
    Collect in collect,
    /// Query stored flows
    Flows in flows,
    /// Who exists: assets, labels, addresses over time
    Inventory in inventory,
    /// The dependency map
    Map in map,
    /// Discover and explain segments
    Segments in segments,
    /// Write, check and propose policy
    Policy in policy,
    /// Prove the sentence tests and guardrails of the policy
    Test in test,
    /// Prove properties of the policy
    Verify in verify,
    /// Replay history against the policy
    Simulate in simulate,
    /// Which rule decides, where it is written and what it rests on
    Why in why,
    /// Resolve the policy against the inventory into a plan
    Plan in plan,
    /// Write a plan as artifacts for a target
    Compile in compile,
    /// Read installed or exported rules back
    Rules in rules,
    /// Write a report
    Report in report,
    /// Say where settings come from and what is missing
    Doctor in doctor,
    /// Print shell completions
    Completions in completions,
    /// Print or write man pages
    Man in man,
}
