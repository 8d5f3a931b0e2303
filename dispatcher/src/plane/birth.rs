//! The actor of a unit, as the ledger and the channel have it.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::warn;
use volley_channel::{Start, Unit};
use volley_spec::route::BrokerRoute;

use super::{Dispatcher, Running};
use crate::{
    actor::{Actor, Birth, Control, Surroundings, Teller},
    core::{Core, Delta, Image},
    exits::Exits,
};

impl Dispatcher {
    pub(super) async fn actor(
        &self,
        unit: Unit,
        route: &BrokerRoute,
        control: mpsc::Receiver<Control>,
        running: &mut Running,
    ) -> Result<(usize, Actor), String> {
        let channel = self.publisher.channel();
        let claim = channel
            .ledger()
            .claim(unit, self.options.node)
            .await
            .map_err(|error| error.to_string())?;
        let bounds = channel
            .bounds(unit)
            .await
            .map_err(|error| error.to_string())?;
        running.carried += bounds.next_ordinal;
        let core = match &claim.image {
            None => Core::new(self.options.core.clone(), bounds.next, bounds.next_ordinal),
            Some(image) => {
                let image = Image::decode(image, &claim.side).map_err(|error| error.to_string())?;
                let deltas: Result<Vec<_>, _> = claim
                    .deltas
                    .iter()
                    .map(|bytes| Delta::decode(bytes))
                    .collect();
                let deltas = deltas.map_err(|error| error.to_string())?;
                let declared = route.triggers.values().cloned().collect();
                Core::recover(
                    self.options.core.clone(),
                    image,
                    &deltas,
                    declared,
                    bounds,
                    self.clock.now(),
                )
            }
        };
        if core.absent() > 0 {
            warn!(broker = %route.key, triggers = core.absent(), "no file declares these triggers any more; what they left is kept and not delivered (--orphans)");
        }
        let cursor = channel
            .open(unit, Start::At(core.head()))
            .await
            .map_err(|error| error.to_string())?;
        let at = self.next_core();
        let around = Surroundings {
            publisher: self.publisher.clone(),
            clock: self.clock,
            exits: Exits::new(Arc::clone(&self.exits), at),
            limits: running.limits.clone(),
            places: self.places.clone(),
            memory: self.memory.clone(),
            bodies: self.bodies.clone(),
            usual: self.options.core.clone(),
            seed: self.options.seed ^ (unit.pool.0 as u64) ^ u64::from(unit.part),
            teller: Teller {
                tap: Arc::clone(&self.tap),
                namespace: Arc::from(route.key.namespace.as_str()),
                broker: Arc::from(route.key.name.as_str()),
            },
        };
        let birth = Birth {
            unit,
            namespace: Arc::from(route.key.namespace.as_str()),
            core,
            epoch: claim.epoch,
            sides: claim.side.iter().map(|(key, _)| *key).collect(),
            cursor,
            control,
            meters: Arc::clone(&running.meters),
        };
        Ok((at, Actor::new(birth, around)))
    }
}
