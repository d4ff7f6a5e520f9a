//! What a log entry holds, as far as it is used.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

/// A log entry. Some exports have the payload alone: then it is read from the same object.
#[derive(Deserialize)]
pub(super) struct Entry<'a> {
    #[serde(borrow)]
    pub(super) timestamp: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "logName", alias = "log_name")]
    pub(super) log_name: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "jsonPayload", alias = "json_payload")]
    pub(super) payload: Option<Payload<'a>>,
}

/// A flow's or an attempt's record.
#[derive(Deserialize)]
pub(super) struct Payload<'a> {
    #[serde(borrow)]
    pub(super) connection: Option<Connection<'a>>,
    #[serde(borrow)]
    pub(super) reporter: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) start_time: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) end_time: Option<Cow<'a, str>>,
    pub(super) bytes_sent: Option<Count>,
    pub(super) packets_sent: Option<Count>,
    #[serde(borrow)]
    pub(super) src_instance: Option<Instance<'a>>,
    #[serde(borrow)]
    pub(super) dest_instance: Option<Instance<'a>>,
    #[serde(borrow)]
    src_gke_details: Option<Gke<'a>>,
    #[serde(borrow)]
    dest_gke_details: Option<Gke<'a>>,
    #[serde(borrow)]
    dest_google_service: Option<GoogleService<'a>>,
    /// Of firewall logs, from here on.
    #[serde(borrow)]
    pub(super) disposition: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) rule_details: Option<RuleDetails<'a>>,
    #[serde(borrow)]
    pub(super) instance: Option<Instance<'a>>,
    #[serde(borrow)]
    remote_instance: Option<Instance<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Connection<'a> {
    #[serde(borrow)]
    pub(super) src_ip: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) dest_ip: Option<Cow<'a, str>>,
    pub(super) src_port: Option<Count>,
    pub(super) dest_port: Option<Count>,
    pub(super) protocol: Option<Count>,
}

#[derive(Deserialize)]
pub(super) struct Instance<'a> {
    #[serde(borrow)]
    pub(super) vm_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) project_id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
pub(super) struct RuleDetails<'a> {
    #[serde(borrow)]
    pub(super) reference: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) direction: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct GoogleService<'a> {
    #[serde(borrow)]
    service_name: Option<Cow<'a, str>>,
}

/// One end that is in a Kubernetes cluster.
#[derive(Deserialize)]
struct Gke<'a> {
    #[serde(borrow)]
    pod: Option<Pod<'a>>,
    #[serde(borrow)]
    service: Option<Vec<Service<'a>>>,
}

#[derive(Deserialize)]
struct Pod<'a> {
    #[serde(borrow)]
    pod_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pod_namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pod_workload: Option<Workload<'a>>,
}

#[derive(Deserialize)]
struct Workload<'a> {
    #[serde(borrow)]
    workload_name: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Service<'a> {
    #[serde(borrow)]
    service_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    service_namespace: Option<Cow<'a, str>>,
}

impl Payload<'_> {
    /// The source's pod or instance.
    pub(super) fn source_name(&self) -> Option<String> {
        pod_name(self.src_gke_details.as_ref()).or_else(|| vm_name(self.src_instance.as_ref()))
    }

    /// The destination's pod or instance.
    pub(super) fn destination_name(&self) -> Option<String> {
        pod_name(self.dest_gke_details.as_ref()).or_else(|| vm_name(self.dest_instance.as_ref()))
    }

    /// The instance whose firewall decided.
    pub(super) fn instance_name(&self) -> Option<String> {
        vm_name(self.instance.as_ref())
    }

    /// The instance at the other end.
    pub(super) fn remote_name(&self) -> Option<String> {
        vm_name(self.remote_instance.as_ref())
    }

    /// The Kubernetes service, or Google's, at the destination; several services are nobody's name.
    pub(super) fn service_name(&self) -> Option<String> {
        let services = self.dest_gke_details.as_ref().and_then(|gke| gke.service.as_deref());
        if let Some([service]) = services {
            return qualified(service.service_namespace.as_deref(), service.service_name.as_deref()?);
        }
        self.dest_google_service.as_ref()?.service_name.as_deref().map(str::to_owned)
    }
}

/// The workload that owns the pod, else the pod, with its namespace.
fn pod_name(gke: Option<&Gke<'_>>) -> Option<String> {
    let pod = gke?.pod.as_ref()?;
    let workload = pod.pod_workload.as_ref().and_then(|workload| workload.workload_name.as_deref());
    qualified(pod.pod_namespace.as_deref(), workload.or(pod.pod_name.as_deref())?)
}

fn qualified(namespace: Option<&str>, name: &str) -> Option<String> {
    Some(namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}")))
}

fn vm_name(instance: Option<&Instance<'_>>) -> Option<String> {
    instance?.vm_name.as_deref().map(str::to_owned)
}

/// A whole number; Cloud Logging writes 64 bits as text, BigQuery numbers with a fraction.
#[derive(Clone, Copy)]
pub(super) struct Count(pub(super) u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;

        impl Visitor<'_> for Whole {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Count, E> {
                Ok(Count(value))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Count, E> {
                u64::try_from(value).map(Count).map_err(|_| E::custom(format!("`{value}` is below zero")))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Count, E> {
                let whole = value >= 0.0 && value.fract() == 0.0 && value < 9e15;
                whole
                    .then_some(Count(value as u64))
                    .ok_or_else(|| E::custom(format!("`{value}` is not a whole number")))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Count, E> {
                value.parse().map(Count).map_err(|_| E::custom(format!("`{value}` is not a number")))
            }
        }

        deserializer.deserialize_any(Whole)
    }
}
