//! Closed sets of names, each written once.

use std::fmt;

/// Gives the variants of an enum their names: `ALL`, in the order given, `as_str`, `Display` and `FromStr`.
macro_rules! names {
    ($vis:vis $type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// All of them, in order.
            $vis const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The name, as settings, the command line, logs and metrics write it.
            #[must_use]
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::names::UnknownName;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                const UNKNOWN: $crate::names::UnknownName = $crate::names::UnknownName(&[$($name),+]);
                Self::ALL.into_iter().find(|one| one.as_str() == name).ok_or(UNKNOWN)
            }
        }
    };
}

pub(crate) use names;

/// The text is none of these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownName(pub(crate) &'static [&'static str]);

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be one of {}", self.0.join(", "))
    }
}

impl std::error::Error for UnknownName {}
