//! How this program speaks to other hosts: HTTP clients with TLS by rustls over ring, and the system's trust roots.

use std::{error::Error as _, sync::Once, time::Duration};

static PROVIDER: Once = Once::new();

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes ring the process's TLS provider. Clients cannot be built before; done once, by whoever comes first.
pub fn install() {
    PROVIDER.call_once(|| {
        // Fails only if the program that uses this library chose a provider itself, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// A builder of clients with our defaults.
pub fn builder() -> reqwest::ClientBuilder {
    install();
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // What is signed or posted to one host is not for another.
        .redirect(reqwest::redirect::Policy::none())
}

/// Whether a URL leads to this very machine.
pub fn is_here(url: &reqwest::Url) -> bool {
    let address = |host: &str| host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    url.host_str()
        .is_some_and(|host| host == "localhost" || address(host).is_ok_and(|ip| ip.is_loopback()))
}

/// A builder for requests to this URL: no proxy stands before this very machine, whatever the environment says.
pub fn builder_for(url: &reqwest::Url) -> reqwest::ClientBuilder {
    if is_here(url) {
        builder().no_proxy()
    } else {
        builder()
    }
}

/// An error of a client with everything that led to it, in one line.
pub fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
