//! Closed sets of names, each written once.

use std::fmt;

/// Gives the variants of an enum their names: `ALL` and `NAMES`, in the order given, `EXPECTED`,
/// `as_str`, `Display` and `FromStr`.
macro_rules! names {
    ($vis:vis $type:ident { $first:ident = $first_name:literal $(, $variant:ident = $name:literal)* $(,)? }) => {
        impl $type {
            /// All of them, in order.
            $vis const ALL: [Self; Self::NAMES.len()] = [Self::$first $(, Self::$variant)*];

            /// Their names, in the same order.
            $vis const NAMES: &'static [&'static str] = &[$first_name $(, $name)*];

            /// What a text must be, to follow "must be".
            $vis const EXPECTED: &'static str = concat!("one of ", $first_name $(, ", ", $name)*);

            /// The name, as settings, the command line, logs and metrics write it.
            #[must_use]
            $vis const fn as_str(self) -> &'static str {
                match self {
                    Self::$first => $first_name,
                    $(Self::$variant => $name,)*
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
                let unknown = $crate::names::UnknownName(Self::EXPECTED);
                Self::ALL.into_iter().find(|one| one.as_str() == name).ok_or(unknown)
            }
        }
    };
}

pub(crate) use names;

/// The text is none of these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownName(pub(crate) &'static str);

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be {}", self.0)
    }
}

impl std::error::Error for UnknownName {}
