//! What is written besides events: progress of the dispatchers, and which pools there are.
//!
//! An [`Effect`] is decided when it is written into the open frame and happens when its commit is
//! safe: in a recovery it is read from the log and happens again, in the same order.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;

use super::record::{Fields, Kind, Record};
use crate::{Epoch, NodeId, PoolId, Retention, SideKey};

/// A change of something that is no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Claim(u32, Epoch),
    Delta(u32, Bytes),
    Side(u32, SideKey, Bytes),
    Image(u32, Bytes),
    Unside(u32, SideKey),
    Make(Made),
    Retire(PoolId),
    Retain(PoolId, Retention),
}

/// A pool that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) pool: PoolId,
    pub(super) name: String,
    /// The number of its first unit; the others follow.
    pub(super) first: u32,
    pub(super) parts: u32,
}

/// No limit, in a record of a retention.
const NONE: u64 = u64::MAX;

impl Effect {
    /// The effect of a record, `None` for an event and for what can't be understood.
    pub(super) fn of(record: &Record<'_>) -> Option<Self> {
        let unit = record.fields.unit;
        let value = || Bytes::copy_from_slice(record.payload);
        Some(match record.fields.kind {
            Kind::Event => return None,
            Kind::Claim => {
                let (owner, _) = record.side()?;
                let number = record.fields.ordinal;
                let owner = NodeId(owner);
                Self::Claim(unit, Epoch { number, owner })
            }
            Kind::Delta => Self::Delta(unit, value()),
            Kind::Side => {
                let (key, value) = record.side()?;
                Self::Side(unit, key, Bytes::copy_from_slice(value))
            }
            Kind::Image => Self::Image(unit, value()),
            Kind::Unside => Self::Unside(unit, record.side()?.0),
            Kind::Make => {
                let (pool, name) = record.pool()?;
                Self::Make(Made {
                    pool,
                    name: String::from_utf8(name.to_vec()).ok()?,
                    first: unit,
                    parts: record.fields.a,
                })
            }
            Kind::Retire => Self::Retire(record.pool()?.0),
            Kind::Retain => {
                let (pool, limits) = record.pool()?;
                let limit = |at| Some(super::format::get_u64(limits, at)).filter(|n| *n != NONE);
                let age = limit(0).map(Duration::from_millis);
                Self::Retain(
                    pool,
                    Retention {
                        age,
                        bytes: limit(8),
                    },
                )
            }
        })
    }

    /// Hands the record of the effect to `write`.
    pub(super) fn write<T>(&self, write: impl FnOnce(&Fields, &[&[u8]]) -> T) -> T {
        match self {
            Self::Claim(unit, epoch) => {
                let fields = Fields {
                    ordinal: epoch.number,
                    ..Fields::of(Kind::Claim, *unit)
                };
                write(&fields, &[&epoch.owner.0.to_le_bytes()])
            }
            Self::Delta(unit, delta) => write(&Fields::of(Kind::Delta, *unit), &[delta]),
            Self::Side(unit, key, value) => {
                write(&Fields::of(Kind::Side, *unit), &[&key.to_le_bytes(), value])
            }
            Self::Image(unit, image) => write(&Fields::of(Kind::Image, *unit), &[image]),
            Self::Unside(unit, key) => {
                write(&Fields::of(Kind::Unside, *unit), &[&key.to_le_bytes()])
            }
            Self::Make(made) => {
                let fields = Fields {
                    a: made.parts,
                    ..Fields::of(Kind::Make, made.first)
                };
                write(&fields, &[&made.pool.0.to_le_bytes(), made.name.as_bytes()])
            }
            Self::Retire(pool) => write(&Fields::of(Kind::Retire, 0), &[&pool.0.to_le_bytes()]),
            Self::Retain(pool, retention) => {
                let age = retention.age.map_or(NONE, millis);
                let bytes = retention.bytes.unwrap_or(NONE);
                let limits = [age.to_le_bytes(), bytes.to_le_bytes()].concat();
                write(
                    &Fields::of(Kind::Retain, 0),
                    &[&pool.0.to_le_bytes(), &limits],
                )
            }
        }
    }

