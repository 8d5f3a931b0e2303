//! Does this Trigger want this event.
