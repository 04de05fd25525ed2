//! Which names the dashboard is served under. A page in somebody's browser can lead a name of its own to 127.0.0.1 and read what is served
//! there without a token (DNS rebinding); the name that it has to use gives it away.

use std::net::IpAddr;

/// An address leads nowhere else, and neither does `localhost`; other names are listed.
pub(crate) fn is_ours(host: &str, names: &[String]) -> bool {
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    let name = without_port.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok() || name == "localhost" || names.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::is_ours;

    #[test]
    fn an_address_and_this_machines_own_name_are_ours_and_others_only_if_they_are_listed() {
        let names = ["runners.acme.example".to_owned()];
        for (host, ours) in [
            ("127.0.0.1:8787", true),
            ("127.0.0.1", true),
            ("[::1]:8787", true),
            ("[::1]", true),
            ("localhost:8787", true),
            ("LOCALHOST.", true),
            ("Runners.Acme.Example:443", true),
            ("evil.example:8787", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("evil.example:127.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(is_ours(host, &names), ours, "{host}");
        }
    }
}
