//! What most commands start from: the project's lake, inventory and policy, and a window of time.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::bail;
use converse::{Handovers, SplitRollup};
use graph::{BuildOptions, Graph};
use lake::{EdgeQuery, FlowFilter, HOUR_US, Lake};
use model::{Conversation, Inventory, Micros, Packet, Service, TimeWindow, Workload, parse_time};
use policy::{PolicySet, Resolved};

use crate::project::Project;
use crate::{Global, UsageError, policy_files};

/// A window of time on the command line.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct WindowArgs {
    /// Flows that start at or after this time: RFC 3339, a date, or a span before now such as 7d, 2h.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Flows that start before this time.
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
}

impl WindowArgs {
    /// The window; open ends reach to the ends of time.
    pub(crate) fn window(&self) -> anyhow::Result<TimeWindow> {
        let read = |text: &Option<String>, default| match text {
            Some(text) => parse_time(text, now()).map_err(|e| UsageError(e.to_string())),
            None => Ok(default),
        };
        let window = TimeWindow { from: read(&self.from, Micros::MIN)?, to: read(&self.to, Micros::MAX)? };
        if window.from >= window.to {
            return Err(UsageError("--from must be before --to".to_owned()).into());
        }
        Ok(window)
    }
}

/// A moment of the inventory on the command line.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct AsOfArgs {
    /// Answer as the world was then: RFC 3339, a date, or a span before now.
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<String>,
}

impl AsOfArgs {
    /// The moment; now when not given.
    pub(crate) fn moment(&self) -> anyhow::Result<Micros> {
        match &self.as_of {
            Some(text) => Ok(parse_time(text, now()).map_err(|e| UsageError(e.to_string()))?),
            None => Ok(now()),
        }
    }

    /// The project and the moment, with labels and names as they were recorded then.
    pub(crate) fn open(&self, global: &Global) -> anyhow::Result<(World, Micros)> {
        let (mut world, at) = (World::open(global)?, self.moment()?);
        if self.as_of.is_some() {
            world.inventory = world.lake.inventory(Some(at))?;
        }
        Ok((world, at))
    }
}

/// The system's clock, read at the edge only.
pub(crate) fn now() -> Micros {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as Micros)
}

/// An open project.
pub(crate) struct World {
    pub(crate) project: Project,
    pub(crate) lake: Lake,
    pub(crate) inventory: Inventory,
}

impl World {
    /// Opens the project for reading.
    pub(crate) fn open(global: &Global) -> anyhow::Result<Self> {
        Self::of(global.project()?)
    }

    /// Opens the project for reading.
    pub(crate) fn of(project: Project) -> anyhow::Result<Self> {
        let mut lake = Lake::open_read(&project.lake)?;
        lake.resolve_late(project.late_resolve_us);
        let inventory = lake.inventory(None)?;
        Ok(Self { project, lake, inventory })
    }

    /// Who talked to whom in a window, by the owners of the addresses at the time.
    pub(crate) fn conversations(&self, window: TimeWindow) -> anyhow::Result<Vec<Conversation>> {
        let query = EdgeQuery { window, cuts: lake::identity_changes(&self.inventory, window) };
        let handovers = Handovers::of(&self.inventory, window, HOUR_US);
        let mut ends = SplitRollup::new(&handovers);
        let mut rows = self.lake.edges(&query, &mut |batch| ends.add(batch))?;
        handovers.mend(&mut rows, |hour, visit| self.lake.visit_flows(&FlowFilter::of(hour), visit))?;
        rows.extend(ends.drain());
        Ok(converse::resolve(rows, &self.inventory))
    }

    /// The moment that a window's results are told as of: its end, or the last flow when it has none.
    pub(crate) fn end_of(&self, window: TimeWindow) -> anyhow::Result<Micros> {
        let last = self.lake.stats()?.window.map_or(0, |w| w.to);
        Ok(if window.to == Micros::MAX { last } else { window.to.min(last.max(window.from)) })
    }

    /// The dependency graph of conversations.
    pub(crate) fn graph(&self, conversations: &[Conversation], as_of: Micros) -> Graph {
        graph::build(conversations, &self.inventory.as_of(as_of), &BuildOptions::default())
    }

