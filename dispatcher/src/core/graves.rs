//! What stays of deleted Triggers in a unit's books: a row each, and one row for the oldest.

use std::collections::VecDeque;

use volley_spec::report::{OTHER, TriggerAccount, TriggerPhase};

use super::books::{Counts, account};

/// How many deleted Triggers of a unit keep a row of their own; some 1 KiB each.
const MOST: usize = 4_096;

/// The rows of a unit's deleted Triggers.
///
/// Nothing that was counted is ever lost: where there are too many rows, the oldest are added to
/// one called [`OTHER`].
#[derive(Debug, Default)]
pub(super) struct Graves {
    others: Option<Grave>,
    rows: VecDeque<Grave>,
}

/// What stays of a deleted Trigger.
#[derive(Debug)]
pub(super) struct Grave {
    name: String,
    uid: String,
    before: u64,
    seen: u64,
    pub(super) counts: Counts,
}

impl Graves {
    /// Adds the row of a Trigger that was deleted just now.
    pub(super) fn push(&mut self, grave: Grave) {
        self.rows.push_back(grave);
        if self.rows.len() <= MOST {
            return;
        }
        if let Some(oldest) = self.rows.pop_front() {
            self.add(&oldest);
        }
    }

    /// Adds to the row of all others.
    pub(super) fn add(&mut self, grave: &Grave) {
        self.others.get_or_insert_with(Grave::of_others).add(grave);
    }

    /// Every row, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Grave> {
        self.others.iter().chain(&self.rows)
    }
}

impl Grave {
    /// What stays of the Trigger whose last row was `row`.
    pub(super) fn of(row: &TriggerAccount, counts: Counts) -> Self {
        Self {
            name: row.name.clone(),
            uid: row.uid.clone(),
            before: row.before,
            seen: row.seen,
            counts,
        }
    }

    /// What stays of Triggers that nobody can name any more.
    pub(super) fn nameless(counts: Counts) -> Self {
        Self {
            name: OTHER.to_owned(),
            uid: String::new(),
            before: 0,
            seen: 0,
            counts,
        }
    }

    fn of_others() -> Self {
        Self::nameless(Counts::default())
    }

    fn add(&mut self, other: &Self) {
        self.before += other.before;
        self.seen += other.seen;
        self.counts.add(&other.counts);
    }

    /// The row as the books show it.
    pub(super) fn row(&self) -> TriggerAccount {
        account(
            &self.name,
            self.uid.clone(),
            TriggerPhase::Deleted,
            self.before,
            self.seen,
            &self.counts,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grave(name: usize) -> Grave {
        let counts = Counts {
            matched: 3,
            delivered: 1,
            dropped: [("deleted", 2)].into(),
            ..Counts::default()
        };
        Grave {
            name: name.to_string(),
            uid: name.to_string(),
            before: 1,
            seen: 5,
            counts,
        }
    }

    #[test]
    fn the_oldest_deleted_triggers_are_one_row_and_no_count_is_lost() {
        let mut graves = Graves::default();
        for name in 0..MOST + 10 {
            graves.push(grave(name));
        }
        let rows: Vec<TriggerAccount> = graves.iter().map(Grave::row).collect();
        assert_eq!(rows.len(), MOST + 1);
        assert_eq!((rows[0].name.as_str(), rows[0].seen), (OTHER, 50));
        assert_eq!(rows[1].name, "10");
        let sum = |count: fn(&TriggerAccount) -> u64| rows.iter().map(count).sum::<u64>();
        let all = (MOST + 10) as u64;
        assert_eq!(sum(|row| row.matched), 3 * all);
        assert_eq!(sum(|row| row.dropped["deleted"]), 2 * all);
        for row in &rows {
            assert_eq!(row.seen, row.filtered + row.matched);
            let ended = row.delivered + row.dead_lettered + row.dropped["deleted"];
            assert_eq!(row.recovered + row.matched, ended + row.pending);
        }
    }
}
