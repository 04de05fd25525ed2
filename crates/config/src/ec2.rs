//! `[scale_set.ec2]`: how a set's machines are bought on EC2.

use std::time::Duration;

use runnersmith_types::ec2::{Allocation, Attributes, Capacity, Subnet};
use runnersmith_types::{Ec2Set, FallbackOrder};

use crate::reader::{Reader, Unit};

/// A capacity pool that had no capacity is left alone for so long by default.
const COOL_DOWN: Duration = Duration::from_secs(300);

/// The section, and the fallback order that follows from it. `None` when it cannot be used; why is reported.
pub(crate) fn read(reader: &Reader<'_>) -> Option<(Ec2Set, FallbackOrder)> {
    let template = reader.required("launch_template", "the launch template's id (lt-…) or name").unwrap_or_default();
    let types: Vec<String> = reader.strings("instance_types").into_iter().map(str::to_owned).collect();
    if let Some(odd) = types.iter().find(|name| !is_type(name)) {
        reader.refuse(
            "instance_types",
            format!("{:?} is not a type such as \"m7i.large\"", odd.escape_debug().to_string()),
        );
    }
    let attributes = attributes(reader);
    if types.is_empty() == attributes.is_none() {
        reader.refuse("instance_types", "give either types, or what is needed of them in [scale_set.ec2.attributes]");
    }
    let subnets = subnets(reader);
    let set = Ec2Set {
        launch_template: template.to_owned(),
        template_version: reader.string("launch_template_version").unwrap_or("$Default").to_owned(),
        subnets,
        types,
        attributes,
        allocation: word(reader, "allocation_strategy", &Allocation::ALL, Allocation::word),
        capacity: word(reader, "capacity", &Capacity::ALL, Capacity::word),
        max_price: price(reader),
    };
    let cool_down = reader.time("cool_down_seconds", Unit::Seconds, 1..=3_600).unwrap_or(COOL_DOWN);
    reader.finish();
    match set.fallback_order(cool_down) {
        Ok(fallback_order) if !fallback_order.pools.is_empty() => Some((set, fallback_order)),
        Ok(_) => None,
        Err(error) => {
            reader.refuse("instance_types", error.to_string());
            None
        }
    }
}

fn is_type(text: &str) -> bool {
    text.contains('.') && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

fn subnets(reader: &Reader<'_>) -> Vec<Subnet> {
    let mut subnets = Vec::new();
    for entry in reader.tables("subnets") {
        let zone = entry.required("zone", "the subnet's zone, \"eu-west-1a\"").unwrap_or_default();
        let id = entry.required("id", "the subnet's id, \"subnet-…\"").unwrap_or_default();
        if !zone.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            entry.refuse("zone", "letters, digits and hyphens are allowed");
        }
        entry.finish();
        subnets.push(Subnet { zone: zone.to_owned(), id: id.to_owned() });
    }
    if subnets.is_empty() {
        reader.refuse("subnets", "at least one is needed: subnets = [{ zone = \"eu-west-1a\", id = \"subnet-…\" }]");
    }
    subnets
}

fn attributes(reader: &Reader<'_>) -> Option<Attributes> {
    let table = reader.table("attributes");
    if !table.is_there() {
        return None;
    }
    let most = |key| table.integer(key, 1..=100_000_000).and_then(|number| u32::try_from(number).ok());
    let attributes = Attributes {
        vcpus_min: table.number("vcpus_min", 1..=1_024, 2),
        vcpus_max: most("vcpus_max"),
        memory_mib_min: table.number("memory_mib_min", 512..=100_000_000, 4_096),
        memory_mib_max: most("memory_mib_max"),
    };
    if attributes.vcpus_max.is_some_and(|max| max < attributes.vcpus_min) {
        table.refuse("vcpus_max", "is below vcpus_min");
    }
    if attributes.memory_mib_max.is_some_and(|max| max < attributes.memory_mib_min) {
        table.refuse("memory_mib_max", "is below memory_mib_min");
    }
    table.finish();
    Some(attributes)
}

fn price(reader: &Reader<'_>) -> Option<String> {
    let text = reader.string("spot_max_price")?;
    let number = text.parse::<f64>().is_ok_and(|price| price > 0.0 && price < 1_000.0);
    if !number || !text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        reader.refuse("spot_max_price", "dollars an hour in quotes are needed, such as \"0.25\"");
    }
    Some(text.to_owned())
}

fn word<T: Copy + Default>(reader: &Reader<'_>, key: &'static str, all: &[T], word: fn(T) -> &'static str) -> T {
    let Some(text) = reader.string(key) else { return T::default() };
    all.iter().copied().find(|one| word(*one) == text).unwrap_or_else(|| {
        let known: Vec<String> = all.iter().map(|one| format!("{:?}", word(*one))).collect();
        reader.refuse(key, format!("{} are allowed", known.join(", ")));
        T::default()
    })
}