    /// The policy of the given files, or of the project.
    pub(crate) fn policy(&self, paths: &[PathBuf]) -> anyhow::Result<(Vec<(String, String)>, PolicySet)> {
        load_policy(&self.project, paths)
    }

    /// The policy's exact meaning at a moment; errors among its names are shown and refused.
    pub(crate) fn resolve(
        &self,
        files: &[(String, String)],
        set: &PolicySet,
        as_of: Micros,
    ) -> anyhow::Result<Resolved> {
        let mut resolved = policy::resolve(set, &self.inventory.as_of(as_of));
        resolved.diagnostics.iter_mut().for_each(|problem| problem.quote(files));
        let errors = resolved.diagnostics.iter().filter(|d| d.severity == model::Severity::Error).count();
        if errors > 0 {
            policy_files::show(&resolved.diagnostics);
            bail!(
                "the policy names {errors} thing{} that the inventory does not have",
                if errors == 1 { "" } else { "s" }
            );
        }
        Ok(resolved)
    }

    /// A workload by id or name, or the owner of an address.
    pub(crate) fn find(&self, text: &str, at: Micros) -> anyhow::Result<Vec<model::Ip>> {
        if let Ok(ip) = text.parse::<model::Ip>() {
            return Ok(vec![ip]);
        }
        let named = |w: &&Workload| w.id.0 == text || w.name == text;
        let Some(workload) = self.inventory.workloads().iter().find(named) else {
            bail!(
                "`{text}` is neither an address nor a workload of the inventory; `ringfence inventory list` shows them"
            );
        };
        let held = workload.addresses.iter().filter(|c| c.from <= at && at < c.to).map(|c| c.ip);
        let addresses: Vec<_> = held.collect();
        if addresses.is_empty() {
            bail!("`{text}` had no address at {}", model::format_time(at));
        }
        Ok(addresses)
    }

    /// What people call an address: its workload, else the name that it was looked up by then.
    pub(crate) fn name_of(&self, ip: model::Ip, at: Micros) -> String {
        match (self.inventory.owner(ip, at), self.inventory.name_of(ip, at)) {
            (Some(workload), _) => workload.id.0.clone(),
            (None, Some(name)) => format!("{ip} ({name})"),
            (None, None) => ip.to_string(),
        }
    }
}

/// The policy of the given files, or of the project.
pub(crate) fn load_policy(
    project: &Project,
    paths: &[PathBuf],
) -> anyhow::Result<(Vec<(String, String)>, PolicySet)> {
    let own = [project.policies.clone()];
    let files = policy_files::read(if paths.is_empty() { &own } else { paths })?;
    if files.is_empty() {
        bail!(
            "there are no policy files in `{}`; write some, or run `ringfence policy propose --write`",
            project.policies.display()
        );
    }
    let set = policy_files::parse(&files)?;
    Ok((files, set))
}

/// The first packet of a conversation with a service, for asking a policy.
pub(crate) fn packet(source: model::Ip, destination: model::Ip, service: Service) -> Packet {
    Packet { source, destination, protocol: service.protocol, selector: service.low }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lake::Storing;
    use model::{AddressClaim, WorkloadId};

    #[test]
    fn a_moment_has_the_labels_that_it_had() {
        let folder = tempfile::tempdir().unwrap();
        let mut lake = Lake::open(&folder.path().join(".ringfence")).unwrap();
        for (role, at) in [("web", 1_000), ("dev", 2_000)] {
            let workload = Workload {
                id: WorkloadId("a".into()),
                name: "a".into(),
                labels: [("role".to_owned(), role.to_owned())].into(),
                criticality: None,
                addresses: vec![AddressClaim { ip: model::Ip::v4(1), from: Micros::MIN, to: Micros::MAX }],
            };
            lake.store_workloads(&[workload], Storing::Replace { at }).unwrap();
        }
        drop(lake);
        let global =
            Global { project: Some(folder.path().to_owned()), output: None, color: crate::Color::Never };
        let role = |as_of: Option<&str>| {
            let (world, at) = AsOfArgs { as_of: as_of.map(str::to_owned) }.open(&global).unwrap();
            let view = world.inventory.as_of(at);
            view.members[0].0.labels["role"].clone()
        };
        assert_eq!(role(Some("1970-01-01T00:00:00.0015Z")), "web");
        assert_eq!(role(None), "dev");
    }
}
