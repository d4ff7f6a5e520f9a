//! `nft -j list` as the text that `nft list` would have printed, so that there is one reader of meaning.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::names::{Numbers, number};
use super::{Misread, TABLE};

/// Translates a document. Objects of other tables are left out; anything of ours that is not known is an error that
/// quotes it (a JSON document has no lines worth naming).
pub(super) fn to_text(json: &str) -> Result<String, Misread> {
    let document: Value = serde_json::from_str(json).map_err(|error| Misread {
        line: error.line(),
        found: String::new(),
        what: format!("not JSON as `nft -j` prints it: {error}"),
    })?;
    let objects = document.get("nftables").and_then(Value::as_array);
    let objects = objects.ok_or_else(|| unknown(&document, "a list `nftables` was expected"))?;
    let (mut parts, mut chains) = (String::new(), BTreeMap::<String, Vec<String>>::new());
    for object in objects {
        let Some((kind, body)) = object.as_object().and_then(|o| o.iter().next()) else {
            return Err(unknown(object, "not an object of a ruleset"));
        };
        let in_ours = text(body, "family") == Some("inet")
            && text(body, if kind == "table" { "name" } else { "table" }) == Some(TABLE);
        if !in_ours || kind == "table" {
            continue;
        }
        match kind.as_str() {
            "set" | "map" => parts.push_str(&set(kind, body)?),
            "chain" => chains.entry(required(body, "name")?.to_owned()).or_default().extend(hook(body)?),
            "rule" => chains.entry(required(body, "chain")?.to_owned()).or_default().push(rule(body)?),
            _ => return Err(unknown(object, "not a part of the table that is known")),
        }
    }
    let mut result = format!("table inet {TABLE} {{\n{parts}");
    for (name, lines) in chains {
        let _ = writeln!(result, "chain {name} {{");
        lines.iter().for_each(|line| {
            let _ = writeln!(result, "{line}");
        });
        result.push_str("}\n");
    }
    result.push_str("}\n");
    Ok(result)
}

fn unknown(value: &Value, what: &str) -> Misread {
    let mut found: String = value.to_string().chars().take(200).collect();
    if found.len() < value.to_string().len() {
        found.push_str("...");
    }
    Misread { line: 1, found, what: what.to_owned() }
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

fn required<'v>(value: &'v Value, key: &str) -> Result<&'v str, Misread> {
    // Names stand in the text unquoted: nothing that could end a word may be in them.
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let found = text(value, key).filter(|name| name.chars().all(legal));
    found.ok_or_else(|| unknown(value, &format!("`{key}` is missing or not a name")))
}

fn hook(chain: &Value) -> Result<Vec<String>, Misread> {
    if chain.get("hook").is_none() {
        return Ok(Vec::new());
    }
    let (kind, hook, policy) =
        (required(chain, "type")?, required(chain, "hook")?, required(chain, "policy")?);
    let priority = chain.get("prio").and_then(Value::as_i64);
    let priority = priority.ok_or_else(|| unknown(chain, "`prio` is missing"))?;
    Ok(vec![format!("type {kind} hook {hook} priority {priority}; policy {policy};")])
}

fn set(kind: &str, body: &Value) -> Result<String, Misread> {
    let types: Vec<&str> = match body.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => return Err(unknown(body, "a set without a type")),
    };
    let interval = Value::Array(vec![Value::String("interval".into())]);
    if body.get("flags") != Some(&interval) {
        return Err(unknown(body, "a set with flags other than `interval`"));
    }
    let suffix = match (kind, text(body, "map")) {
        ("set", None) => "",
        ("map", Some("verdict")) => " : verdict",
        _ => return Err(unknown(body, "a map to something other than verdicts")),
    };
    let mut result = format!(
        "{kind} {} {{\ntype {}{suffix}\nflags interval\n",
        required(body, "name")?,
        types.join(" . ")
    );
    let empty = Vec::new();
    let elements = body.get("elem").and_then(Value::as_array).unwrap_or(&empty);
    result.push_str("elements = {\n");
    for element in elements {
        let printed = match (kind, element.as_array().map(Vec::as_slice)) {
            ("map", Some([key, to])) => format!("{} : {}", operand(key, &types)?, verdict(to)?),
            ("set", _) => operand(element, &types)?,
            _ => return Err(unknown(element, "not an element that is known")),
        };
        let _ = writeln!(result, "{printed},");
    }
    result.push_str("}\n}\n");
    Ok(result)
}

