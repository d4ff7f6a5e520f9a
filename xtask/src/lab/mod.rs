//! The lab: real daemons in network namespaces, recorded and proved.

/// Whether the lab can come up here: root, network namespaces, nftables.
pub(crate) fn possible() -> bool {
    testkit::namespaces()
}

/// `cargo xtask lab record|prove|up|down`.
pub(crate) fn main(arguments: &[String]) -> anyhow::Result<()> {
    anyhow::bail!("`{}` is not a lab command", arguments.join(" "))
}
