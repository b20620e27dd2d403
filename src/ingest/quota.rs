//! The per-address quota. (The quota of unilateral reports is part of admission: it depends on the log.)

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};

/// Counts reports per client address.
#[derive(Debug)]
pub struct AddressQuota {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    burst: u32,
}

impl AddressQuota {
    /// `per_minute` reports a minute, as many at once; 0 counts as 1.
    pub fn new(per_minute: u32) -> Self {
        let per_minute = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        Self { limiter: RateLimiter::keyed(Quota::per_minute(per_minute)), burst: per_minute.get() }
    }

    /// Takes `reports` from the address's allowance, all or none.
    ///
    /// # Errors
    /// How long to wait. A request larger than the whole allowance is told to wait a minute: it has to be split.
    pub fn take(&self, address: IpAddr, reports: u32) -> Result<(), Duration> {
        // An IPv6 client owns at least a /64; counting single addresses would count nothing.
        let address = match address {
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => IpAddr::V4(v4),
                None => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
            },
            v4 @ IpAddr::V4(_) => v4,
        };
        let Some(reports) = NonZeroU32::new(reports) else { return Ok(()) };
        match self.limiter.check_key_n(&address, reports) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => Err(until.wait_time_from(governor::clock::DefaultClock::default().now())),
            Err(_) => Err(Duration::from_secs(60)),
        }
    }

    /// The largest request that can ever pass.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// Forgets addresses whose allowance is whole again; called now and then so that memory stays bounded.
    pub fn forget_idle(&self) {
        self.limiter.retain_recent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_stopped_and_another_is_not() {
        let quota = AddressQuota::new(10);
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        assert!(quota.take(one, 10).is_ok());
        let wait = quota.take(one, 1).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(60));
        assert!(quota.take("192.0.2.2".parse().unwrap(), 10).is_ok());
        assert!(quota.take("192.0.2.3".parse().unwrap(), 11).is_err());
    }

    #[test]
    fn one_ipv6_network_is_one_client() {
        let quota = AddressQuota::new(1);
        assert!(quota.take("2001:db8::1".parse().unwrap(), 1).is_ok());
        assert!(quota.take("2001:db8::2".parse().unwrap(), 1).is_err());
        assert!(quota.take("2001:db8:0:1::2".parse().unwrap(), 1).is_ok());
        assert!(quota.take("::ffff:192.0.2.9".parse().unwrap(), 1).is_ok());
        assert!(quota.take("192.0.2.9".parse().unwrap(), 1).is_err());
    }
}
