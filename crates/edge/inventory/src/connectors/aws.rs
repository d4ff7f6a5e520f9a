//! AWS: `aws ec2 describe-instances` and `aws ec2 describe-network-interfaces`.

use model::{Labels, Micros};
use serde::Deserialize;

use crate::connector::{Connector, Probe, Sighting, Sink, Text};
use crate::records::{Records, address, claim, lenient, mac_key, time, time_of};
use crate::row::Place;

/// The row of AWS.
pub(crate) static CONNECTOR: Connector = Connector {
    name: "aws",
    aliases: &["ec2", "aws-instances", "aws-network-interfaces"],
    title: "AWS describe-instances and describe-network-interfaces (JSON)",
    description: "Instances by their id, interfaces of services (NAT gateways, load balancers, Lambda, endpoints) by the \
                  service; tags are labels; addresses hold from when the interface was attached; the scope is the VPC. \
                  Secondary addresses of EKS nodes are their pods', and left to the `kubernetes` connector.",
    rank: 40,
    detect,
    read,
};

fn detect(probe: &Probe<'_>) -> bool {
    probe.has(&["InstanceId", "LaunchTime"])
        || probe.has(&["NetworkInterfaceId", "VpcId"])
        || probe.has(&["NetworkInterfaceId", "PrivateIpAddresses"])
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    #[serde(default, deserialize_with = "lenient")]
    value: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Association {
    #[serde(deserialize_with = "lenient")]
    public_ip: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Private {
    #[serde(deserialize_with = "lenient")]
    private_ip_address: String,
    #[serde(deserialize_with = "lenient")]
    primary: bool,
    #[serde(deserialize_with = "lenient")]
    association: Association,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Version6 {
    #[serde(deserialize_with = "lenient")]
    ipv6_address: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Attachment {
    attach_time: Option<String>,
    instance_id: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Interface {
    #[serde(deserialize_with = "lenient")]
    network_interface_id: String,
    #[serde(deserialize_with = "lenient")]
    interface_type: String,
    #[serde(deserialize_with = "lenient")]
    description: String,
    #[serde(deserialize_with = "lenient")]
    mac_address: String,
    #[serde(deserialize_with = "lenient")]
    vpc_id: String,
    #[serde(deserialize_with = "lenient")]
    availability_zone: String,
    #[serde(deserialize_with = "lenient")]
    attachment: Attachment,
    #[serde(deserialize_with = "lenient")]
    private_ip_addresses: Vec<Private>,
    #[serde(deserialize_with = "lenient", rename = "Ipv6Addresses")]
    version_6: Vec<Version6>,
    #[serde(deserialize_with = "lenient", rename = "TagSet")]
    tags: Vec<Tag>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    #[serde(deserialize_with = "lenient")]
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Placement {
    #[serde(deserialize_with = "lenient")]
    availability_zone: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    instance_id: String,
    #[serde(default)]
    launch_time: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    state: State,
    #[serde(default, deserialize_with = "lenient")]
    state_transition_reason: String,
    #[serde(default, deserialize_with = "lenient")]
    placement: Placement,
    #[serde(default, deserialize_with = "lenient")]
    platform_details: String,
    #[serde(default, deserialize_with = "lenient")]
    vpc_id: String,
    #[serde(default, deserialize_with = "lenient")]
    private_ip_address: String,
    #[serde(default, deserialize_with = "lenient")]
    public_ip_address: String,
    #[serde(default, deserialize_with = "lenient")]
    network_interfaces: Vec<Interface>,
    #[serde(default, deserialize_with = "lenient")]
    tags: Vec<Tag>,
}

fn read(input: &Text<'_>, sink: &mut Sink) {
    let records = Records::of(input.text, sink);
    for record in records.below(&["Reservations", "Instances"]) {
        let place = records.place(record);
        // Instances hold interfaces, so that only records that are no instances are taken for lists of interfaces.
        if record.get().contains("\"LaunchTime\"") {
            if let Some(instance) = records.read(record, sink) {
                of_instance(instance, place, sink);
            }
        } else if let Some(listed) = Listed::of(record.get()) {
            for interface in listed.network_interfaces {
                let place = records.place(interface);
                if let Some(interface) = records.read(interface, sink) {
                    of_interface(interface, place, sink);
                }
            }
        } else if record.get().contains("\"NetworkInterfaceId\"") {
            if let Some(interface) = records.read(record, sink) {
                of_interface(interface, place, sink);
            }
        } else if !record.get().contains("\"ResponseMetadata\"") && !record.get().contains("[]") {
            sink.reject(
                place,
                "expected an instance (`InstanceId`, `LaunchTime`) or an interface (`NetworkInterfaceId`)",
            );
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed<'a> {
    #[serde(borrow)]
    network_interfaces: Vec<&'a serde_json::value::RawValue>,
}

impl<'a> Listed<'a> {
    fn of(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

fn labels(tags: &[Tag]) -> Labels {
    tags.iter().filter(|tag| tag.key != "Name").map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}

fn name(tags: &[Tag]) -> Option<String> {
    tags.iter().find(|tag| tag.key == "Name" && !tag.value.is_empty()).map(|tag| tag.value.clone())
}

/// Whether tags are those that Kubernetes gives to its nodes and to what belongs to them.
fn in_cluster(tags: &[Tag]) -> bool {
    let known = [
        "kubernetes.io/cluster/",
        "eks:cluster-name",
        "node.k8s.amazonaws.com/",
        "cluster.k8s.amazonaws.com/",
    ];
    tags.iter().any(|tag| known.iter().any(|prefix| tag.key.starts_with(prefix)))
}

fn of_instance(instance: Instance, place: Place, sink: &mut Sink) {
    let launched = time_of(&instance.launch_time);
    let mut sighting = Sighting {
        keys: vec![format!("aws:{}", instance.instance_id)],
        name: name(&instance.tags),
        scope: instance.vpc_id.clone(),
        labels: labels(&instance.tags),
        seen: launched.unwrap_or(Micros::MIN),
        id: instance.instance_id,
        ..Sighting::default()
    };
    let mut label = |key: &str, value: &str| {
        sighting.labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    };
    label("kind", "instance");
    label("loc", &instance.placement.availability_zone);
    label("os", &instance.platform_details);
    if matches!(instance.state.name.as_str(), "terminated" | "shutting-down") {
        // `User initiated (2026-11-20 08:00:00 GMT)`; without it the end is unknown, and a later claim ends it.
        let within =
            instance.state_transition_reason.split(['(', ')']).nth(1).and_then(|t| t.strip_suffix(" GMT"));
        sighting.gone = within.and_then(|text| time(&format!("{}Z", text.replace(' ', "T"))));
        if sighting.gone.is_none() {
            sink.skip("terminated instances that do not say when");
        }
    }
    let lent = in_cluster(&instance.tags);
    for interface in &instance.network_interfaces {
        take(interface, launched, lent || in_cluster(&interface.tags), &mut sighting, place, sink);
    }
    if instance.network_interfaces.is_empty() {
        for text in [&instance.private_ip_address, &instance.public_ip_address] {
            add(text, launched, &mut sighting, place, sink);
        }
    }
    sink.sight(sighting, place);
}

/// Adds an interface's addresses. Secondary ones of a node are lent to its pods.
fn take(
    of: &Interface,
    since: Option<Micros>,
    lent: bool,
    sighting: &mut Sighting,
    place: Place,
    sink: &mut Sink,
) {
    let attached = time_of(&of.attachment.attach_time).or(since);
    sighting.keys.extend(mac_key(&of.mac_address));
    for private in &of.private_ip_addresses {
        if lent && !private.primary {
            sink.skip("secondary addresses of cluster nodes, which are their pods'");
            continue;
        }
        add(&private.private_ip_address, attached, sighting, place, sink);
        // A public address is had while the instance runs, or longer.
        add(&private.association.public_ip, since.max(attached), sighting, place, sink);
    }
    for version_6 in &of.version_6 {
        add(&version_6.ipv6_address, attached, sighting, place, sink);
    }
}

fn add(text: &str, from: Option<Micros>, sighting: &mut Sighting, place: Place, sink: &mut Sink) {
    if let Some(ip) = Some(text).filter(|text| !text.is_empty()).and_then(|text| address(text, place, sink)) {
        let to = sighting.gone;
        if !sighting.claims.iter().any(|known| known.ip == ip) {
            sighting.claims.push(claim(ip, from, to));
        }
    }
}

fn of_interface(interface: Interface, place: Place, sink: &mut Sink) {
    let (id, kind) = owner(&interface);
    let attached = time_of(&interface.attachment.attach_time);
    let mut sighting = Sighting {
        scope: interface.vpc_id.clone(),
        labels: labels(&interface.tags),
        seen: attached.unwrap_or(Micros::MIN),
        keys: vec![format!("aws:{id}")],
        id,
        ..Sighting::default()
    };
    let of_instance = kind == "instance";
    if !of_instance {
        sighting.name = name(&interface.tags);
        sighting.labels.entry(String::from("kind")).or_insert_with(|| kind.to_owned());
        sighting.labels.entry(String::from("loc")).or_insert_with(|| interface.availability_zone.clone());
    } else {
        // An interface's tags are not its instance's.
        sighting.labels.clear();
    }
    let lent = of_instance && (in_cluster(&interface.tags) || interface.description.starts_with("aws-K8S-"));
    take(&interface, None, lent, &mut sighting, place, sink);
    sink.sight(sighting, place);
}

/// Whose the interface is, and what kind of thing that is. Services say it in the description only.
fn owner(interface: &Interface) -> (String, &'static str) {
    let (description, own) = (interface.description.as_str(), &interface.network_interface_id);
    let last = || description.rsplit(' ').next().filter(|word| word.contains('-')).unwrap_or(own).to_owned();
    if let Some(instance) = interface.attachment.instance_id.clone() {
        return (instance, "instance");
    }
    match interface.interface_type.as_str() {
        "nat_gateway" | "natGateway" => return (last(), "nat-gateway"),
        "vpc_endpoint" | "gateway_load_balancer_endpoint" => return (last(), "vpc-endpoint"),
        "transit_gateway" => return (last(), "transit-gateway"),
        _ => {}
    }
    if let Some(balancer) = description.strip_prefix("ELB ") {
        return (format!("elb/{balancer}"), "load-balancer");
    }
    if let Some(function) = description.strip_prefix("AWS Lambda VPC ENI-") {
        // A UUID closes it.
        let name = function.len().checked_sub(37).and_then(|at| function.get(..at)).unwrap_or(function);
        return (format!("lambda/{name}"), "lambda");
    }
    if let Some(cluster) = description.strip_prefix("Amazon EKS ") {
        return (format!("eks/{cluster}"), "eks-control-plane");
    }
    if let Some(rest) = description.strip_prefix("EFS mount target for ") {
        return (rest.split(' ').next().unwrap_or(own).to_owned(), "efs");
    }
    match description {
        "RDSNetworkInterface" => (own.clone(), "rds"),
        _ => (own.clone(), "network-interface"),
    }
}

#[cfg(test)]
mod tests {
    use crate::laws::{history, read_as};

    const INSTANCES: &str = r#"{"Reservations": [{"Groups": [], "Instances": [
      {"ImageId": "ami-1", "InstanceId": "i-0aa", "LaunchTime": "2026-11-18T08:00:00+00:00", "State": {"Code": 16, "Name": "running"},
       "Placement": {"AvailabilityZone": "eu-west-1a"}, "PlatformDetails": "Linux/UNIX", "PrivateIpAddress": "10.0.1.10",
       "StateTransitionReason": "", "VpcId": "vpc-1",
       "NetworkInterfaces": [{"Attachment": {"AttachTime": "2026-11-01T08:00:00+00:00", "DeviceIndex": 0}, "InterfaceType": "interface",
         "Ipv6Addresses": [{"Ipv6Address": "2001:db8::10"}], "MacAddress": "0a:00:00:00:00:01", "NetworkInterfaceId": "eni-1",
         "PrivateIpAddresses": [
           {"Primary": true, "PrivateIpAddress": "10.0.1.10", "Association": {"PublicIp": "192.0.2.10"}},
           {"Primary": false, "PrivateIpAddress": "10.0.1.11"}], "VpcId": "vpc-1"}],
       "Tags": [{"Key": "Name", "Value": "web one"}, {"Key": "Environment", "Value": "prod"},
                {"Key": "aws:autoscaling:groupName", "Value": "web"}]},
      {"InstanceId": "i-0bb", "LaunchTime": "2026-11-18T08:00:00+00:00", "State": {"Name": "terminated"},
       "StateTransitionReason": "User initiated (2026-11-19 12:00:00 GMT)", "NetworkInterfaces": [], "Tags": null},
      {"InstanceId": "i-0cc", "LaunchTime": "2026-11-18T08:00:00+00:00", "State": {"Name": "running"},
       "NetworkInterfaces": [{"PrivateIpAddresses": [{"Primary": true, "PrivateIpAddress": "10.0.1.20"},
         {"Primary": false, "PrivateIpAddress": "10.0.1.21"}]}],
       "Tags": [{"Key": "kubernetes.io/cluster/blue", "Value": "owned"}]},
      {"InstanceId": 7, "LaunchTime": "2026-11-18T08:00:00+00:00"}
    ]}]}"#;

    #[test]
    fn instances_hold_addresses_since_they_were_attached() {
        let read = read_as("aws", INSTANCES);
        assert_eq!(
            history(&read),
            [
                "i-0aa 10.0.1.10 2026-11-01T08:00:00.000Z..",
                "i-0aa 10.0.1.11 2026-11-01T08:00:00.000Z..",
                "i-0aa 192.0.2.10 2026-11-18T08:00:00.000Z..",
                "i-0aa 2001:db8::10 2026-11-01T08:00:00.000Z..",
                "i-0cc 10.0.1.20 2026-11-18T08:00:00.000Z..",
            ]
        );
        let web = read.accounts.iter().flat_map(|a| &a.workloads).find(|w| w.id.0 == "i-0aa").unwrap();
        assert_eq!(
            (web.name.as_str(), web.labels["env"].as_str(), web.labels["loc"].as_str()),
            ("web one", "prod", "eu-west-1a")
        );
        assert_eq!(web.labels["aws_autoscaling_groupName"], "web");
        assert_eq!(read.accounts.iter().find(|a| a.workloads.contains(web)).unwrap().scope, "vpc-1");
        assert_eq!(read.keys["mac:0a:00:00:00:00:01"].0, "i-0aa");
        assert_eq!(read.ended.len(), 1);
        assert_eq!((read.rejects.len(), read.skipped.values().sum::<u64>()), (1, 1));
    }

    #[test]
    fn interfaces_belong_to_instances_and_services() {
        let text = r#"{"NetworkInterfaces": [
          {"Attachment": {"AttachTime": "2026-11-01T08:00:00+00:00", "InstanceId": "i-0aa"}, "Description": "aws-K8S-i-0aa",
           "InterfaceType": "interface", "MacAddress": "0a:00:00:00:00:01", "NetworkInterfaceId": "eni-1", "VpcId": "vpc-1",
           "PrivateIpAddresses": [{"Primary": true, "PrivateIpAddress": "10.0.1.10"}, {"Primary": false, "PrivateIpAddress": "10.0.1.11"}],
           "TagSet": [{"Key": "Name", "Value": "not the instance's"}]},
          {"Attachment": {"InstanceOwnerId": "amazon-aws"}, "Description": "Interface for NAT Gateway nat-0a8b", "InterfaceType": "nat_gateway",
           "NetworkInterfaceId": "eni-2", "VpcId": "vpc-1", "PrivateIpAddresses": [{"Primary": true, "PrivateIpAddress": "10.0.124.85",
           "Association": {"PublicIp": "192.0.2.11"}}], "TagSet": []},
          {"Description": "ELB app/shop/50dc6c495c0c9188", "InterfaceType": "interface", "NetworkInterfaceId": "eni-3", "VpcId": "vpc-1",
           "PrivateIpAddresses": [{"Primary": true, "PrivateIpAddress": "10.0.1.30"}]},
          {"Description": "ELB app/shop/50dc6c495c0c9188", "InterfaceType": "interface", "NetworkInterfaceId": "eni-4", "VpcId": "vpc-1",
           "PrivateIpAddresses": [{"Primary": true, "PrivateIpAddress": "10.0.2.30"}]},
          {"Description": "AWS Lambda VPC ENI-resize-6f4f8b3e-7a10-4e7b-9e35-000000000001", "InterfaceType": "lambda",
           "NetworkInterfaceId": "eni-5", "VpcId": "vpc-1", "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.1.40"}]},
          {"Description": "RDSNetworkInterface", "NetworkInterfaceId": "eni-6", "VpcId": "vpc-1", "PrivateIpAddresses": [{"PrivateIpAddress": "10.0.1.999"}]}
        ]}"#;
        let read = read_as("aws", text);
        assert_eq!(
            history(&read),
            [
                "elb/app/shop/50dc6c495c0c9188 10.0.1.30 ..",
                "elb/app/shop/50dc6c495c0c9188 10.0.2.30 ..",
                "i-0aa 10.0.1.10 2026-11-01T08:00:00.000Z..",
                "lambda/resize 10.0.1.40 ..",
                "nat-0a8b 10.0.124.85 ..",
                "nat-0a8b 192.0.2.11 ..",
            ]
        );
        assert_eq!(read.rejects.len(), 1);
    }
}
