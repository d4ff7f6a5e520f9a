//! Azure: `az vm list -d`, `az network nic list`, and both kinds of resource as Resource Graph and the API give them.

use model::{Labels, Micros};
use serde::Deserialize;
use serde_json::Value;

use crate::connector::{Connector, Probe, Sighting, Sink, Text};
use crate::records::{Records, address, claim, mac_key, time};
use crate::row::Place;

/// The row of Azure.
pub(crate) static CONNECTOR: Connector = Connector {
    name: "azure",
    aliases: &["az", "azure-vm", "azure-nic"],
    title: "Azure az vm list -d, az network nic list, Resource Graph (JSON)",
    description: "Machines by their resource id, interfaces by the machine that they are attached to; tags are labels; the \
                  scope is the virtual network, where an interface says it. Addresses hold since the machine was created.",
    rank: 40,
    detect,
    read,
};

fn detect(probe: &Probe<'_>) -> bool {
    let head = probe.head.to_ascii_lowercase();
    let resource = head.contains("/microsoft.compute/virtualmachines/")
        || head.contains("/microsoft.network/networkinterfaces/");
    probe.has(&["id", "name"])
        && resource
        && probe.keys_any(&["privateIps", "ipConfigurations", "vmId", "networkProfile"])
}

/// What the command line shows flat, and the API below `properties`.
#[derive(Deserialize)]
struct Resource(serde_json::Map<String, Value>);