fn numbers(kind: &str) -> Option<Numbers> {
    Some(match kind {
        "inet_proto" => Numbers::Protocol,
        "inet_service" => Numbers::Port,
        "icmp_type" => Numbers::IcmpType,
        "icmp_code" => Numbers::IcmpCode,
        "icmpv6_type" => Numbers::Icmpv6Type,
        "icmpv6_code" => Numbers::Icmpv6Code,
        _ => return None,
    })
}

/// A value, prefix, range, set or concatenation. Names are turned to numbers where the type is known: a range of two
/// names with dashes could not be read as text.
fn operand(value: &Value, types: &[&str]) -> Result<String, Misread> {
    let kind = types.first().copied().unwrap_or_default();
    match value {
        Value::Number(number) => return Ok(number.to_string()),
        Value::String(word) => {
            let as_number = numbers(kind).and_then(|numbers| number(word, numbers));
            let is_word =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/' | '@');
            return match as_number {
                Some(number) => Ok(number.to_string()),
                None if word.chars().all(is_word) => Ok(word.clone()),
                None => Err(unknown(value, "not a word")),
            };
        }
        _ => {}
    }
    let single = value.as_object().filter(|o| o.len() == 1).and_then(|o| o.iter().next());
    match single.map(|(key, inner)| (key.as_str(), inner)) {
        Some(("prefix", inner)) => {
            let length = inner.get("len").and_then(Value::as_u64);
            let length = length.ok_or_else(|| unknown(value, "a prefix without a length"))?;
            let address = inner.get("addr").ok_or_else(|| unknown(value, "a prefix without an address"))?;
            Ok(format!("{}/{length}", operand(address, types)?))
        }
        Some(("range", Value::Array(ends))) => match ends.as_slice() {
            [low, high] => Ok(format!("{}-{}", operand(low, types)?, operand(high, types)?)),
            _ => Err(unknown(value, "a range without two ends")),
        },
        Some(("set", Value::Array(members))) => {
            let members: Result<Vec<_>, _> = members.iter().map(|member| operand(member, types)).collect();
            Ok(format!("{{ {} }}", members?.join(", ")))
        }
        Some(("concat", Value::Array(parts))) => {
            let typed = parts.iter().enumerate();
            let parts: Result<Vec<_>, _> = typed
                .map(|(index, part)| operand(part, types.get(index..index + 1).unwrap_or_default()))
                .collect();
            Ok(parts?.join(" . "))
        }
        _ => Err(unknown(value, "not a value that is known")),
    }
}

fn verdict(value: &Value) -> Result<String, Misread> {
    let single = value.as_object().filter(|o| o.len() == 1).and_then(|o| o.iter().next());
    match single.map(|(key, inner)| (key.as_str(), inner)) {
        Some((word @ ("accept" | "drop"), Value::Null)) => Ok(word.to_owned()),
        Some(("goto", inner)) => Ok(format!("goto {}", required(inner, "target")?)),
        _ => Err(unknown(value, "not a verdict that is known")),
    }
}

fn rule(body: &Value) -> Result<String, Misread> {
    let statements = body.get("expr").and_then(Value::as_array);
    let statements = statements.ok_or_else(|| unknown(body, "a rule without statements"))?;
    let mut words: Vec<String> = statements.iter().map(statement).collect::<Result<_, _>>()?;
    if let Some(comment) = text(body, "comment") {
        words.push(format!("comment {}", quoted(comment, body)?));
    }
    Ok(words.join(" "))
}

