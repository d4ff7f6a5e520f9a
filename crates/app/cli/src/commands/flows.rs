//! `ringfence flows`.

use clap::builder::PossibleValuesParser;
use lake::{FlowFilter, FlowKey};
use model::{Prefix, Protocol, Service, Verdict};
use serde_json::json;

use super::coverage::By;
use super::decode::Printer;
use crate::output::{Format, Listing, bytes_text, grouped};
use crate::seen::Seen;
use crate::world::{WindowArgs, World};
use crate::{Exit, Global, UsageError};

#[derive(clap::Args)]
pub(crate) struct Flows {
    #[command(flatten)]
    window: WindowArgs,
    /// Source or destination: an address or a block.
    #[arg(long, value_name = "ADDRESS")]
    host: Option<Prefix>,
    /// Source: an address or a block.
    #[arg(long, value_name = "ADDRESS")]
    src: Option<Prefix>,
    /// Destination: an address or a block.
    #[arg(long, value_name = "ADDRESS")]
    dst: Option<Prefix>,
    /// Service: `tcp/443`, `udp`, or a bare port of either side.
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// What the source said: allow, deny or unknown.
    #[arg(long, value_parser = PossibleValuesParser::new(["allow", "deny", "unknown"]))]
    verdict: Option<String>,
    /// So many at most.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    limit: usize,
    /// The latest first.
    #[arg(long)]
    latest: bool,
    /// Count flows by these fields instead of listing them, such as src_ip,dst_port.
    #[arg(long, value_delimiter = ',', value_name = "FIELD")]
    aggregate_by: Vec<String>,
    /// Say what was received and lost instead: for each exporter and hour, with the probability that a conversation that
    /// happened was seen.
    #[arg(long, conflicts_with_all = ["aggregate_by", "host", "src", "dst", "service", "verdict", "latest"])]
    coverage: bool,
    /// With --coverage: one row an exporter, an hour or a day, instead of one an exporter and hour.
    #[arg(long, value_enum, requires = "coverage", value_name = "WHAT")]
    by: Option<By>,
}

impl Flows {
    pub(crate) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let world = World::open(global)?;
        if self.coverage {
            let seen = Seen::of(&world.lake, self.window.window()?)?;
            super::coverage::listing(&seen, self.by, self.limit)?.print(global.format_or(Format::Table))?;
            return Ok(Exit::Ok);
        }
        let filter = self.filter()?;
        if !self.aggregate_by.is_empty() {
            return self.count(&world, &filter, global.format_or(Format::Table));
        }
        let mut printer = Printer::new(global.format_or(Format::Ndjson));
        for batch in world.lake.flows(&filter)? {
            printer.print(&batch)?;
        }
        printer.finish()?;
        Ok(Exit::Ok)
    }

    fn filter(&self) -> anyhow::Result<FlowFilter> {
        let (mut port, mut protocol) = (None, None);
        if let Some(text) = &self.service {
            match text.parse::<u16>() {
                Ok(number) => port = Some(number),
                Err(_) => {
                    let service: Service = text.parse().map_err(|e| UsageError(format!("{e}")))?;
                    protocol = Some(service.protocol.0);
                    if service != Service::all(Protocol(service.protocol.0)) {
                        if service.low != service.high {
                            return Err(UsageError("--service takes one port, not a range".to_owned()).into());
                        }
                        port = Some(service.low);
                    }
                }
            }
        }
        let verdict = self.verdict.as_deref().map(|v| match v {
            "allow" => Verdict::Allow,
            "deny" => Verdict::Deny,
            _ => Verdict::Unknown,
        });
        Ok(FlowFilter {
            either: self.host,
            src: self.src,
            dst: self.dst,
            port,
            protocol,
            verdict,
            limit: Some(self.limit),
            latest_first: self.latest,
            ..FlowFilter::of(self.window.window()?)
        })
    }

    fn count(&self, world: &World, filter: &FlowFilter, format: Format) -> anyhow::Result<Exit> {
        let key = |name: &String| {
            FlowKey::ALL.iter().copied().find(|key| key.name() == name).ok_or_else(|| {
                let known: Vec<_> = FlowKey::ALL.iter().map(|key| key.name()).collect();
                UsageError(format!("flows cannot be counted by `{name}`; by {}", known.join(", ")))
            })
        };
        let keys = self.aggregate_by.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        let mut columns: Vec<&'static str> = keys.iter().map(|key| key.name()).collect();
        columns.extend(["flows", "packets", "bytes", "first", "last"]);
        let mut listing = Listing::new(&columns);
        for group in world.lake.count_flows(filter, &keys)? {
            let (first, last) = (model::format_time(group.first), model::format_time(group.last));
            let mut object = serde_json::Map::new();
            for (key, value) in keys.iter().zip(&group.key) {
                object.insert(key.name().to_owned(), json!(value));
            }
            for (name, value) in [("flows", group.flows), ("packets", group.packets), ("bytes", group.bytes)] {
                object.insert(name.to_owned(), json!(value));
            }
            object.insert("first".to_owned(), json!(first));
            object.insert("last".to_owned(), json!(last));
            listing.objects.push(object.into());
            let mut cells = group.key.clone();
            cells.extend([grouped(group.flows), grouped(group.packets), bytes_text(group.bytes), first, last]);
            listing.row(cells);
        }
        listing.print(format)?;
        Ok(Exit::Ok)
    }
}
