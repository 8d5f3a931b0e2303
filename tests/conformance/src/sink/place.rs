//! Where sinks listen, and the host by which the broker under test reaches them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Why sinks cannot be reached as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No URL can have this host.
    #[error(
        "--sink-host {0:?} is no host: give a name or an address, without scheme, port and path"
    )]
    NoHost(String),
    /// Sinks may listen everywhere, but nobody can deliver to everywhere.
    #[error("no broker can deliver to {0}: name the host of this machine with --sink-host")]
    Everywhere(IpAddr),
}

/// The address that sinks bind, and the host that their URLs name. Ports are free ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    listen: IpAddr,
    host: String,
}

impl Default for Place {
    /// The loopback, for a broker on this machine.
    fn default() -> Self {
        let listen = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            listen,
            host: in_url(listen),
        }
    }
}

impl Place {
    /// Binds `listen`; URLs name `host`, or the same address without one.
    ///
    /// # Errors
    ///
    /// [`PlaceError::NoHost`] for a host that cannot stand in a URL, [`PlaceError::Everywhere`]
    /// when URLs would name `0.0.0.0` or `::`.
    pub fn new(listen: IpAddr, host: Option<&str>) -> Result<Self, PlaceError> {
        let host = match host {
            None => reachable(listen)?,
            Some(host) => parsed(host)?,
        };
        Ok(Self { listen, host })
    }

    /// A free port of the address, for binding.
    pub(super) fn any_port(&self) -> SocketAddr {
        SocketAddr::new(self.listen, 0)
    }

    /// What stands in URLs of a sink with this port.
    pub(super) fn authority(&self, port: u16) -> String {
        format!("{}:{port}", self.host)
    }
}

fn parsed(host: &str) -> Result<String, PlaceError> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(host).parse::<IpAddr>() {
        return reachable(address);
    }
    let of_a_name = |one: char| one.is_ascii_alphanumeric() || "-._".contains(one);
    if host.starts_with(|one: char| one.is_ascii_alphanumeric()) && host.chars().all(of_a_name) {
        Ok(host.to_owned())
    } else {
        Err(PlaceError::NoHost(host.to_owned()))
    }
}

fn reachable(address: IpAddr) -> Result<String, PlaceError> {
    if address.is_unspecified() {
        Err(PlaceError::Everywhere(address))
    } else {
        Ok(in_url(address))
    }
}

fn in_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(listen: &str, host: Option<&str>) -> Result<String, String> {
        let place = Place::new(listen.parse().unwrap(), host);
        place
            .map(|place| place.authority(80))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn urls_name_the_host_or_else_the_bound_address() {
        assert_eq!(Place::default().authority(80), "127.0.0.1:80");
        assert_eq!(authority("127.0.0.2", None).unwrap(), "127.0.0.2:80");
        assert_eq!(authority("::1", None).unwrap(), "[::1]:80");
        for (host, wanted) in [
            ("judge.example.com", "judge.example.com:80"),
            ("10.0.0.7", "10.0.0.7:80"),
            ("fd00::7", "[fd00::7]:80"),
            ("[fd00::7]", "[fd00::7]:80"),
        ] {
            assert_eq!(authority("0.0.0.0", Some(host)).unwrap(), wanted);
        }
    }

    #[test]
    fn an_address_that_nobody_can_deliver_to_is_refused() {
        for (listen, host) in [("0.0.0.0", None), ("::", None), ("::1", Some("0.0.0.0"))] {
            let error = authority(listen, host).unwrap_err();
            assert!(error.contains("--sink-host"), "{error}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_a_host_is_refused() {
        for host in ["", "http://a", "a:80", "a/b", "a b", "-a", "[a]", "ä"] {
            let error = authority("0.0.0.0", Some(host)).unwrap_err();
            assert!(error.contains("without scheme, port and path"), "{error}");
        }
    }
}
