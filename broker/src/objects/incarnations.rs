//! In which life an object is: the number that a delete raises and every start finds again.
//!
//! Only deleted objects are written down; everything else is in its first life. The numbers live
//! in the channel's ledger, in a unit of their own ([`CONTROL`]), one side record an object that
//! was ever deleted, so that a delete writes only what it changes:
//!
//! ```text
//!   image   [ version: u8 = 1 ]
//!   side    key = uid of the object's life 0
//!           [ version: u8 = 1 | number: u64 LE | kind | 0 | namespace | 0 | name ]
//! ```

use std::{collections::BTreeMap, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use volley_channel::{
    Advice, Epoch, Fut, LedgerError, NodeId, PoolId, PoolSpec, PublishError, Retention,
    SharedChannel, Side, Unit,
};
use volley_spec::{Identity, ObjectKind};

/// The unit that keeps what belongs to no Broker.
pub const CONTROL: Unit = Unit {
    pool: PoolId::CONTROL,
    part: 0,
};

const VERSION: u8 = 1;
const FIRST: u64 = 1;

/// The numbers of the objects' lives.
pub trait Incarnations: Send + Sync {
    /// In which life the object is: 1 when it was never deleted.
    fn of(&self, identity: &Identity) -> u64;

    /// Begins the next life of each of `deleted`. Safe once it answers `Ok`.
    ///
    /// # Errors
    ///
    /// As [`Ledger::write`](volley_channel::Ledger::write): then no number has changed here. On
    /// [`LedgerError::Down`] call again later; [`LedgerError::Fenced`] is final.
    fn raise<'a>(&'a mut self, deleted: &'a [Identity]) -> Fut<'a, Result<(), LedgerError>>;
}

/// Why the numbers can't be known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IncarnationError {
    /// The channel has no place for them now. Try again later.
    #[error("the channel can't keep the objects' identities now")]
    Place(#[source] PublishError),
    /// The ledger does not answer, or another process owns it.
    #[error("the objects' identities can't be read from the ledger")]
    Ledger(#[source] LedgerError),
    /// What the ledger holds was written by another version, or is damaged.
    #[error("the objects' identities in the ledger can't be understood: {0}")]
    Unreadable(String),
}

impl IncarnationError {
    /// When to try again; `None` where that is of no use.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Place(error) => match error.advice() {
                Advice::RetryAfter(after) => Some(after),
                _ => None,
            },
            Self::Ledger(LedgerError::Down { retry_after, .. }) => Some(*retry_after),
            Self::Ledger(_) | Self::Unreadable(_) => None,
        }
    }
}

/// The numbers as the channel's ledger keeps them.
pub struct LedgerIncarnations {
    channel: SharedChannel,
    epoch: Epoch,
    raised: BTreeMap<Identity, u64>,
}

impl std::fmt::Debug for LedgerIncarnations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerIncarnations")
            .field("epoch", &self.epoch)
            .field("raised", &self.raised.len())
            .finish_non_exhaustive()
    }
}

impl LedgerIncarnations {
    /// Claims the numbers for this process and reads them.
    ///
    /// # Errors
    ///
    /// [`IncarnationError`]: without the numbers no object has its uid, so nothing can start.
    pub async fn open(channel: SharedChannel, me: NodeId) -> Result<Self, IncarnationError> {
        let pool = PoolSpec {
            retention: Retention::default(),
            pool: CONTROL.pool,
            name: "control".to_owned(),
            parts: 1,
        };
        channel
            .prepare(&pool)
            .await
            .map_err(IncarnationError::Place)?;
        let claim = channel
            .ledger()
            .claim(CONTROL, me)
            .await
            .map_err(IncarnationError::Ledger)?;
        if let Some(image) = &claim.image
            && image.first() != Some(&VERSION)
        {
            let found = image.first().copied().unwrap_or_default();
            return Err(IncarnationError::Unreadable(format!(
                "they are of version {found}, this build reads version {VERSION}"
            )));
        }
        let mut raised = BTreeMap::new();
        for (key, record) in &claim.side {
            let (identity, number) = decode(record).ok_or_else(|| {
                IncarnationError::Unreadable(format!("the record {key:032x} is damaged"))
            })?;
            raised.insert(identity, number);
        }
        Ok(Self {
            channel,
            epoch: claim.epoch,
            raised,
        })
    }
}

impl Incarnations for LedgerIncarnations {
    fn of(&self, identity: &Identity) -> u64 {
        self.raised.get(identity).copied().unwrap_or(FIRST)
    }

    fn raise<'a>(&'a mut self, deleted: &'a [Identity]) -> Fut<'a, Result<(), LedgerError>> {
        Box::pin(async move {
            let next: Vec<(Identity, u64)> = deleted
                .iter()
                .map(|identity| (identity.clone(), self.of(identity).saturating_add(1)))
                .collect();
            let side: Vec<Side> = next
                .iter()
                .map(|(identity, number)| (key_of(identity), Some(encode(identity, *number))))
                .collect();
            let image = Bytes::from_static(&[VERSION]);
            self.channel
                .ledger()
                .write(CONTROL, self.epoch, image, side)
                .await?;
            self.raised.extend(next);
            Ok(())
        })
    }
}

fn key_of(identity: &Identity) -> u128 {
    identity.uid(0).as_u128()
}

fn encode(identity: &Identity, number: u64) -> Bytes {
    let mut record = BytesMut::new();
    record.put_u8(VERSION);
    record.put_u64_le(number);
    let key = &identity.key;
    let text = [identity.kind.name(), &key.namespace, &key.name].join("\0");
    record.put_slice(text.as_bytes());
    record.freeze()
}

fn decode(record: &[u8]) -> Option<(Identity, u64)> {
    let rest = record.strip_prefix(&[VERSION])?;
    let (number, text) = rest.split_first_chunk::<8>()?;
    let text = std::str::from_utf8(text).ok()?;
    let mut parts = text.splitn(3, '\0');
    let (kind, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
    let kind = ObjectKind::from_word(kind)?;
    Some((
        Identity::new(kind, namespace, name),
        u64::from_le_bytes(*number),
    ))
}

#[cfg(test)]
mod tests;