impl Resource {
    fn get(&self, key: &str) -> Option<&Value> {
        let within = self.0.get("properties").and_then(|inner| inner.get(key));
        self.0.get(key).or(within).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> &str {
        self.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn labels(&self) -> Labels {
        let tags = self.get("tags").and_then(Value::as_object);
        let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
        tags.into_iter().flatten().filter_map(text).collect()
    }
}

fn read(input: &Text<'_>, sink: &mut Sink) {
    let records = Records::of(input.text, sink);
    for record in records.below(&["value", "data"]) {
        let Some(resource) = records.read::<Resource>(record, sink) else { continue };
        let place = records.place(record);
        let id = resource.text("id").to_ascii_lowercase();
        if id.contains("/microsoft.compute/virtualmachines/") {
            of_machine(&resource, &id, place, sink);
        } else if id.contains("/microsoft.network/networkinterfaces/") {
            of_interface(&resource, &id, place, sink);
        } else if id.is_empty() {
            sink.reject(place, "the resource has no `id`");
        } else {
            sink.skip("resources that are neither machines nor interfaces");
        }
    }
}

/// The last part of a resource's id.
fn last(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// `azure/GROUP/NAME`: what people recognise, and unique in a subscription.
fn short(id: &str) -> String {
    let mut parts = id.split('/').skip_while(|part| *part != "resourcegroups").skip(1);
    format!("azure/{}/{}", parts.next().unwrap_or_default(), last(id))
}

fn of_machine(vm: &Resource, id: &str, place: Place, sink: &mut Sink) {
    let created = time(vm.text("timeCreated"));
    let mut sighting = Sighting {
        id: short(id),
        name: Some(vm.text("name").to_owned()).filter(|name| !name.is_empty()),
        keys: vec![format!("azure:{id}")],
        labels: vm.labels(),
        seen: created.unwrap_or(Micros::MIN),
        ..Sighting::default()
    };
    let os = vm.get("storageProfile").and_then(|s| s.get("osDisk")).and_then(|s| s.get("osType"));
    let mut label = |key: &str, value: &str| {
        sighting.labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    };
    label("kind", "vm");
    label("loc", vm.text("location"));
    label("os", os.and_then(Value::as_str).unwrap_or_default());
    if !vm.text("vmId").is_empty() {
        sighting.keys.push(format!("uuid:{}", vm.text("vmId").to_ascii_lowercase()));
    }
    sighting.keys.extend(listed(vm, "macAddresses").into_iter().filter_map(|text| mac_key(&text)));
    for text in listed(vm, "privateIps").into_iter().chain(listed(vm, "publicIps")) {
        sighting.claims.extend(address(&text, place, sink).map(|ip| claim(ip, created, None)));
    }
    // An interface that is exported beside the machine names it by id only: it may give the tags to nobody else.
    sink.sight(sighting, place);
}

/// A list, which the command line joins by commas.
fn listed(vm: &Resource, key: &str) -> Vec<String> {
    match vm.get(key) {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(text)) => {
            text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
        }
        _ => Vec::new(),
    }
}

fn of_interface(nic: &Resource, id: &str, place: Place, sink: &mut Sink) {
    let machine = nic.get("virtualMachine").and_then(|vm| vm.get("id")).and_then(Value::as_str);
    let machine = machine.map(str::to_ascii_lowercase);
    let endpoint = nic.get("privateEndpoint").and_then(|e| e.get("id")).and_then(Value::as_str);
    let owner =
        machine.clone().or_else(|| endpoint.map(str::to_ascii_lowercase)).unwrap_or_else(|| id.to_owned());
    let mut sighting = Sighting {
        id: short(&owner),
        keys: vec![format!("azure:{owner}")],
        seen: Micros::MIN,
        ..Sighting::default()
    };
    sighting.keys.extend(mac_key(nic.text("macAddress")));
    if machine.is_none() {
        sighting.labels = nic.labels();
        let kind = if endpoint.is_some() { "private-endpoint" } else { "network-interface" };
        sighting.labels.entry(String::from("kind")).or_insert_with(|| kind.to_owned());
    }
    let configurations = nic.get("ipConfigurations").and_then(Value::as_array);
    for configuration in configurations.into_iter().flatten() {
        let inner = configuration.get("properties").unwrap_or(configuration);
        let field = |key: &str| inner.get(key).and_then(Value::as_str);
        // Renamed in 2023.
        if let Some(text) = field("privateIPAddress").or_else(|| field("privateIpAddress")) {
            sighting.claims.extend(address(text, place, sink).map(|ip| claim(ip, None, None)));
        }
        let subnet =
            inner.get("subnet").and_then(|s| s.get("id")).and_then(Value::as_str).unwrap_or_default();
        let network = subnet.to_ascii_lowercase();
        let network = network.split("/virtualnetworks/").nth(1).and_then(|rest| rest.split('/').next());
        if let Some(network) = network {
            sighting.scope = network.to_owned();
        }
    }
    sink.sight(sighting, place);
}

#[cfg(test)]
mod tests {
    use crate::laws::{history, read_as};

    #[test]
    fn machines_and_their_interfaces_are_one() {
        let vms = r#"[{"hardwareProfile": {"vmSize": "Standard_D2s_v3"},
          "id": "/subscriptions/s/resourceGroups/SHOP/providers/Microsoft.Compute/virtualMachines/web-1", "location": "westus2",
          "macAddresses": "00-0D-3A-00-00-01", "name": "web-1", "powerState": "VM running", "privateIps": "10.1.0.4,10.1.0.5",
          "publicIps": "", "resourceGroup": "SHOP", "storageProfile": {"osDisk": {"osType": "Linux"}}, "tags": {"Environment": "prod"},
          "timeCreated": "2026-01-15T10:00:00.123456+00:00", "vmId": "0A0B"}, 3]"#;
        let read = read_as("azure", vms);
        assert_eq!(
            history(&read),
            [
                "azure/shop/web-1 10.1.0.4 2026-01-15T10:00:00.123Z..",
                "azure/shop/web-1 10.1.0.5 2026-01-15T10:00:00.123Z.."
            ]
        );
        assert_eq!(
            (read.rejects.len(), read.keys["mac:00:0d:3a:00:00:01"].0.as_str()),
            (1, "azure/shop/web-1")
        );
        assert_eq!(read.accounts[0].workloads[0].labels["env"], "prod");
        let nics = r#"[{"id": "/subscriptions/s/resourceGroups/shop/providers/Microsoft.Network/networkInterfaces/web-1-nic", "name": "web-1-nic",
          "ipConfigurations": [{"name": "c", "privateIPAddress": "10.1.0.4", "subnet":
             {"id": "/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/hub/subnets/a"}}],
          "macAddress": "00-0D-3A-00-00-01", "virtualMachine": {"id": "/subscriptions/s/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/web-1"}}]"#;
        let read = read_as("azure", nics);
        assert_eq!(
            (history(&read), read.accounts[0].scope.as_str()),
            (vec!["azure/shop/web-1 10.1.0.4 ..".to_owned()], "hub")
        );
    }

    #[test]
    fn the_resource_graph_says_it_below_properties() {
        let graph = r#"{"count": 1, "data": [{"id": "/subscriptions/s/resourceGroups/shop/providers/Microsoft.Network/networkInterfaces/pe",
          "name": "pe", "type": "microsoft.network/networkinterfaces", "tags": {"app": "shop"}, "properties": {"macAddress": "",
          "ipConfigurations": [{"properties": {"privateIPAddress": "10.1.0.9"}}],
          "privateEndpoint": {"id": "/subscriptions/s/resourceGroups/shop/providers/Microsoft.Network/privateEndpoints/sql"}}}]}"#;
        let read = read_as("azure", graph);
        assert_eq!(history(&read), ["azure/shop/sql 10.1.0.9 .."]);
        assert_eq!(read.accounts[0].workloads[0].labels["kind"], "private-endpoint");
    }
}
