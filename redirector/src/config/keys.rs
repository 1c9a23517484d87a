//! Which keys each table takes, learnt from the types in [`super::raw`].

use serde::{
    Deserialize, Deserializer,
    de::{Visitor, value::Error},
    forward_to_deserialize_any,
};

use super::raw::{RawAuth, RawCheck, RawFile, RawGateway, RawGroup, RawServer, RawService};

/// One kind of table.
pub(super) struct Kind {
    /// As sentences name it.
    pub(super) name: &'static str,
    pub(super) keys: fn() -> &'static [&'static str],
    /// The keys that hold tables.
    pub(super) inner: &'static [Inner],
}

pub(super) struct Inner {
    pub(super) key: &'static str,
    pub(super) shape: Shape,
    pub(super) kind: &'static Kind,
    /// What to write if the value is no such table.
    pub(super) instead: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    One,
    Many,
}

pub(super) static FILE: Kind = Kind {
    name: "the file",
    keys: fields::<RawFile>,
    inner: &[
        Inner {
            key: "gateway",
            shape: Shape::One,
            kind: &GATEWAY,
            instead: "write one [gateway] with its keys below",
        },
        Inner {
            key: "group",
            shape: Shape::Many,
            kind: &GROUP,
            instead: "write [[group]] with its keys below",
        },
        Inner {
            key: "service",
            shape: Shape::Many,
            kind: &SERVICE,
            instead: "write [[service]] with its keys below",
        },
    ],
};

static GATEWAY: Kind = Kind { name: "[gateway]", keys: fields::<RawGateway>, inner: &[] };

static GROUP: Kind = Kind {
    name: "[[group]]",
    keys: fields::<RawGroup>,
    inner: &[
        Inner {
            key: "check",
            shape: Shape::One,
            kind: &CHECK,
            instead: "write a table, such as { interval = \"1s\" }",
        },
        Inner {
            key: "auth",
            shape: Shape::One,
            kind: &AUTH,
            instead: "write a table, such as { password_file = \"/etc/redirector/redis.pass\" }",
        },
        Inner {
            key: "server",
            shape: Shape::Many,
            kind: &SERVER,
            instead: "write an array of tables, such as [ { name = \"r1\", address = \"10.0.1.11:6379\" } ]",
        },
    ],
};

static CHECK: Kind = Kind { name: "check", keys: fields::<RawCheck>, inner: &[] };

static AUTH: Kind = Kind { name: "auth", keys: fields::<RawAuth>, inner: &[] };

static SERVER: Kind = Kind { name: "server", keys: fields::<RawServer>, inner: &[] };

static SERVICE: Kind = Kind { name: "[[service]]", keys: fields::<RawService>, inner: &[] };

/// The field names of a struct with a derived `Deserialize`.
fn fields<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    // Always an error: all we want is what the struct asks for.
    let _ = T::deserialize(Ask(&mut fields));
    fields
}

/// A deserialiser that only notes the fields it is asked for.
struct Ask<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Ask<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(serde::de::Error::custom("there is no value"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_the_types() {
        assert_eq!((FILE.keys)(), ["gateway", "group", "service"]);
        assert_eq!((SERVER.keys)(), ["name", "address", "weight", "backup"]);
        for kind in [&FILE, &GROUP] {
            for inner in kind.inner {
                assert!((kind.keys)().contains(&inner.key), "{}", inner.key);
            }
        }
    }
}