fn quoted(string: &str, whole: &Value) -> Result<String, Misread> {
    if string.contains(['"', '\n', '\r']) {
        return Err(unknown(whole, "a string that cannot be quoted"));
    }
    Ok(format!("\"{string}\""))
}

fn statement(value: &Value) -> Result<String, Misread> {
    let single = value.as_object().filter(|o| o.len() == 1).and_then(|o| o.iter().next());
    let Some((kind, inner)) = single else { return Err(unknown(value, "not a statement that is known")) };
    let known = |keys: &[&str]| match inner.as_object() {
        Some(object) if object.keys().all(|key| keys.contains(&key.as_str())) => Ok(()),
        _ => Err(unknown(value, "not a statement of a form that is known")),
    };
    let count = |key: &str| inner.get(key).and_then(Value::as_u64).unwrap_or(0);
    match kind.as_str() {
        "match" => {
            known(&["op", "left", "right"])?;
            comparison(value, inner)
        }
        "vmap" => {
            known(&["key", "data"])?;
            let key = inner.get("key").ok_or_else(|| unknown(value, "a look-up without a key"))?;
            let map = inner.get("data").ok_or_else(|| unknown(value, "a look-up without a map"))?;
            Ok(format!("{} vmap {}", expression(key)?, operand(map, &[])?))
        }
        "counter" if inner.is_null() => Ok("counter".into()),
        "counter" => {
            known(&["packets", "bytes"])?;
            Ok(format!("counter packets {} bytes {}", count("packets"), count("bytes")))
        }
        "limit" => {
            known(&["rate", "burst", "per"])?;
            Ok(format!(
                "limit rate {}/{} burst {} packets",
                count("rate"),
                required(inner, "per")?,
                count("burst")
            ))
        }
        "log" => {
            known(&["prefix", "group"])?;
            let prefix = quoted(text(inner, "prefix").unwrap_or_default(), value)?;
            Ok(format!("log prefix {prefix} group {}", count("group")))
        }
        _ => verdict(value),
    }
}

fn comparison(whole: &Value, inner: &Value) -> Result<String, Misread> {
    let (left, right) = match (inner.get("left"), inner.get("right")) {
        (Some(left), Some(right)) => (expression(left)?, right),
        _ => return Err(unknown(whole, "a comparison without two sides")),
    };
    let operator = match text(inner, "op") {
        Some("==" | "in") => "",
        Some("!=") => "!= ",
        _ => return Err(unknown(whole, "not a comparison that is known")),
    };
    let right = match (left.as_str(), right) {
        ("iif" | "oif", Value::String(name)) => quoted(name, whole)?,
        _ => operand(right, &[])?,
    };
    Ok(format!("{left} {operator}{right}"))
}

fn expression(value: &Value) -> Result<String, Misread> {
    let single = value.as_object().filter(|o| o.len() == 1).and_then(|o| o.iter().next());
    match single.map(|(key, inner)| (key.as_str(), inner)) {
        Some(("meta", inner)) => match required(inner, "key")? {
            key @ ("iif" | "oif") => Ok(key.to_owned()),
            key => Ok(format!("meta {key}")),
        },
        Some(("ct", inner)) if inner.as_object().is_some_and(|o| o.len() == 1) => {
            Ok(format!("ct {}", required(inner, "key")?))
        }
        Some(("payload", inner)) => {
            Ok(format!("{} {}", required(inner, "protocol")?, required(inner, "field")?))
        }
        Some(("concat", Value::Array(parts))) => {
            let parts: Result<Vec<_>, _> = parts.iter().map(expression).collect();
            Ok(parts?.join(" . "))
        }
        _ => Err(unknown(value, "not an expression that is known")),
    }
}
