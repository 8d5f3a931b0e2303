//! HTTP in to the channel, and the admin API.
