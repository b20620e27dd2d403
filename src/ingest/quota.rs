//! Quotas per client address and per agent. (The quota of unilateral reports is part of admission: it depends on the log.)

use std::{hash::Hash, net::IpAddr, num::NonZeroU32, time::Duration};

use governor::{DefaultKeyedRateLimiter, RateLimiter, clock::Clock as _};

/// So many a minute for each key, as many at once.
#[derive(Debug)]
pub struct Quota<K: Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<K>,
    burst: u32,
}

impl<K: Hash + Eq + Clone> Quota<K> {
    /// `per_minute` a minute; 0 counts as 1.
    pub fn per_minute(per_minute: u32) -> Self {
        let per_minute = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        Self {
            limiter: RateLimiter::keyed(governor::Quota::per_minute(per_minute)),
            burst: per_minute.get(),
        }
    }

    /// Takes `count` from the key's allowance, all or none.
    ///
    /// # Errors
    /// How long to wait. A request larger than the whole allowance is told to wait a minute: it has to be split.
    pub fn take(&self, key: &K, count: u32) -> Result<(), Duration> {
        let Some(count) = NonZeroU32::new(count) else {
            return Ok(());
        };
        match self.limiter.check_key_n(key, count) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => {
                Err(until.wait_time_from(governor::clock::DefaultClock::default().now()))
            }
            Err(_) => Err(Duration::from_mins(1)),
        }
    }

    /// The largest request that can ever pass.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// Forgets keys whose allowance is whole again; called now and then so that memory stays bounded.
    pub fn forget_idle(&self) {
        self.limiter.retain_recent();
    }
}

/// What one client is counted by. An IPv6 client owns at least a /64: counting single addresses would count nothing.
pub fn client(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        client(text.parse().unwrap())
    }

    #[test]
    fn an_address_is_stopped_and_another_is_not() {
        let quota = Quota::per_minute(10);
        assert!(quota.take(&ip("192.0.2.1"), 10).is_ok());
        let wait = quota.take(&ip("192.0.2.1"), 1).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_mins(1));
        assert!(quota.take(&ip("192.0.2.2"), 10).is_ok());
        assert!(quota.take(&ip("192.0.2.3"), 11).is_err());
    }

    #[test]
    fn one_ipv6_network_is_one_client() {
        assert_eq!(ip("2001:db8::1"), ip("2001:db8::2"));
        assert_ne!(ip("2001:db8::1"), ip("2001:db8:0:1::1"));
        assert_eq!(ip("::ffff:192.0.2.9"), ip("192.0.2.9"));
    }
}
