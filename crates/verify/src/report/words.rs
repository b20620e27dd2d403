//! The wire names of a report's closed vocabularies.

use std::fmt;

use super::{AuctionFormat, Rail, Role, Status, TaskClass, TradeKind};

macro_rules! words {
    ($($type:ident { $($variant:ident = $name:literal),+ $(,)? })+) => {$(
        impl $type {
            /// Every value, in wire-name order of the format.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The wire name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The value with this wire name.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )+};
}

words! {
    TradeKind { DataSwap = "data_swap", Purchase = "purchase", ComputeAuction = "compute_auction", Service = "service" }
    Role { Buyer = "buyer", Seller = "seller" }
    AuctionFormat { Forward = "forward", Reverse = "reverse" }
    TaskClass { Trivial = "trivial", Normal = "normal", Urgent = "urgent" }
    Rail { X402 = "x402", Ap2 = "ap2", Channel = "channel", Batch = "batch", Escrow = "escrow", Other = "other" }
    Status {
        Fulfilled = "fulfilled",
        Partial = "partial",
        Failed = "failed",
        Disputed = "disputed",
        Cancelled = "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        assert!(
            TradeKind::ALL
                .iter()
                .all(|x| TradeKind::parse(x.as_str()) == Some(*x))
        );
        assert!(
            Rail::ALL
                .iter()
                .all(|x| Rail::parse(x.as_str()) == Some(*x))
        );
        assert!(
            Status::ALL
                .iter()
                .all(|x| Status::parse(&x.to_string()) == Some(*x))
        );
        assert_eq!(Role::parse("Buyer"), None);
    }
}
