//! Units that come to this process and leave it while it runs (R11, R17).

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};
use uuid::Uuid;
use volley_channel::{Assignment, Fut, Unit};

use super::{CONTROL, Dispatcher, diff};
use crate::actor::Control;

/// When a unit that could not be taken over is tried again.
const AGAIN: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Takes units over and lets them go as the assigner says, until it is dropped. Without it the
    /// data plane stays with the units that it owned when their Brokers were taken up.
    pub async fn follow_assigner(&self) {
        let mut work: FuturesUnordered<Fut<'_, ()>> = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                change = self.assigner.change() => match change {
                    Assignment::Gain(unit) => work.push(Box::pin(self.gain(unit))),
                    Assignment::Lose { unit, grace } => work.push(Box::pin(self.lose(unit, grace))),
                },
                Some(()) = work.next(), if !work.is_empty() => {}
            }
        }
    }

    /// Claims the unit, again and again until that works or it is another one's.
    async fn gain(&self, unit: Unit) {
        while self.assigner.owns(unit) {
            let Err(error) = self.try_gain(unit).await else {
                return;
            };
            warn!(%unit, %error, "this unit could not be taken over; trying again");
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn try_gain(&self, unit: Unit) -> Result<(), String> {
        let _order = self.applying.lock().await;
        let uid = Uuid::from_u128(unit.pool.0);
        let known = self.state().brokers.get(&uid).cloned();
        // One that is taken up later asks for its units then.
        let Some(mut running) = known else {
            return Ok(());
        };
        let is_here = |(known, control): &(Unit, mpsc::Sender<Control>)| {
            *known == unit && !control.is_closed()
        };
        if running.units.iter().any(is_here) {
            return Ok(());
        }
        let (control, questions) = mpsc::channel(CONTROL);
        let route = running.route.clone();
        let actor = self.actor(unit, &route, questions, &mut running).await?;
        let (told, _) = oneshot::channel();
        let changes = Control::Changes(diff::all(&route), told);
        // A new queue has room.
        control.try_send(changes).ok();
        running.units.retain(|(known, _)| *known != unit);
        running.units.push((unit, control));
        {
            let mut state = self.state();
            if state.draining {
                return Ok(());
            }
            state.brokers.insert(uid, running);
        }
        self.place(actor).await;
        info!(broker = %route.key, %unit, "unit taken over");
        Ok(())
    }

    /// Ends work on the unit in an orderly way, within `grace`.
    async fn lose(&self, unit: Unit, grace: Duration) {
        let deadline = self.clock.now().saturating_add(grace);
        if let Some(control) = self.forget(unit).await {
            let (answer, left) = oneshot::channel();
            let drain = Control::Drain {
                finish: false,
                deadline,
                answer,
            };
            // An actor that was fenced has ended already.
            if control.send(drain).await.is_ok() && left.await.is_ok() {
                info!(%unit, "unit released");
            }
        }
        self.assigner.released(unit);
    }

    /// The control of a unit that this process has no more.
    async fn forget(&self, unit: Unit) -> Option<mpsc::Sender<Control>> {
        let _order = self.applying.lock().await;
        let mut state = self.state();
        let running = state.brokers.get_mut(&Uuid::from_u128(unit.pool.0))?;
        let at = running.units.iter().position(|(known, _)| *known == unit)?;
        Some(running.units.remove(at).1)
    }
}

#[cfg(test)]
mod tests;
