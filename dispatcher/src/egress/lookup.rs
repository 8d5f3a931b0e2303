//! Names into addresses, without one name that nobody answers for keeping others waiting.
//!
//! The machine's resolver takes a thread for each lookup, and there are some hundreds of them. So a
//! target has one lookup at a time, which goes on when the attempt that began it has given up; names
//! that have no addresses yet leave threads for those that have some; and who has addresses goes on
//! with them while a lookup is late.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{endpoint::Authority, network::Network, network::Pending};

/// How many names without addresses are looked up at once, on one core.
pub(super) const AT_ONCE: usize = 256;
/// How long a lookup is waited for where there are addresses from before.
const LATE: Duration = Duration::from_millis(250);
/// After so long nobody has asked what came of a lookup: it says nothing of now.
const OLD: Duration = Duration::from_secs(60);

/// A lookup that is under way.
pub(super) struct Lookup {
    began: Instant,
    is_late: bool,
    found: Pending<'static, io::Result<Vec<SocketAddr>>>,
}

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookup")
            .field("began", &self.began)
            .finish_non_exhaustive()
    }
}

impl Lookup {
    /// Begins to look up the name of `of`. `turns` are for names that have no addresses yet.
    pub(super) fn begin(
        of: &Arc<Authority>,
        network: &Arc<dyn Network>,
        turns: Option<Arc<Semaphore>>,
    ) -> Self {
        let (of, network) = (Arc::clone(of), Arc::clone(network));
        let found = async move {
            let _turn = match turns {
                Some(turns) => turns.acquire_owned().await.ok(),
                None => None,
            };
            network.resolve(&of.host, of.port).await
        };
        Self {
            began: Instant::now(),
            is_late: false,
            found: Box::pin(found),
        }
    }

    pub(super) fn is_old(&self) -> bool {
        self.began.elapsed() > OLD
    }

    /// What is found.
    pub(super) async fn found(&mut self) -> io::Result<Vec<SocketAddr>> {
        (&mut self.found).await
    }

    /// What is found, unless that takes long.
    pub(super) async fn found_soon(&mut self) -> Option<io::Result<Vec<SocketAddr>>> {
        let patience = if self.is_late { Duration::ZERO } else { LATE };
        let found = timeout(patience, &mut self.found).await.ok();
        self.is_late = found.is_none();
        found
    }
}
