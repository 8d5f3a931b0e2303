//! Under which URLs the data port is reached from this machine: who sends to one of them sends to this process.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tracing::warn;
use url::Url;

/// The URLs that lead to `data`, as far as that is known when the process starts: each address at which it
/// listens, and the names that every machine has for itself.
pub(crate) fn own_urls(data: SocketAddr) -> Vec<Url> {
    let at = data.ip();
    let mut hosts: BTreeSet<String> = addresses(at).into_iter().map(host).collect();
    if at.is_unspecified() || hosts.contains("127.0.0.1") || hosts.contains("[::1]") {
        hosts.insert("localhost".to_owned());
    }
    if at.is_unspecified() {
        let name = rustix::system::uname();
        hosts.insert(name.nodename().to_string_lossy().into_owned());
    }
    let urls = hosts
        .iter()
        .map(|host| format!("http://{host}:{}", data.port()));
    // A machine may have a name that no URL can have.
    urls.filter_map(|url| Url::parse(&url).ok()).collect()
}

/// The addresses at which who listens at `at` is reached.
fn addresses(at: IpAddr) -> BTreeSet<IpAddr> {
    let mut all = BTreeSet::from([at]);
    if at.is_unspecified() {
        all.extend([Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED].map(IpAddr::from));
        match if_addrs::get_if_addrs() {
            Ok(found) => all.extend(found.iter().map(|interface| interface.ip())),
            Err(error) => warn!(%error, "the addresses of this machine can't be listed"),
        }
    }
    if at == IpAddr::from(Ipv6Addr::UNSPECIFIED) {
        all.insert(Ipv6Addr::LOCALHOST.into());
    } else if at.is_unspecified() {
        all.retain(IpAddr::is_ipv4);
    }
    let mapped = all.iter().filter_map(|address| match address {
        IpAddr::V4(address) => Some(IpAddr::from(address.to_ipv6_mapped())),
        IpAddr::V6(_) => None,
    });
    let mapped: Vec<_> = mapped.collect();
    all.extend(mapped);
    all
}

/// As it stands in a URL.
fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(data: &str) -> Vec<String> {
        let urls = own_urls(data.parse().expect("an address"));
        urls.into_iter().map(String::from).collect()
    }

    #[test]
    fn a_loopback_address_is_localhost() {
        assert_eq!(
            urls("127.0.0.1:8080"),
            [
                "http://127.0.0.1:8080/",
                "http://[::ffff:7f00:1]:8080/",
                "http://localhost:8080/"
            ]
        );
        assert_eq!(urls("[::1]:80"), ["http://[::1]/", "http://localhost/"]);
    }

    #[test]
    fn another_address_is_itself() {
        assert_eq!(
            urls("192.0.2.7:8080"),
            ["http://192.0.2.7:8080/", "http://[::ffff:c000:207]:8080/"]
        );
    }

    #[test]
    fn who_listens_everywhere_has_every_address_and_the_name_of_the_machine() {
        for data in ["0.0.0.0:8080", "[::]:8080"] {
            let urls = urls(data);
            let name = rustix::system::uname();
            let name = name.nodename().to_string_lossy().to_lowercase();
            for host in ["127.0.0.1", "0.0.0.0", "localhost", &name] {
                let url = format!("http://{host}:8080/");
                assert!(urls.contains(&url), "{url} is none of {urls:?}");
            }
            let v6 = urls.contains(&"http://[::1]:8080/".to_owned());
            assert_eq!(v6, data.starts_with('['));
        }
    }
}
