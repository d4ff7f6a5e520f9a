//! What else the state store keeps: workloads over time, documents.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on shall stop")]

mod support;

use lake::{AssetReceipt, Lake, LakeError, Storing, identity_changes};
use model::{AddressClaim, Criticality, Ip, Labels, Micros, Segmentation, TimeWindow, Workload, WorkloadId};
use serde_json::json;

fn workload(id: &str, role: &str, claims: &[(&str, Micros, Micros)]) -> Workload {
    Workload {
        id: WorkloadId(id.into()),
        name: format!("{id}.example"),
        labels: Labels::from([("role".into(), role.into())]),
        criticality: Some(Criticality::High),
        addresses: claims
            .iter()
            .map(|&(ip, from, to)| AddressClaim { ip: ip.parse().unwrap(), from, to })
            .collect(),
    }
}

const ALWAYS: (Micros, Micros) = (Micros::MIN, Micros::MAX);

#[test]
fn workloads_are_kept_with_their_history() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    let web = workload("web", "web", &[("10.0.0.1", ALWAYS.0, ALWAYS.1), ("2001:db8::1", 5, 9)]);
    let db = workload("db", "db", &[("10.0.0.2", ALWAYS.0, ALWAYS.1)]);
    let receipt = lake.store_workloads(&[web.clone(), db.clone()], Storing::Merge).unwrap();
    assert_eq!(receipt, AssetReceipt { added: 2, ..AssetReceipt::default() });
    assert_eq!(lake.inventory(None).unwrap().workloads(), [db.clone(), web.clone()]);
    let receipt = lake.store_workloads(std::slice::from_ref(&web), Storing::Merge).unwrap();
    assert_eq!(receipt, AssetReceipt { unchanged: 2, ..AssetReceipt::default() });
    // The address of `web` goes to a new `api`, `web` gets another one and another role; `db` is gone.
    let at = 4_000_000_000_000_000;
    let web_now = workload("web", "proxy", &[("10.0.0.3", ALWAYS.0, ALWAYS.1)]);
    let api = workload("api", "api", &[("10.0.0.1", ALWAYS.0, ALWAYS.1)]);
    let receipt = lake.store_workloads(&[web_now, api], Storing::Replace { at }).unwrap();
    assert_eq!(receipt, AssetReceipt { added: 1, updated: 2, unchanged: 0, ended: 2 });
    let now = lake.inventory(None).unwrap();
    let owner = |ip: &str, at| now.owner(ip.parse().unwrap(), at).map(|w| w.id.0.clone());
    assert_eq!(owner("10.0.0.1", at - 1).as_deref(), Some("web"));
    assert_eq!(owner("10.0.0.1", at).as_deref(), Some("api"));
    assert_eq!((owner("10.0.0.2", at - 1).as_deref(), owner("10.0.0.2", at)), (Some("db"), None));
    assert_eq!(now.get(&WorkloadId("web".into())).unwrap().labels["role"], "proxy");
    let then = lake.inventory(Some(at - 1)).unwrap();
    assert_eq!(then.get(&WorkloadId("web".into())).unwrap().labels["role"], "web");
    assert_eq!(then.get(&WorkloadId("api".into())).unwrap().labels["role"], "api");
    let changes = identity_changes(&now, TimeWindow::ALL);
    let [v6, db, web] = ["2001:db8::1", "10.0.0.2", "10.0.0.1"].map(|ip| ip.parse::<Ip>().unwrap());
    assert_eq!(changes, [(web, at), (db, at), (v6, 5), (v6, 9)]);
    assert!(identity_changes(&now, TimeWindow { from: 9, to: at }).is_empty());
}

#[test]
fn a_list_that_cannot_stand_beside_what_is_stored_is_refused_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    let web = workload("web", "web", &[("10.0.0.1", ALWAYS.0, ALWAYS.1)]);
    lake.store_workloads(std::slice::from_ref(&web), Storing::Merge).unwrap();
    let thief = workload("thief", "x", &[("10.0.0.1", 5, 10)]);
    let error = lake.store_workloads(&[thief, workload("new", "y", &[])], Storing::Merge).unwrap_err();
    assert!(matches!(error, LakeError::SharedAddress(_)));
    let said = error.to_string();
    assert!(
        said.starts_with("`web` and `thief` both own 10.0.0.1 from 1970-01-01T00:00:00.000Z to"),
        "{said}"
    );
    assert!(said.contains("nothing was stored"), "{said}");
    assert_eq!(lake.inventory(None).unwrap().workloads(), [web]);
}

#[test]
fn documents_keep_their_versions() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    assert_eq!(lake.document("plan", "prod").unwrap(), None);
    assert_eq!(lake.put_document("plan", "prod", &json!({"a": 1})).unwrap(), 1);
    assert_eq!(lake.put_document("plan", "prod", &json!({"a": 1})).unwrap(), 1);
    assert_eq!(lake.put_document("plan", "prod", &json!({"a": 2})).unwrap(), 2);
    lake.put_document("plan", "dev", &json!(null)).unwrap();
    lake.remove_document("plan", "prod").unwrap();
    let bodies: Vec<_> = lake.document_history("plan", "prod").unwrap().into_iter().map(|d| d.body).collect();
    assert_eq!(bodies, [Some(json!({"a": 1})), Some(json!({"a": 2})), None]);
    assert_eq!(lake.document_keys("plan").unwrap(), ["dev"]);
    assert_eq!(lake.put_document("plan", "prod", &json!([])).unwrap(), 4);
    drop(lake);
    let lake = Lake::open_read(folder.path()).unwrap();
    assert_eq!(lake.document("plan", "prod").unwrap().unwrap().body, Some(json!([])));
}

#[test]
fn the_segmentation_that_counts_is_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path()).unwrap();
    assert_eq!(lake.segmentation().unwrap(), None);
    let segmentation: Segmentation = serde_json::from_value(json!({
        "segments": [{"id": "s1", "name": "web", "members": ["a", "b"], "confidence": 0.25, "reasons": ["same peers"]}],
        "unassigned": [{"workload": "c", "nearest": [["s1", 0.5]], "reason": "no traffic"}],
    }))
    .unwrap();
    lake.put_segmentation(&Segmentation::default()).unwrap();
    lake.put_segmentation(&segmentation).unwrap();
    assert_eq!(lake.segmentation().unwrap(), Some(segmentation));
}

#[test]
fn flows_without_their_state_are_never_removed() {
    let folder = tempfile::tempdir().unwrap();
    drop(Lake::open(folder.path()).unwrap());
    let flows = folder.path().join("flows/v1/dt=2026-11-20/hr=08");
    std::fs::create_dir_all(&flows).unwrap();
    std::fs::write(flows.join("1-1.parquet"), "PAR1").unwrap();
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(name));
    }
    assert!(matches!(Lake::open(folder.path()), Err(LakeError::StateLost(_))));
    std::fs::write(folder.path().join("state.db"), "").unwrap();
    assert!(matches!(Lake::open(folder.path()), Err(LakeError::StateLost(_))));
    assert!(flows.join("1-1.parquet").exists());
}