    /// The unit that it is about, if it is about one.
    pub(super) fn unit(&self) -> Option<u32> {
        match self {
            Self::Claim(unit, _)
            | Self::Delta(unit, _)
            | Self::Side(unit, ..)
            | Self::Image(unit, _)
            | Self::Unside(unit, _) => Some(*unit),
            Self::Make(_) | Self::Retire(_) | Self::Retain(..) => None,
        }
    }

    /// Bytes of the record's payload.
    pub(super) fn payload(&self) -> usize {
        self.write(|_, payload| payload.iter().map(|piece| piece.len()).sum())
    }
}

/// Milliseconds of a duration, as far as they go.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NONE - 1)
}

/// The progress of one unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// The newest claim, safe or not: from its writing on, older owners write nothing more.
    pub(super) newest: Option<Epoch>,
    /// The newest claim that is safe.
    pub(super) epoch: Option<Epoch>,
    pub(super) image: Option<Bytes>,
    pub(super) side: BTreeMap<SideKey, Bytes>,
    pub(super) deltas: Vec<Bytes>,
    /// Bytes of deltas since the newest image, safe or not.
    pub(super) delta_bytes: usize,
}

impl Progress {
    /// Whether a write of this epoch is still wanted.
    pub(super) fn is_owned_by(&self, epoch: Epoch) -> bool {
        self.newest == Some(epoch)
    }

    /// The epoch of the next claim.
    pub(super) fn next_epoch(&self, owner: NodeId) -> Epoch {
        let number = self.newest.map_or(0, |epoch| epoch.number) + 1;
        Epoch { number, owner }
    }

    /// Notes what is written and not safe yet.
    pub(super) fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::Claim(_, epoch) => self.newest = Some(*epoch),
            Effect::Delta(_, delta) => self.delta_bytes += delta.len(),
            Effect::Image(..) => self.delta_bytes = 0,
            _ => {}
        }
    }

    /// Takes back what was noted and will never be safe.
    pub(super) fn forget_notes(&mut self) {
        self.newest = self.epoch;
        self.delta_bytes = self.deltas.iter().map(Bytes::len).sum();
    }

    /// Makes an effect on this unit happen.
    pub(super) fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Claim(_, epoch) => self.epoch = Some(epoch),
            Effect::Delta(_, delta) => self.deltas.push(delta),
            Effect::Side(_, key, value) => {
                self.side.insert(key, value);
            }
            Effect::Image(_, image) => {
                self.image = Some(image);
                self.deltas = Vec::new();
            }
            Effect::Unside(_, key) => {
                self.side.remove(&key);
            }
            Effect::Make(_) | Effect::Retire(_) | Effect::Retain(..) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::format::Seal;

    #[test]
    fn every_effect_is_read_from_its_record_as_it_was_written() {
        let epoch = Epoch {
            number: 9,
            owner: NodeId(1 << 100),
        };
        let retention = Retention {
            age: Some(Duration::from_secs(7)),
            bytes: None,
        };
        let made = Made {
            pool: PoolId(5),
            name: "default/orders".to_owned(),
            first: 17,
            parts: 3,
        };
        let effects = [
            Effect::Claim(3, epoch),
            Effect::Delta(3, Bytes::from_static(b"delta")),
            Effect::Side(3, 1 << 99, Bytes::from_static(b"side")),
            Effect::Image(3, Bytes::new()),
            Effect::Unside(3, 4),
            Effect::Make(made),
            Effect::Retire(PoolId(5)),
            Effect::Retain(PoolId(5), retention),
        ];
        let seal = Seal::of(1, 0);
        for effect in effects {
            let mut bytes = Vec::new();
            effect.write(|fields, payload| fields.append(seal, 576, payload, &mut bytes));
            assert_eq!(
                bytes.len(),
                super::super::record::length_of(effect.payload())
            );
            let record = Record::decode(seal, 576, &bytes).expect("it was just written");
            assert_eq!(Effect::of(&record), Some(effect));
            assert!(
                Record::decode(seal, 577, &bytes).is_none(),
                "it stands elsewhere"
            );
        }
    }
}
