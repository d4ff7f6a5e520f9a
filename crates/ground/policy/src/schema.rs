//! The JSON Schema of policy files, for editors.

use serde_json::{Map, Value, json};

use crate::parse::{GUARDRAIL_ALLOW_KEYS, GUARDRAIL_DENY_KEYS, KINDS, RULE_KEYS};

/// JSON Schema (draft 2020-12) of one document of a policy file. It knows every key, and the form of the values as
/// far as a schema can; what selectors and sentences mean, the parser checks.
pub fn schema() -> Value {
    let documents: Vec<Value> = KINDS.iter().map(|(kind, keys)| document(kind, keys)).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Ringfence policy",
        "oneOf": documents,
        "$defs": definitions(),
    })
}

fn document(kind: &str, keys: &[&str]) -> Value {
    let properties = keys.iter().map(|key| ((*key).to_owned(), property(kind, key)));
    let required: &[&str] = match kind {
        "Segment" => &["kind", "name"],
        "Guardrail" => &["kind", "owner"],
        _ => &["kind", "scope", "owner"],
    };
    let mut schema = object(properties, required);
    if kind == "Segment" {
        schema["oneOf"] = json!([{"required": ["members"]}, {"required": ["selector"]}]);
    }
    schema
}

fn property(kind: &str, key: &str) -> Value {
    let list = |of: &str| json!({"type": ["array", "null"], "items": {"$ref": format!("#/$defs/{of}")}});
    match (kind, key) {
        (kind, "kind") => json!({"const": kind}),
        ("Guardrail", "deny") => list("guardrailDeny"),
        ("Guardrail", "allow") => list("guardrailAllow"),
        (_, "allow") => list("rule"),
        (_, "tests") => list("sentence"),
        (_, "members" | "reasons") => list("text"),
        (_, "mode") => json!({"enum": ["observe", "test", "selective", "enforce"]}),
        (_, "scope") => json!({"$ref": "#/$defs/peer"}),
        (_, "confidence") => json!({"$ref": "#/$defs/fraction"}),
        _ => json!({"$ref": "#/$defs/text"}),
    }
}

fn definitions() -> Value {
    let rule = |keys: &[&str]| {
        let properties = keys.iter().map(|key| ((*key).to_owned(), rule_property(key)));
        object(properties, &["id", "from", "to", "why"])
    };
    json!({
        // Dates and numbers may stand unquoted; the parser takes every scalar as text.
        "text": {"type": ["string", "number"], "pattern": "\\S"},
        "fraction": {"type": "number", "minimum": 0, "maximum": 1},
        "count": {"type": "integer", "minimum": 0},
        "peer": {
            "description": "a label selector, `any`, `internet`, `cidr:BLOCK`, `segment:NAME`, `group:NAME`, `fqdn:NAME`, or a list of them",
            "anyOf": [
                {"$ref": "#/$defs/text"},
                {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/text"}}
            ]
        },
        "service": {"type": "string", "pattern": "^\\s*(icmp|tcp|udp|dccp|gre|esp|icmpv6|sctp|udplite|ip[0-9]{1,3})\\s*(/.+)?$"},
        "ports": {
            "anyOf": [
                {"$ref": "#/$defs/service"},
                {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/service"}}
            ]
        },
        "sentence": {
            "description": "PEER can|cannot reach PEER [on SERVICE[, SERVICE]]",
            "type": "string",
            "pattern": "^.+ (can|cannot) reach .+$"
        },
        "evidence": object(
            ["flows", "days", "clients", "servers"]
                .into_iter()
                .map(|key| (key.to_owned(), json!({"$ref": "#/$defs/count"})))
                .chain([
                    (String::from("last_seen"), json!({"$ref": "#/$defs/text"})),
                    (String::from("confidence"), json!({"$ref": "#/$defs/fraction"})),
                    (String::from("visibility"), json!({"$ref": "#/$defs/fraction"})),
                ]),
            &[],
        ),
        "rule": rule(RULE_KEYS),
        "guardrailAllow": rule(GUARDRAIL_ALLOW_KEYS),
        "guardrailDeny": rule(GUARDRAIL_DENY_KEYS),
    })
}

fn rule_property(key: &str) -> Value {
    let definition = match key {
        "from" | "to" | "except" => "peer",
        "ports" => "ports",
        "evidence" => "evidence",
        _ => "text",
    };
    let mut property = json!({"$ref": format!("#/$defs/{definition}")});
    if key == "id" {
        property["pattern"] = json!("^[A-Za-z0-9._/:-]+$");
    }
    property
}

fn object(properties: impl IntoIterator<Item = (String, Value)>, required: &[&str]) -> Value {
    let properties: Map<String, Value> = properties.into_iter().collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}
